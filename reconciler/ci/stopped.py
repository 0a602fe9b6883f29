"""What a pipeline says of rollouts that are stopped or stalled, with the ways on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.documents.attention import attention
from reconciler.errors import Problem
from reconciler.model.rollout import RolloutReport
from reconciler.model.text import counted
from reconciler.render.page import code, size

_SHARE = 8  # a page spends at most an eighth on them; the tables of the plans tell the rest


@dataclass(frozen=True, slots=True)
class Stopped:
    """A rollout that waits for somebody: what is the matter, and as its hint the ways on."""

    group: str
    policy: str
    problem: Problem


def stopped(reports: Iterable[RolloutReport]) -> tuple[Stopped, ...]:
    """Those that somebody has to do something about."""
    found = ((one, attention([one])) for one in reports)
    return tuple(Stopped(one.group, one.policy, error.problems[0]) for one, error in found if error)


def lines(found: Sequence[tuple[str, Stopped]], *, max_bytes: int) -> str:
    """A list of them, each with the name of its application; empty if there are none."""
    return "\n".join(_lines(found, max_bytes // _SHARE))


def _lines(found: Sequence[tuple[str, Stopped]], left: int) -> Iterator[str]:
    for number, (application, one) in enumerate(found):
        line = f"- {code(application)}: {code(one.problem.message, limit=400)}. Ways on: {one.problem.hint}."
        left -= size(line) + 1
        if left < 0 and number:
            yield f"- and {counted(len(found) - number, 'more rollout')}"
            break
        yield line
