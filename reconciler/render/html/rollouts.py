"""Where rollouts stand, on the page of a status, a plan or a result: waves, what is withheld, who fails, and pins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from reconciler.documents.attention import ways_on
from reconciler.model.rollout import FailingDevice, RolloutReport, RolloutState, WaveReport
from reconciler.model.state import FlowId
from reconciler.model.text import counted
from reconciler.render.html.bars import Segment, segments
from reconciler.render.html.engine import LONGEST
from reconciler.render.html.room import Listed, Room
from reconciler.render.inert import inert, words
from reconciler.render.rollouts.pins import pinned
from reconciler.render.rollouts.tallies import WaveTally
from reconciler.render.rollouts.text import WHY, columns, limit, next_date, whole_minute

_FORMS: Final = ("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release")
_NAMED: Final = 3  # rollouts that need attention, at the top of a page
Earliest = datetime | str | None
"""When something may happen at the earliest; text that is no time is shown as it is."""


class WaveView(NamedTuple):
    """A wave: who is in it, whether it is open, its devices by standing, its changes, and what it still needs."""

    number: int
    who: str | None
    state: str
    bar: tuple[Segment, ...]
    described: str
    counts: tuple[int, ...]
    now: int
    withheld: str
    needs: str | None
    earliest: Earliest


class FailingView(NamedTuple):
    """A device that fails, and the lines of its pin, if pins are a way on."""

    device: FailingDevice
    pin: tuple[str, ...]


class RolloutView(NamedTuple):
    """The rollout of a group. `columns`: what `counts` of its waves count; `sends`: whether its changes are known."""

    report: RolloutReport
    policy: str
    earliest: Earliest
    ways: str
    columns: Sequence[str]
    sends: bool
    waves: Listed[WaveView]
    failing: Listed[FailingView]


class Attention(NamedTuple):
    """The rollouts that somebody has to see to: the first ones, and how many more there are."""

    reports: Sequence[RolloutReport]
    left: int


def rollout_views(
    reports: Sequence[RolloutReport],
    flow_names: Mapping[FlowId, str],
    room: Room,
    *,
    changes: Mapping[tuple[str, int], WaveTally] | None = None,
) -> Listed[RolloutView]:
    """The rollouts of one application and kind; `changes` are those of a plan, by group and wave."""
    shown = [_view(one, flow_names, room, changes) for one in reports[: room.most]]
    return Listed(shown, len(reports))


def attention(reports: Iterable[RolloutReport]) -> Attention:
    """The rollouts that are stopped or stalled."""
    found = [one for one in reports if one.needs_attention]
    return Attention(found[:_NAMED], max(0, len(found) - _NAMED))


def next_time(reports: Iterable[RolloutReport]) -> Earliest:
    """When the next wave may go at the earliest, if that is known."""
    return _not_before(next_date(reports))


def _view(
    report: RolloutReport,
    flow_names: Mapping[FlowId, str],
    room: Room,
    changes: Mapping[tuple[str, int], WaveTally] | None,
) -> RolloutView:
    counted_as, of_wave = columns(report), changes or {}
    return RolloutView(
        report=report,
        policy=f"{inert(report.policy, limit=LONGEST)}{limit(report)}",
        earliest=None if report.state is RolloutState.COMPLETE else _not_before(report.earliest),
        ways=ways_on(report),
        columns=counted_as,
        sends=changes is not None,
        waves=room.take(
            (_wave(wave, report, counted_as, of_wave.get((report.group, wave.wave))) for wave in report.waves),
            len(report.waves),
        ),
        failing=room.take(_failing(report, flow_names), len(report.failing)),
    )


def _wave(wave: WaveReport, report: RolloutReport, counted_as: Sequence[str], changes: WaveTally | None) -> WaveView:
    parts = [(one, int(getattr(wave, one)), f"{getattr(wave, one):,} {words(one)}") for one in _FORMS]
    goes_on = report.state is not RolloutState.STOPPED and wave.open and not wave.passed
    return WaveView(
        number=wave.wave,
        who=None if wave.select is None else wave.select.removeprefix("all, "),
        state=_state(wave, report),
        bar=segments(parts),
        described=", ".join(says for _, number, says in parts if number) or "no device",
        counts=tuple(getattr(wave, one) for one in counted_as),
        now=changes.now if changes else 0,
        withheld="; ".join(withheld(changes.withheld)) if changes else "",
        needs=wave.needs if goes_on else None,
        earliest=_not_before(wave.earliest) if goes_on else None,
    )


def _state(wave: WaveReport, report: RolloutReport) -> str:
    """Nothing opens or passes while a rollout is stopped, nor where a wave has no device."""
    if not wave.devices:
        return "empty"
    if report.state is RolloutState.STOPPED:
        return "stopped"
    return ("passed" if wave.passed else "open") if wave.open else "shut"


def withheld(reasons: Mapping[str, int]) -> Iterator[str]:
    """`12 changes: a wave before theirs has not passed`."""
    for reason, number in reasons.items():
        yield f"{counted(number, 'change')}: {WHY.get(reason, words(reason))}"


def _failing(report: RolloutReport, flow_names: Mapping[FlowId, str]) -> Iterator[FailingView]:
    for device in report.failing_by_name:
        pin = pinned(report, [device], flow_names)[0] if report.needs_attention else ""
        yield FailingView(device, tuple(pin.split("\n")) if pin else ())


def _not_before(date: str | None) -> Earliest:
    return whole_minute(date) or date
