"""Sync and health, by one read. Sends GET only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.health import summarise
from reconciler.model.health import StatusReport
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.operations.gateway import Gateway
from reconciler.operations.inspect import DeviceQuery, read_devices
from reconciler.operations.plan import read


@dataclass(frozen=True, slots=True)
class Status:
    """One report for each application and kind, and what reading them warned of."""

    reports: tuple[StatusReport, ...]
    warnings: tuple[Warning, ...]


async def status(rules: Sequence[Rules], gateway: Gateway, query: DeviceQuery | None = None) -> Status:
    """What is in sync, pending, offline, failed, drifted or unmanaged; of everything, or of what a query names.

    Raises:
        UsageError: what the query names is in none of the applications.
        ManifestError: names, devices, flows or versions that an application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    if query is None:
        worlds = list(await read(rules, gateway))
        reports = [summarise(world) for world in worlds]
    else:
        parts = await read_devices(rules, gateway, query)
        worlds = [world for world, _ in parts]
        reports = [summarise(world, only=ids) for world, ids in parts]
    return Status(tuple(reports), tuple(warning for world in worlds for warning in world.warnings))
