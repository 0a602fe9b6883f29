"""Documents in which every text that somebody else wrote is the same odd one, and a fleet that is not in sync."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import Problem
from reconciler.model.changes import Change, LeavingRow, Op, PendingRow, UnmanagedRow
from reconciler.model.health import (
    FlowStatus,
    Laggard,
    Logged,
    Offline,
    Standing,
    StatusReport,
    Verdict,
    Verdicts,
    VersionStatus,
    Wait,
)
from reconciler.model.plan import Gone, Guard, Guards, Leaving, Plan, PlannedCall, Refusal, Summary, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.result import CallResult, CallState, Move, Moved, Operations, Removal, Result, Unconfirmed
from reconciler.model.rollout import (
    FailingDevice,
    Hold,
    Rollout,
    RolloutReport,
    Rollouts,
    RolloutState,
    RolloutVerdict,
    WaveReport,
    Withheld,
)
from reconciler.model.rules import Limits, Policy, Selector, Wave
from reconciler.model.state import Application, ChangedBy, DeletedDevice, Kind, Place
from tests.builders import hex_id

DEVICE, FLOW, OTHER = hex_id(1, "d"), hex_id(1, "f"), hex_id(2, "f")
COUNTS = dict.fromkeys(Verdict, 1)


def laggard(text: str, verdict: Verdict) -> Laggard:
    """A row that is not in sync."""
    by = ChangedBy(text, text)
    return Laggard(
        DEVICE, FLOW, verdict, text, text, text, False, text, True, text, text, text, by, text, text, text
    )  # fmt: skip


def wave(number: int, text: str | None, **more: int) -> WaveReport:
    """A wave in which one device stands wherever a device can."""
    counts = dict.fromkeys(("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release"), 1) | more
    at = "2026-03-02T09:10:00.000Z"
    return WaveReport(number, text, 7, 7, **counts, open=True, passed=False, needs=text, earliest=text or at)


def failing(text: str) -> tuple[FailingDevice, ...]:
    """Devices that fail, with and without what is known of them."""
    former = {FLOW: text, OTHER: None}
    return (
        FailingDevice(DEVICE, text, RolloutVerdict.FAILED, text, text, former),
        FailingDevice(hex_id(2, "d"), None, RolloutVerdict.SILENT, None, None, {FLOW: None}),
    )


def rollouts(text: str) -> tuple[RolloutReport, ...]:
    """A rollout in every state, whose group, policy, reason, waves and devices have that name."""
    waves = (wave(1, text), wave(2, f"all, {text}"), wave(3, None), wave(4, None)._replace(open=False))
    return tuple(
        RolloutReport(f"{text}{number}", text, state, text, number, waves, failing(text), text)
        for number, state in enumerate(RolloutState)
    )


def status(text: str) -> StatusReport:
    """A status with every state, a log and a deleted device."""
    return StatusReport(
        application=Application(hex_id(5), text),
        kind=Kind.EMBEDDED,
        flows=(
            FlowStatus(
                FLOW, text, (VersionStatus(text, 5, 1, 1, 1, 1, 1, 1, 1), VersionStatus(None, 1, 0, 0, 0, 1, 0))
            ),
            FlowStatus(OTHER, None, (VersionStatus(text, 1, 0, 0, 0, 0, 0),)),
        ),
        rows=dict.fromkeys(Standing, 1),
        devices=COUNTS,
        laggards=tuple(laggard(text, one) for one in reversed(Verdict)),
        devices_named={DEVICE: text},
        log=(
            Logged(DEVICE, text, FLOW, text, text, text, text, text, text, text, text, text, ChangedBy(text, text)),
            Logged(DEVICE, None, None, None, None, None, None, None, None, None, None, None, ChangedBy()),
        ),
        deleted_devices=(DeletedDevice(DEVICE, text), DeletedDevice(hex_id(2), None)),
        rollouts=rollouts(text),
    )


def plan(text: str) -> Plan:
    """A plan with every operation, action and section."""
    place = Place(text, 7)
    moves = [(text, f"{text}2"), (None, text), (text, None), (text, f"{text}3"), (f"{text}4", None)]
    changes = tuple(Change(hex_id(at, "d"), FLOW, old, new, old, place) for at, (old, new) in enumerate(moves))
    rows = [change.row for change in changes]
    requests: list[Request] = [
        Release(FLOW, text, (rows[0][0],)), Replace(FLOW, text, text), RemoveRow(FLOW, rows[2][0]),
        RemoveDevice(rows[2][0]), RemoveFlow(FLOW),
    ]  # fmt: skip
    held = [rows[:1], rows[1:2], rows[2:3], [], []]
    return Plan(
        application=Application(hex_id(5), text),
        kind=Kind.EMBEDDED,
        manifests=(),
        partial=True,
        summary=Summary(
            add=1, update=2, remove=2, keep=9, pending=2, unmanaged=2, devices=5, calls=5, leaving=2, withheld=2
        ),
        changes=changes,
        calls=tuple(
            PlannedCall(at, request, tuple(part), (0,) * bool(at), text)
            for at, (request, part) in enumerate(zip(requests, held, strict=True))
        ),
        pending=(
            PendingRow(DEVICE, FLOW, text, text, connected=False, last_error=text),
            PendingRow(DEVICE, OTHER, None, None, connected=None, last_error=None),
        ),
        unmanaged=(UnmanagedRow(DEVICE, FLOW, text, text), UnmanagedRow(hex_id(9, "d"), FLOW, text, None)),
        warnings=(Gone(text, place, text), Warning(text, place, text), Warning(text)),
        guards=Guards(
            Limits(), (), 0, 0, None, empty=False, allow_removals=0, allow_empty=False, strict=False,
            leaving=Leaving(text, 12, 2),
        ),
        refused=(Refusal(Guard.REMOVALS, text, text, tuple(rows), place), Refusal(Guard.EMPTY, text, text)),
        device_names={device_id: text for device_id, _ in rows} | {DEVICE: text},
        flow_names={FLOW: text},
        deleted_devices=(DeletedDevice(hex_id(9, "d"), text),),
        leaving=(
            LeavingRow(DEVICE, FLOW, text, text, text, place),
            LeavingRow(hex_id(2, "d"), OTHER, None, None, None, place),
        ),
        notes=(text,),
        rollouts=_waved(text, changes, place),
    )  # fmt: skip


def _waved(text: str, changes: tuple[Change, ...], place: Place) -> Rollouts:
    """Two groups; the last two changes are withheld, and the first goes back."""
    reports = rollouts(text)[:2]
    waves = {change.device_id: 1 + at for at, change in enumerate(changes)}
    rows = {change.device_id: {FLOW: change.to_version} for change in changes}
    policy = Policy(text, place, (Wave(place, Selector(place, all=True)),) * 3)
    groups = (
        Rollout(reports[0].group, place, policy, 0, rows, waves),
        Rollout(reports[1].group, place, policy, 1, {}, {}),
    )
    holds = [Hold(1, None, True), Hold(2), Hold(3), Hold(4, Withheld.WAVE), Hold(5, Withheld.UP_TO)]
    of_devices = {change.device_id: (hold,) for change, hold in zip(changes, holds, strict=True)}
    return Rollouts(groups, reports, changes[:3], of_devices)


def result(text: str) -> Result:
    """A result with a call in every state, a wait, and rows of every sort."""
    times = ("2026-03-02T09:00:00.000Z", "2026-03-02T09:00:05.500Z")
    body = {"flowId": FLOW, "version": text, "deviceIds": [DEVICE]}
    calls = [
        CallResult(at, "release", body, 2, (), state, 1, 2, text, text, *times) for at, state in enumerate(CallState)
    ]
    calls.append(replace(calls[0], id=90, started=text, ended=text, body={"flowId": text}))
    calls.append(replace(calls[0], id=91, started=times[1], ended=None, error=None, note=None))
    return Result(
        application=Application(hex_id(5), text),
        kind=Kind.EMBEDDED,
        digest=f"sha256:{'0' * 64}",
        review_digest=f"sha256:{'1' * 64}",
        calls=tuple(calls),
        total=7,
        confirmed=3,
        operations=Operations(1, 2, 3),
        moves=(Move(FLOW, text, Op.UPDATE, text, text, 2), Move(OTHER, None, Op.REMOVE, text, None, 1)),
        removals=(Removal(DEVICE, text, FLOW, text, text, f"{text}:3"),),
        unconfirmed=(Unconfirmed(DEVICE, FLOW, text, text, 1, True, text, text),),
        collateral=(Moved(DEVICE, FLOW, text, text, 1, text, text),),
        moved_meanwhile=(Moved(DEVICE, FLOW, None, text),),
        stopped_by=text,
        warnings=(Warning(text, Place(text, 3), text),),
        notes=(text,),
        wait=Wait(Offline.FAIL, 61.0, Verdicts(COUNTS, COUNTS, status(text).laggards), True, text, text, 3),
        withheld=2,
        rollouts=rollouts(text),
    )


def problem(text: str) -> Problem:
    """A problem of a run."""
    return Problem(text, text, 3, 5, text)


def large_status(devices: int) -> StatusReport:
    """A fleet in which no device runs what it should, each with an error of its own."""
    by, at = ChangedBy("user", hex_id(7)), "2026-03-02T09:00:00.000Z"
    rows = tuple(
        Laggard(
            *(hex_id(number, "d"), FLOW, Verdict.FAILED, "v2", "v2", "v1", True, at, False, hex_id(number, "b")),
            *(f"flash write failed at 0x{number:x}", at, by, f"pump-{number:06}", "telemetry", "everywhere"),
        )
        for number in range(devices)
    )
    return StatusReport(
        application=Application(hex_id(5), "plant"),
        kind=Kind.EMBEDDED,
        flows=(FlowStatus(FLOW, "telemetry", (VersionStatus("v2", 0, 0, 0, devices, 0, 0),)),),
        rows={one: devices * (one is Standing.FAILED) for one in Standing},
        devices={one: devices * (one is Verdict.FAILED) for one in Verdict},
        laggards=rows,
    )
