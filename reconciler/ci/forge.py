"""Where pull requests and issues live, and how to write there once and only once although any answer may be lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from reconciler.errors import ReconcilerError

PAUSES_S = (1, 5, 20)

T = TypeVar("T")


class Unsettled(Exception):
    """The forge gave no usable answer: nobody knows whether a write has happened."""


class Gone(Exception):
    """What was to be read or changed is no longer there; all issues are gone where they are switched off."""


@dataclass(frozen=True, slots=True)
class Post:
    """A comment or an issue that the job's own token wrote."""

    id: int
    text: str

    @property
    def first_line(self) -> str:
        """Where we keep what is for us alone: no name from a manifest or from Losant can reach it."""
        return self.text.split("\n", 1)[0].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Merged:
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
    """Do what may be done again until the forge answers; an error for people where it does not within some tries.

    A write that may be done again is one that looks first whether it was done.
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
        return write(None)  # somebody deleted it just now
