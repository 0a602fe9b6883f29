"""What a pipeline says of rollouts that are stopped or stalled, and of the ways on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.errors import Problem
from reconciler.model.rollout import RolloutReport
from reconciler.model.text import counted
from reconciler.render.page import code, size

WAYS = (
    "revert the commit, which goes at once; or merge a fixed version, which starts at the first wave; or pin the "
    "failing devices to what they ran"
)
_SHARE = 8  # a page spends at most an eighth on them; the tables of the plans tell the rest


@dataclass(frozen=True, slots=True)
class Stopped:
    """A rollout that waits for somebody; `state` is stopped or stalled."""

    group: str
    policy: str
    state: str
    reason: str

    @property
    def problem(self) -> Problem:
        """For an annotation."""
        return Problem(f"the rollout of group {self.group} is {self.state}: {self.reason}", hint=WAYS)


def stopped(reports: Iterable[RolloutReport]) -> tuple[Stopped, ...]:
    """Those that somebody has to do something about."""
    return tuple(Stopped(one.group, one.policy, one.state, one.reason or "") for one in reports if one.needs_attention)


def lines(found: Sequence[tuple[str, Stopped]], *, max_bytes: int) -> str:
    """A list of them, each with the name of its application, and the ways on; empty if there are none."""
    return "\n".join(_lines(found, max_bytes // _SHARE)) if found else ""


def _lines(found: Sequence[tuple[str, Stopped]], left: int) -> Iterator[str]:
    for number, (application, one) in enumerate(found):
        line = (
            f"- {code(application)}, group {code(one.group)}, policy {code(one.policy)}: **{one.state}**: "
            f"{code(one.reason, limit=300)}"
        )
        left -= size(line) + 1
        if left < 0 and number:
            yield f"- and {counted(len(found) - number, 'more rollout')}"
            break
        yield line
    yield f"\nThe ways on: {WAYS}."
