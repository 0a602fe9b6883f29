"""What the steps ask of the CI system that they run on, in words that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from reconciler.ci.forge import Forge
from reconciler.errors import Problem

Row = Mapping[str, str]  # the job of one application: its id, name and kind, and the digest that was reviewed for it


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
