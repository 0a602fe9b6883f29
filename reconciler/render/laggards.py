"""Rows that have not converged as text: those that are alike together, with what they have in common.

Alike are the rows of one device that share a verdict and its reason, and devices whose rows are alike in all of this. A
site that lost its power loses its devices within minutes of each other, so devices are offline together if none of them
dropped out much later than the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reconciler.model.health import Laggard, Verdict
from reconciler.model.log import UNDATED, unix_time
from reconciler.model.state import DeviceId
from reconciler.model.text import counted
from reconciler.render.inert import EXAMPLES, LISTED, date_text, fitting, inert, left_out, version_text, words, wrapped

TOGETHER_S = 600.0  # between one device that dropped out and the next
_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


class _Reason(NamedTuple):
    """Why rows have not converged."""

    verdict: Verdict
    is_disconnected: bool
    unknown_bundle: bool
    error: str | None


class _Alike(NamedTuple):
    """Devices whose rows are alike: for each device, its rows."""

    reason: _Reason
    devices: Sequence[Sequence[Laggard]]

    @property
    def rows(self) -> int:
        """How many rows of all devices."""
        return sum(map(len, self.devices))


def laggards(rows: Iterable[Laggard]) -> Iterator[str]:
    """Up to 20 kinds of rows that have not converged, or single ones, each with its explanation."""
    kinds = sorted(_kinds(in_order(rows)), key=lambda kind: _rank(kind.devices[0][0]))
    for kind in kinds[:LISTED]:
        yield from _single(kind.devices[0][0]) if kind.rows == 1 else _together(kind)
    yield from left_out(sum(kind.rows for kind in kinds[LISTED:]), "row", indent=4)


def in_order(rows: Iterable[Laggard]) -> list[Laggard]:
    """The rows worst first, then by the names that a reader sees; ids decide between equal ones."""
    return sorted(rows, key=_rank)


def _rank(row: Laggard) -> tuple[int, str, str, str, str]:
    return (-_SEVERITY[row.verdict], row.device_name or "", row.device_id, row.flow_name or "", row.flow_id)


def _kinds(rows: Iterable[Laggard]) -> Iterator[_Alike]:
    of_device: dict[tuple[DeviceId, _Reason], list[Laggard]] = defaultdict(list)
    for row in rows:
        of_device[row.device_id, _reason(row)].append(row)
    kinds: dict[tuple[_Reason, tuple[str, ...]], list[list[Laggard]]] = defaultdict(list)
    for (_, reason), its in of_device.items():
        kinds[reason, tuple(_move(row) for row in its)].append(its)
    for (reason, _), devices in kinds.items():
        for some in _dropped_together(devices) if reason.is_disconnected else [devices]:
            yield _Alike(reason, some)


def _reason(row: Laggard) -> _Reason:
    return _Reason(row.verdict, row.connected is False, row.unknown_bundle, row.error)


def _move(row: Laggard) -> str:
    """What a row should do."""
    flow = inert(row.flow_name or row.flow_id)
    return f"{flow}: {version_text(standing(row))} -> {version_text(row.expected)}"


def _dropped_together(devices: Sequence[Sequence[Laggard]]) -> Iterator[list[Sequence[Laggard]]]:
    """The devices that dropped out at about the same time, each time keeping their order."""
    at = {its[0].device_id: unix_time(its[0].connection_time) for its in devices}
    period, last, periods = 0, UNDATED, {}
    for device_id, moment in sorted(at.items(), key=lambda pair: pair[1]):
        if moment - last > TOGETHER_S:
            period += 1
        periods[device_id], last = period, moment
    found: dict[int, list[Sequence[Laggard]]] = defaultdict(list)
    for its in devices:
        found[periods[its[0].device_id]].append(its)
    yield from found.values()


def _single(row: Laggard) -> Iterator[str]:
    device = inert(row.device_name or row.device_id)
    flow = inert(row.flow_name or row.flow_id)
    versions = f"{version_text(standing(row))} -> {version_text(row.expected)}"
    yield from wrapped(f"{device} / {flow}: {words(row.verdict)}, {versions}", indent=4)
    for line in explanation(row):
        yield from wrapped(line, indent=8)


def _together(alike: _Alike) -> Iterator[str]:
    first = [its[0] for its in alike.devices]
    names = [inert(row.device_name or row.device_id) for row in first[:EXAMPLES]]
    who = counted(len(first), "device") if len(first) > 1 else f"{names[0]}:"
    yield from wrapped(f"{who} {_state(alike.reason, first)}", indent=4)
    if len(first) > 1:
        yield fitting(names, total=len(first), indent=8)
    moves = [_move(row) for row in alike.devices[0]]
    for move in moves[:LISTED]:
        yield from wrapped(move, indent=8)
    yield from left_out(len(moves) - LISTED, "flow", indent=8)
    for line in _in_common(alike):
        yield from wrapped(line, indent=8)


def _state(reason: _Reason, rows: Sequence[Laggard]) -> str:
    """`offline since 2026-03-02 03:10Z`."""
    state = words(reason.verdict)
    if not reason.is_disconnected:
        return state
    if all(row.connection_time is None for row in rows):
        return f"{state}, never connected"
    since = _span(row.connection_time for row in rows)
    off = state if reason.verdict is Verdict.OFFLINE else f"{state}, not connected"
    return f"{off} since {since}" if since else off


def _in_common(alike: _Alike) -> Iterator[str]:
    if alike.reason.unknown_bundle:
        yield "running a bundle that the platform does not know"
    if alike.reason.error:
        yield f"error: {inert(alike.reason.error, limit=200)}"
    rows = [row for its in alike.devices for row in its]
    if len({row.changed_by for row in rows}) == 1 and rows[0].changed_by.type:
        at = _span(row.since for row in rows)
        yield _released(rows[0], at)


def _released(row: Laggard, at: str) -> str:
    by = " ".join(inert(text) for text in (row.changed_by.type, row.changed_by.id) if text)
    return f"released by {by} at {at}" if at else f"released by {by}"


def _span(dates: Iterable[str | None]) -> str:
    """The minutes from the first of the dates to the last: `2026-03-02 03:10 to 03:14Z`; empty if none can be read."""
    times = sorted((moment, date) for date in dates if date and (moment := unix_time(date)) != UNDATED)
    if not times:
        return ""
    first, last = (date_text(date) for _, date in (times[0], times[-1]))
    if first == last:
        return first
    day = first.partition(" ")[0]
    return f"{first.removesuffix('Z')} to {last.removeprefix(day).lstrip()}"


def standing(row: Laggard) -> str | None:
    """The version that prevents convergence: the released one if it is not as desired, else the reported one."""
    return row.released if row.verdict in (Verdict.DRIFT, Verdict.WITHHELD) else row.reported


def explanation(row: Laggard) -> Iterator[str]:
    """The known reasons why a row has not converged."""
    if row.connected is False:
        yield f"not connected, last change {date_text(row.connection_time or 'never')}"
    if row.unknown_bundle:
        yield "runs a bundle that the platform does not know"
    if row.error:
        bundle = f" (bundle {inert(row.attempted_bundle)})" if row.attempted_bundle else ""
        yield f"error: {inert(row.error, limit=200)}{bundle}"
    if row.changed_by.type:
        yield _released(row, date_text(row.since))
