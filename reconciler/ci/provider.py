"""What the steps ask of the CI system that they run on, and of its pull requests and issues.

All systems share these words. Writing happens once and only once, although any answer may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeVar

from reconciler.errors import Problem, ReconcilerError

PAUSES_S = (1, 5, 20)

T = TypeVar("T")
Row = Mapping[str, str]  # the job of one application: its id, name and kind, and the digest that was reviewed for it


class Unsettled(Exception):
    """The forge gave no usable answer: whether a write has happened is not known."""


class Gone(Exception):
    """What was to be read or changed does not exist any more; all issues are gone where they are switched off."""


@dataclass(frozen=True, slots=True)
class Post:
    """A comment or an issue that the job's own token wrote."""

    id: int
    text: str

    @property
    def first_line(self) -> str:
        """Where we keep what is for us alone: no name from a manifest or from Losant can reach it."""
        return self.text.split("\n", 1)[0].rstrip("\r")


class Merged(NamedTuple):
    """A pull request that was merged, and the newest commit that it had."""

    number: int
    head: str


class Forge(Protocol):
    """Reads are repeated until the forge answers; a write raises Unsettled, or Gone if what it is to change is gone."""

    def head(self, number: int) -> str:
        """The newest commit of a pull request."""

    def merged(self, commit: str, branch: str) -> Merged | None:
        """The pull request that a commit of the branch came by, or None for a commit that was pushed to it."""

    def comments(self, number: int) -> Iterable[Post]:
        """Our comments on a pull request, oldest first."""

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        """Write a comment on a pull request, or over one of ours."""

    def issues(self) -> Iterable[Post]:
        """Our open issues."""

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        """Open an issue, or replace the text of one of ours; its number."""

    def close_issue(self, post: Post, farewell: str) -> None:
        """Close an issue, then say why. One that is gone needs neither."""


def settled(act: Callable[[], T], log: Callable[[str], None]) -> T:
    """Repeat until the forge answers; ReconcilerError where it does not within some tries.

    A write may be repeated if it looks first whether it was done.
    """
    for pause_s in PAUSES_S:
        try:
            return act()
        except Unsettled as error:
            log(f"{error}; again in {pause_s} s")
            time.sleep(pause_s)
    try:
        return act()
    except Unsettled as error:
        raise ReconcilerError(str(error)) from None


def put(write: Callable[[Post | None], T], over: Post | None) -> T:
    """Write over a post, or anew where there is none, or none any more."""
    try:
        return write(over)
    except Gone:
        if over is None:
            raise
        return write(None)  # it was deleted just now


class Trigger(Enum):
    """What started a run."""

    REVIEW = auto()  # a pull request, or what the forge calls so
    PUSH = auto()
    SCHEDULE = auto()
    OTHER = auto()  # by hand, or by something else


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pipeline.

    Attributes:
        url: its page.
        branch: that it is for; empty for a tag, and for a pull request.
        default_branch: of the repository; empty where the event does not say.
        number: of the pull request.
        head: newest commit of the pull request; empty for other runs.
        base: revision that the pull request is to be merged into, as git knows it in the checkout.
        withheld: why a pull request gets no token; empty if it gets one.
    """

    trigger: Trigger
    url: str
    branch: str = ""
    default_branch: str = ""
    number: int = 0
    head: str = ""
    base: str = ""
    withheld: str = ""


class Provider(Protocol):
    """A CI system. Where it lacks something that it should have set, its methods raise UsageError."""

    noun: str
    """What it calls a pull request."""
    max_bytes: int
    """Largest text of a comment or an issue."""

    def named(self, number: int | str) -> str:
        """A pull request by its number, as people write it."""

    def run(self) -> Run:
        """The run that this step is part of."""

    def forge(self) -> Forge:
        """Its pull requests and issues, as far as the job's own token may read and write them."""

    def log(self, text: str) -> None:
        """Write a line to the job's log."""

    def annotate(self, level: str, problems: Iterable[Problem]) -> None:
        """Show each problem, on its line of the manifest where it has one; `level` is error, warning or notice."""

    def summary(self, markdown: str) -> None:
        """Add to the page that is shown for the run."""

    def output(self, name: str, value: str) -> None:
        """Set a value that later jobs read."""

    def start_jobs(self, rows: Sequence[Row]) -> None:
        """Have a job made of each row."""


def say(provider: Provider, level: str, message: str) -> None:
    """One annotation without a place."""
    provider.annotate(level, [Problem(message)])
