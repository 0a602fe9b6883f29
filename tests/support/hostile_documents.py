"""Documents in which every text that somebody else wrote is the same odd one, and a fleet that is not in sync."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import Problem
from reconciler.model.changes import Change, Op, PendingRow, UnmanagedRow
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
from reconciler.model.plan import Guard, Guards, Plan, PlannedCall, Refusal, Summary, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.result import CallResult, CallState, Move, Moved, Operations, Removal, Result, Unconfirmed
from reconciler.model.rules import Limits
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


def status(text: str) -> StatusReport:
    """A status with every state, a log and a deleted device."""
    return StatusReport(
        application=Application(hex_id(5), text),
        kind=Kind.EMBEDDED,
        flows=(
            FlowStatus(FLOW, text, (VersionStatus(text, 5, 1, 1, 1, 1, 1, 1), VersionStatus(None, 1, 0, 0, 0, 1, 0))),
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
    )


def plan(text: str) -> Plan:
    """A plan with every operation, action and section."""
    place = Place(text, 7)
    moves = [(text, f"{text}2"), (None, text), (text, None)]
    changes = tuple(Change(hex_id(at, "d"), FLOW, old, new, old, place) for at, (old, new) in enumerate(moves))
    rows = [change.row for change in changes]
    requests: list[Request] = [
        Release(FLOW, text, (rows[0][0],)), Replace(FLOW, text, text), RemoveRow(FLOW, rows[2][0]),
        RemoveDevice(rows[2][0]), RemoveFlow(FLOW),
    ]  # fmt: skip
    held = [rows[:1], rows[1:2], rows[2:], [], []]
    return Plan(
        application=Application(hex_id(5), text),
        kind=Kind.EMBEDDED,
        manifests=(),
        partial=True,
        summary=Summary(add=1, update=1, remove=1, keep=9, pending=2, unmanaged=2, devices=3, calls=5),
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
        warnings=(Warning(text, place, text), Warning(text)),
        guards=Guards(Limits(), (), 0, 0, None, empty=False, allow_removals=0, allow_empty=False, strict=False),
        refused=(Refusal(Guard.REMOVALS, text, text, tuple(rows), place), Refusal(Guard.EMPTY, text, text)),
        device_names={device_id: text for device_id, _ in rows} | {DEVICE: text},
        flow_names={FLOW: text},
        deleted_devices=(DeletedDevice(hex_id(9, "d"), text),),
        notes=(text,),
    )


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
        wait=Wait(Offline.FAIL, 61.0, Verdicts(COUNTS, COUNTS, status(text).laggards), True, text, text),
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
