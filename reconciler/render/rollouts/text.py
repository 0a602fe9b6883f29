"""Renders where rollouts stand, as text: a table of waves, what is withheld, who fails, and pins to paste."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from reconciler.documents.attention import ways_on
from reconciler.model.rollout import RolloutReport, RolloutState, WaveReport, Withheld
from reconciler.model.state import FlowId
from reconciler.model.text import counted
from reconciler.render.inert import WIDTH, Paint, date_text, inert, left_out, with_id, words, wrapped
from reconciler.render.rollouts.pins import pin_lines

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
FAILING = 10  # failing devices listed for a rollout
COLUMNS = ("devices", "proven", "soaking", "waiting", "offline", "failed", "silent", "to_release")
_ALWAYS = ("devices", "proven")
_COLORS = {
    RolloutState.STOPPED: "red",
    RolloutState.STALLED: "red",
    RolloutState.HELD: "yellow",
    RolloutState.OPEN: "green",
    RolloutState.COMPLETE: "green",
}
WHY: Mapping[str, str] = {
    Withheld.STOPPED: "their rollout is stopped",
    Withheld.WAVE: "a wave before theirs has not passed",
    Withheld.UP_TO: "their wave is not approved (`up_to`)",
    Withheld.WINDOW: "it is outside of their window",
    Withheld.BUDGET: "their budget has no room",
}


def rollout_lines(
    reports: Iterable[RolloutReport], flow_names: Mapping[FlowId, str], *, paint: Paint, verbose: int = 0
) -> Iterator[str]:
    """Each rollout under an empty line."""
    for report in reports:
        yield ""
        yield from _head(report, paint)
        yield from table(
            [
                ["wave", *map(words, columns(report))],
                *([str(wave.wave), *_cells(wave, report)] for wave in report.waves),
            ],
            indent=4,
        )
        for wave in report.waves:
            yield from wrapped(f"{wave.wave}: {_who(wave)}{progress(wave, report)}", indent=4)
        yield from _failing(report, flow_names, most=len(report.failing) if verbose else FAILING)


def _head(report: RolloutReport, paint: Paint) -> Iterator[str]:
    state = words(report.state)
    first, *others = wrapped(
        f"Rollout of group {inert(report.group)} ({inert(report.policy)}{limit(report)}): {state}", indent=2
    )
    if others:
        yield from (first, *others)
    else:
        yield f"{first.removesuffix(state)}{paint(state, _COLORS.get(report.state, 'yellow'))}"
    if report.reason:
        yield from wrapped(f"{inert(why(report))}{earliest(report)}", indent=4)


def why(report: RolloutReport) -> str:
    """The reason, its dates like all others; not inert yet."""
    return _DATE.sub(lambda found: when(found[0]), report.reason or "")


def earliest(report: RolloutReport) -> str:
    """`, at the earliest 2026-03-02 14:10Z`, unless its reason is that time."""
    if not report.earliest or report.earliest in (report.reason or ""):
        return ""
    return f", at the earliest {when(report.earliest)}"


def limit(report: RolloutReport) -> str:
    """`, up to wave 2`, `, paused`; empty without `up_to`."""
    if report.up_to is None:
        return ""
    return f", up to wave {report.up_to}" if report.up_to else ", paused"


def columns(report: RolloutReport) -> list[str]:
    """Those that count something, and those that are always shown."""
    return [one for one in COLUMNS if one in _ALWAYS or any(getattr(wave, one) for wave in report.waves)]


def _cells(wave: WaveReport, report: RolloutReport) -> list[str]:
    return [f"{number:,}" if (number := getattr(wave, one)) else "-" for one in columns(report)]


def table(rows: Sequence[Sequence[str]], *, indent: int) -> Iterator[str]:
    """Cells under their headings, to the right. Columns that do not fit follow below, after the first one again."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    blocks: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        if indent + sum(widths[one] + 1 for one in blocks[-1]) + widths[column] > WIDTH and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(column)
    for block in blocks:
        for row in rows:
            yield " " * indent + " ".join(row[one].rjust(widths[one]) for one in block)


