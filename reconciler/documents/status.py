"""Sync and health, as `status` writes them."""

from __future__ import annotations

from typing import Literal

from reconciler.documents.parts import ApplicationPart, ChangedByPart, Count, LaggardPart, Part, VerdictsPart, Version


class StandingsPart(Part):
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


class FlowPart(Part):
    """One flow, by version."""

    flow_id: str
    flow_name: str | None
    versions: list[VersionPart]


class LoggedPart(Part):
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


class StatusPart(Part):
    """Sync and health of one application and kind."""

    application: ApplicationPart
    kind: Literal["embedded", "edge"]
    rows: StandingsPart
    devices: VerdictsPart
    flows: list[FlowPart]
    laggards: list[LaggardPart]
    log: list[LoggedPart]
