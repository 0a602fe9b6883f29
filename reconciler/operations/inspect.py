"""Reading single devices: one request for the deployments of each, and no listing of the rest of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.api.client import LosantApi
from reconciler.discovery import Extent, discover
from reconciler.errors import ApiError, NotFound, PermissionDenied, ReconcilerError, UsageError
from reconciler.model.rules import Rules
from reconciler.model.state import Device, DeviceId, Live, LiveDevice, Read
from reconciler.model.text import is_id
from reconciler.model.world import World
from reconciler.operations.applications import utc_today
from reconciler.operations.gateway import Gateway
from reconciler.operations.lookup import look_up, unknown


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Devices by id or name, or else the deployment record with an id."""

    devices: tuple[str, ...] = ()
    deployment_id: str | None = None


async def read_devices(
    rules: Sequence[Rules], gateway: Gateway, query: DeviceQuery
) -> tuple[tuple[World, frozenset[DeviceId]], ...]:
    """The world of each application that has one of the devices, reduced to those, and which they are.

    Raises:
        UsageError: what the query names is in none of the applications.
    """
    async with gateway.open() as api_of:
        apis = [api_of(one.application.id, one.kind) for one in rules]
        found = await _record(query.deployment_id, apis) if query.deployment_id else await _devices(query.devices, apis)
        worlds = []
        for one, api, read in zip(rules, apis, found, strict=True):
            if read is not None:
                devices = frozenset(read.live.devices)
                extent = Extent(devices=devices, read=read)
                worlds.append((await discover(one, api, today=utc_today(), extent=extent), devices))
    return tuple(worlds)


async def _record(deployment_id: str, apis: Sequence[LosantApi]) -> list[Read | None]:
    found: list[Read | None] = []
    error: NotFound | None = None
    for api in apis:
        try:
            found.append(await api.record(deployment_id))
        except NotFound as missing:
            error = missing
            found.append(None)
    if error and not any(found):
        raise UsageError(error.problems)
    return found


async def _devices(texts: Sequence[str], apis: Sequence[LosantApi]) -> list[Read | None]:
    """What was read of the devices in each application; None where it has none of them."""
    found: list[dict[str, Read]] = [{} for _ in apis]
    for text in dict.fromkeys(texts):
        for api, here in zip(apis, found, strict=True):
            read = await _device(text, api)
            if read is not None:
                here[text] = read
        if not any(text in here for here in found):
            raise await _nowhere(text, apis)
    return [_together(list(here.values())) if here else None for here in found]


async def _device(text: str, api: LosantApi) -> Read | None:
    """What is deployed to a device, an empty record where nothing is; None if the application has no such device."""
    device_id = await look_up(text, api)
    if device_id is None:
        return None
    try:
        read = await api.live(device_id=device_id)
    except NotFound:
        return None
    if read.live.devices:
        return read
    name: str | None = text
    if is_id(text):
        try:
            devices = await api.devices(ids=[device_id])
        except PermissionDenied:
            devices = (Device(device_id),)  # for all that this token may know
        if not devices:
            return None
        name = devices[0].name
    return read._replace(live=Live({device_id: LiveDevice(flows={}, name=name)}, read.live.flow_names))


def _together(reads: Sequence[Read]) -> Read:
    devices = {device_id: device for read in reads for device_id, device in read.live.devices.items()}
    flow_names = {flow_id: name for read in reads for flow_id, name in read.live.flow_names.items()}
    return Read(Live(devices, flow_names), min(read.began for read in reads), max(read.ended for read in reads))


async def _nowhere(text: str, apis: Sequence[LosantApi]) -> ReconcilerError:
    ids = ", ".join(dict.fromkeys(api.application_id for api in apis))
    if is_id(text):
        return UsageError(f"--device {text}: there is no such device in application {ids}", hint="check both ids")
    errors: list[UsageError] = []
    for api in apis:
        try:
            errors.append(await unknown(text, api, api.kind))
        except ApiError:
            continue
    return errors[-1] if errors else UsageError(f"--device {text}: there is no such device in application {ids}")