def _who(wave: WaveReport) -> str:
    return "the rest" if wave.select is None else inert(wave.select.removeprefix("all, "))


def progress(wave: WaveReport, report: RolloutReport) -> str:
    """Whether it is open or has passed, and what it still needs.

    Nothing of that matters while a rollout is stopped, nor what is shut or needed where no change is left.
    """
    if report.state is RolloutState.STOPPED or not wave.devices:
        return ""
    if wave.passed and wave.open:
        return ", passed"
    if report.state is RolloutState.COMPLETE:
        return ""
    if not wave.open:
        return ", shut"
    at = f", at the earliest {when(wave.earliest)}" if wave.earliest else ""
    return f", open; {inert(wave.needs)}{at}" if wave.needs else ", open"


def _failing(report: RolloutReport, flow_names: Mapping[FlowId, str], *, most: int) -> Iterator[str]:
    shown = report.failing_by_name[:most]
    if shown:
        yield f"    Failing: {counted(len(report.failing), 'device')}"
    for device in shown:
        since = f", released {date_text(device.since)}" if device.since else ""
        yield from wrapped(f"{with_id(device.device_name, device.device_id)}: {words(device.verdict)}{since}", indent=6)
        if device.error:
            yield from wrapped(f"error: {inert(device.error, limit=200)}", indent=10)
    yield from left_out(len(report.failing) - len(shown), "device", indent=6)
    if ways := ways_on(report):
        yield from wrapped(f"Ways on: {ways}{':' if shown else ''}", indent=4)
        if shown:
            yield ""
            yield from (f"    {line}" for line in pin_lines(report, shown, flow_names))


def when(date: str | None) -> str:
    """`2026-03-02 14:10Z`, rounded up to the minute: what may happen then at the earliest does not happen before."""
    at = whole_minute(date)
    return at.strftime("%Y-%m-%d %H:%MZ") if at else inert(date or "")


def whole_minute(date: str | None) -> datetime | None:
    """The whole minute at or after a time; None if the text is no time."""
    try:
        at = datetime.fromisoformat(date or "").astimezone(UTC)
        return at if at.second == at.microsecond == 0 else at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    except (ValueError, OverflowError):
        return None


def next_wave(reports: Iterable[RolloutReport]) -> str:
    """` (next wave at the earliest 2026-03-02 14:10Z)`; empty if that is unknown."""
    date = next_date(reports)
    return f" (next wave at the earliest {when(date)})" if date else ""


def next_date(reports: Iterable[RolloutReport]) -> str | None:
    """When the next wave may go at the earliest; None if that is unknown."""
    return min((date for report in reports if (date := _next(report))), default=None)


def _next(report: RolloutReport) -> str | None:
    """When more of a rollout may be sent: once the wave that is open now has passed, if nothing else holds the next."""
    if report.state is not RolloutState.OPEN:
        return None if report.state is RolloutState.STOPPED else report.earliest
    for wave, following in zip(report.waves, report.waves[1:], strict=False):
        if wave.open and not wave.passed:
            is_approved = report.up_to is None or wave.wave < report.up_to
            return wave.earliest if is_approved and following.to_release else None
    return None


def withheld_lines(reasons: Mapping[str, int], going_back: int) -> Iterator[str]:
    """How many changes of a plan are withheld, by reason, and how many are sent because they go back."""
    if reasons or going_back:
        yield ""
    if reasons:
        yield f"  Withheld: {counted(sum(reasons.values()), 'change')}"
    for reason, number in reasons.items():
        yield from wrapped(f"{number:,}: {WHY.get(reason, words(reason))}", indent=4)
    if going_back:
        yield from wrapped(f"Going back: {counted(going_back, 'change')}, which no wave holds", indent=2)
