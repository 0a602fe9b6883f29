"""The page of a result: what was asked, what was confirmed, what was not and why, rollouts, and the calls in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler.errors import ExitCode, Problem
from reconciler.model.health import Laggard, Verdict
from reconciler.model.plan import Warning
from reconciler.model.result import CallResult, CallState, Move, Moved, Removal, Result, Unconfirmed
from reconciler.render.html.bars import segments
from reconciler.render.html.engine import page
from reconciler.render.html.rollouts import RolloutView, attention, rollout_views
from reconciler.render.html.room import Listed, Room
from reconciler.render.result import verdict

_THINNEST = 3.0  # percent of the time line


class CallView(NamedTuple):
    """A call, and its place on the time line in percent, if it was sent and its times can be read."""

    call: CallResult
    flow: str | None
    seconds: float | None
    x: str | None
    width: str | None


class UnconfirmedView(NamedTuple):
    """A row that was not confirmed, and what is known of why."""

    row: Unconfirmed
    why: str


class ResultView(NamedTuple):
    """The result of one plan."""

    result: Result
    rollouts: Listed[RolloutView]
    states: tuple[tuple[CallState, int], ...]
    unconfirmed: Listed[UnconfirmedView]
    collateral: Listed[Moved]
    meanwhile: Listed[Moved]
    removals: Listed[Removal]
    warnings: Listed[Warning]
    moves: Listed[Move]
    calls: Listed[CallView]
    began: datetime | None
    ended: datetime | None
    rows: tuple[tuple[Verdict, int], ...]
    laggards: Listed[Laggard]


def result_html(
    results: Sequence[Result], *, exit_code: int, problems: Sequence[Problem] = (), commit: str | None = None
) -> str:
    """The results of one run.

    Args:
        results: the result of each application and kind.
        exit_code: the exit code of the run.
        problems: the problems that the results do not show.
        commit: the commit of the manifests.
    """
    room = Room()
    total, confirmed = (sum(getattr(one, key) for one in results) for key in ("total", "confirmed"))
    rest = "failed" if any(one.wrote for one in results) else "planned"
    parts = [("confirmed", confirmed, "confirmed"), (rest, total - confirmed, "not confirmed")]
    return page(
        "result.html",
        title=" ".join(verdict(results, exit_code)),
        good=exit_code == ExitCode.DONE,
        exit_code=int(exit_code),
        problems=room.all(problems),
        attention=attention(one for result in results for one in result.rollouts),
        withheld=sum(result.withheld or 0 for result in results),
        results=[_result(result, room) for result in results],
        total=total,
        confirmed=confirmed,
        meter=segments(parts),
        commit=commit,
        read=None,
        room=room,
    )


def _result(result: Result, room: Room) -> ResultView:
    by_id = {call.id: call for call in result.calls}
    times = [at for call in result.calls for at in (_at(call.started), _at(call.ended)) if at]
    began, ended = (min(times), max(times)) if times else (None, None)
    states = Counter(call.state for call in result.calls)
    flows = {move.flow_id: move.flow_name for move in result.moves}
    unconfirmed = result.unconfirmed if result.wrote else ()
    rows = result.wait.rows if result.wait else None
    return ResultView(
        result=result,
        rollouts=rollout_views(result.rollouts, {one: flow for one, flow in flows.items() if flow}, room),
        states=tuple((state, states[state]) for state in CallState if states[state]),
        unconfirmed=room.take((UnconfirmedView(row, _why(row, by_id)) for row in unconfirmed), len(unconfirmed)),
        collateral=room.all(result.collateral),
        meanwhile=room.all(result.moved_meanwhile),
        removals=room.all(result.removals),
        warnings=room.all(result.warnings),
        moves=room.all(result.moves),
        calls=room.take((_call(call, flows, began, ended) for call in result.calls), len(result.calls)),
        began=began,
        ended=ended,
        rows=tuple((one, rows[one]) for one in Verdict if rows.get(one)) if rows else (),
        laggards=room.all(result.wait.laggards if result.wait else ()),
    )


def _why(row: Unconfirmed, calls: Mapping[int, CallResult]) -> str:
    call = calls.get(row.call)
    parts = ["moved by somebody else"] if row.moved_by_other else []
    if call:
        parts += [text for text in (call.error, call.note) if text] or [f"the call is {call.state}"]
    return "; ".join(parts)


def _call(
    call: CallResult, flows: Mapping[str, str | None], began: datetime | None, ended: datetime | None
) -> CallView:
    flow_id = call.body.get("flowId")
    flow = (flows.get(flow_id) or flow_id) if isinstance(flow_id, str) else None
    start, end = _at(call.started), _at(call.ended)
    if start is None or began is None or ended is None:
        return CallView(call, flow, None, None, None)
    whole = (ended - began).total_seconds() or 1.0
    seconds = max(0.0, ((end or ended) - start).total_seconds())
    width = max(_THINNEST, 100 * seconds / whole)
    x = min(100 - _THINNEST, 100 * (start - began).total_seconds() / whole)
    return CallView(call, flow, seconds if end else None, f"{x:.2f}%", f"{min(width, 100 - x):.2f}%")


def _at(text: str | None) -> datetime | None:
    """A time of the result, whose file anybody may have edited."""
    try:
        at = datetime.fromisoformat(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
