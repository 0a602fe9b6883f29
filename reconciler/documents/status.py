"""Sync and health, as `status` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from typing_extensions import TypedDict

from reconciler.documents.parts import (
    ApplicationPart,
    ChangedByPart,
    Count,
    Document,
    KindWord,
    LaggardPart,
    VerdictsPart,
    Version,
    application_part,
    laggard_part,
    verdicts_part,
)
from reconciler.model.health import FlowStatus, Logged, Standing, StatusReport


class StandingsPart(TypedDict):
    """Rows by how they stand."""

    in_sync: Count
    pending: Count
    offline: Count
    failed: Count
    drift: Count
    unmanaged: Count


class VersionPart(StandingsPart):
    """Rows of one version of a flow; null is absence."""

    version: Version


class FlowPart(TypedDict):
    """One flow, by version."""

    flow_id: str
    flow_name: str | None
    versions: list[VersionPart]


class LoggedPart(TypedDict):
    """A line of a device's deployment log; what the API left out is null."""

    device_id: str
    device_name: str | None
    flow_id: str | None
    flow_name: str | None
    date: str | None
    change: str | None
    update: str | None
    version: Version
    previous: Version
    bundle: str | None
    attempted: str | None
    error: str | None
    changed_by: ChangedByPart


class StatusPart(TypedDict):
    """Sync and health of one application and kind."""

    application: ApplicationPart
    kind: KindWord
    rows: StandingsPart
    devices: VerdictsPart
    flows: list[FlowPart]
    laggards: list[LaggardPart]
    log: list[LoggedPart]


class StatusDocument(Document):
    """What `status` writes."""

    command: Literal["status"]
    status: list[StatusPart]


def status_part(report: StatusReport) -> StatusPart:
    """One element of the document's `status`."""
    return {
        "application": application_part(report.application),
        "kind": report.kind,
        "rows": _standings(report.rows),
        "devices": verdicts_part(report.devices),
        "flows": [_flow(flow) for flow in report.flows],
        "laggards": [laggard_part(laggard) for laggard in report.laggards],
        "log": [_logged(line) for line in report.log],
    }


def _flow(flow: FlowStatus) -> FlowPart:
    return {
        "flow_id": flow.flow_id,
        "flow_name": flow.flow_name,
        "versions": [{"version": line.version, **_standings(line.rows)} for line in flow.versions],
    }


def _standings(rows: Mapping[Standing, int]) -> StandingsPart:
    return cast("StandingsPart", {standing.value: rows[standing] for standing in Standing})


def _logged(line: Logged) -> LoggedPart:
    entry = line.entry
    return {
        "device_id": line.device_id,
        "device_name": line.device_name,
        "flow_id": entry.flow_id,
        "flow_name": line.flow_name,
        "date": entry.date,
        "change": entry.change,
        "update": entry.update,
        "version": entry.version,
        "previous": entry.previous,
        "bundle": entry.bundle,
        "attempted": entry.attempted,
        "error": entry.error,
        "changed_by": {"type": entry.source_type, "id": entry.source_id},
    }
