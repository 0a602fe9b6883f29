"""The interfaces of the CI system that the steps run on, and of its pull requests and issues.

They are the same for all systems. Every write happens exactly once, although any response may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.render.inert import inert

if TYPE_CHECKING:
    from reconciler.operations.init.check import Finding

PAUSES_S = (1, 5, 20)
LONGEST_PAUSE_S = 60  # that a job waits for a forge between two requests

T = TypeVar("T")
Row = Mapping[str, str]  # the job of one application: its id, name, kind, and reviewed digest


class Unsettled(Exception):
    """The forge gave no usable response: it is unknown whether a write has happened.

    `asked_s`: for how many seconds the forge asks to be left alone.
    """

    def __init__(self, message: str, *, asked_s: float = 0) -> None:
        super().__init__(message)
        self.asked_s = asked_s


class Gone(Exception):
    """The resource no longer exists; if issues are disabled, all of them are gone."""


@dataclass(frozen=True, slots=True)
class Post:
    """A comment or an issue written with the job's own token."""

    id: int
    text: str

    @property
    def first_line(self) -> str:
        """The line reserved for our own data: names from manifests or from Losant cannot affect it."""
        return self.text.split("\n", 1)[0].rstrip("\r")


class Merged(NamedTuple):
    """A merged pull request, and its last commit."""

    number: int
    head: str


class Forge(Protocol):
    """Reads are retried until the forge responds; a write raises Unsettled, or Gone if its target is gone."""

    def head(self, number: int) -> str:
        """The newest commit of a pull request."""

    def merged(self, commit: str, branch: str) -> Merged | None:
        """The pull request that a commit of the branch came from, or None if it was pushed directly."""

    def applied(self, commits: Sequence[str], marks: Collection[str]) -> Mapping[str, str]:
        """For each mark the first of the commits that bears it, if one does.

        A mark is a successful commit status of this name, written with a job's own token.
        """

    def marks(self, commit: str) -> Mapping[str, str]:
        """The marks of a commit: what each says."""

    def mark(self, commit: str, name: str, description: str, url: str) -> None:
        """Write a mark, over one of the same name."""

    def protected(self, branch: str) -> bool:
        """Whether a branch is protected against pushes by everybody; ReconcilerError if that may not be read."""

    def settings(self, applications: Collection[str]) -> Iterable[Finding]:
        """Whether the tokens of these applications are kept apart, and what else keeps them so, as the forge tells."""

    def comments(self, number: int) -> Iterable[Post]:
        """Our comments on a pull request, oldest first."""

    def write_comment(self, number: int, text: str, over: Post | None) -> None:
        """Write a comment on a pull request, or replace one of ours."""

    def issues(self) -> Iterable[Post]:
        """Our open issues."""

    def write_issue(self, title: str, text: str, over: Post | None) -> int:
        """Open an issue, or replace title and text of one of ours. Returns its number."""

    def close_issue(self, post: Post, comment: str) -> None:
        """Close an issue, then comment with the reason. Nothing is done if it is gone."""


def settled(act: Callable[[], T], log: Callable[[str], None]) -> T:
    """Retry until the forge responds; ReconcilerError after several failures, or if it asks for a long wait.

    It is left alone for as long as it asks. A write may be retried if it first checks whether it has already been done.
    """
    for least_s in PAUSES_S:
        try:
            return act()
        except Unsettled as error:
            pause_s = max(least_s, error.asked_s)
            if pause_s > LONGEST_PAUSE_S:
                asked = f"it asks to wait {pause_s:,.0f} s, and a job waits {LONGEST_PAUSE_S} s at most"
                raise ReconcilerError(f"{error}; {asked}", hint="run the job again after that") from None
            log(f"{error}; trying again in {pause_s:g} s")
            time.sleep(pause_s)
    try:
        return act()
    except Unsettled as error:
        raise ReconcilerError(str(error)) from None


def put(write: Callable[[Post | None], T], over: Post | None) -> T:
    """Replace a post, or create one if there is none or it no longer exists."""
    try:
        return write(over)
    except Gone:
        if over is None:
            raise
        return write(None)  # it has just been deleted


class Trigger(Enum):
    """What started a run."""

    REVIEW = auto()  # a pull request, or the forge's equivalent
    PUSH = auto()
    SCHEDULE = auto()
    QUEUE = auto()  # what a merge queue is about to merge
    HAND = auto()  # somebody who may write to the repository, or a program that acts for them


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pipeline.

    Attributes:
        url: the run's page.
        branch: the run's branch; empty for tags and pull requests.
        default_branch: the repository's default branch; empty if the event lacks it.
        number: the number of the pull request.
        head: the newest commit of the pull request; empty for other runs.
        before: the commit that the branch pointed to before a push; empty if it is new.
        base: the revision that the pull request is to be merged into, as named in the checkout.
        withheld: why the pull request gets no token; empty if it gets one.
    """

    trigger: Trigger
    url: str
    branch: str = ""
    default_branch: str = ""
    number: int = 0
    head: str = ""
    before: str = ""
    base: str = ""
    withheld: str = ""


class Provider(Protocol):
    """A CI system. Its methods raise UsageError if the environment lacks something that it should set."""

    noun: str
    """Its term for a pull request."""
    max_bytes: int
    """Maximum size of a comment or an issue."""
    filtered: str
    """What decides by a file's path whether a run starts, before a step could; empty where nothing does."""

    def named(self, number: int | str) -> str:
        """The display name of a pull request with this number."""

    def by_hand(self, command: str) -> str:
        """How somebody starts a run for a command by hand, such as `Run workflow, command apply`."""

    def run(self) -> Run:
        """The run that this step is part of."""

    def forge(self) -> Forge:
        """Its pull requests and issues, accessed with the job's own token."""

    def log(self, text: str) -> None:
        """Write a line to the job's log."""

    def annotate(self, level: str, problems: Iterable[Problem]) -> None:
        """Show each problem, at its line of the manifest if it has one; `level` is error, warning or notice."""

    def summary(self, markdown: str) -> None:
        """Append to the summary page of the run."""

    def output(self, name: str, value: str) -> None:
        """Set an output for later jobs."""

    def start_jobs(self, rows: Sequence[Row], *, require_review: bool) -> None:
        """Start a job for each row. `require_review`: an apply refuses any other plan than the one shown.

        Where the pipeline's file passes that on to its jobs by itself, it is not needed here.
        """


def as_number(name: str, text: str) -> int:
    """The value of a variable that holds a number."""
    if not (text.isascii() and text.isdigit()):
        raise UsageError(
            f"{name} is not a number: {inert(text, limit=60)}",
            hint="write digits alone; what the CI system sets is to be left as it is",
        )
    return int(text)


def say(provider: Provider, level: str, message: str) -> None:
    """Add one annotation without a place."""
    provider.annotate(level, [Problem(message)])
