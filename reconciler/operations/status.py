"""Sync and health, from one read. Sends GET only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reconciler.health import summarise
from reconciler.model.health import StatusReport
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.operations.gateway import Gateway
from reconciler.operations.inspect import read_devices
from reconciler.operations.plan import read


@dataclass(frozen=True, slots=True)
class Status:
    """One report for each application and kind, and the warnings of reading them."""

    reports: tuple[StatusReport, ...]
    warnings: tuple[Warning, ...]


async def status(
    rules: Sequence[Rules], gateway: Gateway, *, devices: Collection[str] = (), deployment_id: str | None = None
) -> Status:
    """Report which rows are in sync, pending, offline, failed, drifted or unmanaged.

    Args:
        rules: the rules of the applications.
        gateway: the gateway to the API.
        devices: only these, by id or name, with their logs.
        deployment_id: only the deployment record with this id, with its log.

    Raises:
        UsageError: none of the applications has such a device or record.
        ManifestError: names, devices, flows or versions that an application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    if not devices and not deployment_id:
        worlds = list(await read(rules, gateway))
        reports = [summarise(world) for world in worlds]
    else:
        parts = await read_devices(rules, gateway, devices=devices, deployment_id=deployment_id)
        worlds = [world for world, _ in parts]
        reports = [summarise(world, only=ids) for world, ids in parts]
    warnings = (one for world in worlds for one in (*world.warnings, *(one.warning for one in world.empty_groups)))
    return Status(tuple(reports), tuple(warnings))
