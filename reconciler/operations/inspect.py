"""Reading single devices: one request for the deployments of each, and no listing of the rest of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.api.client import LosantApi
from reconciler.discovery import Part, survey
from reconciler.errors import ApiError, NotFound, PermissionDenied, ReconcilerError, UsageError
from reconciler.model.rules import Rules
from reconciler.model.state import Device, DeviceId, Live, LiveDevice
from reconciler.model.world import World
from reconciler.operations.applications import utc_today
from reconciler.operations.gateway import Gateway
from reconciler.operations.lookup import look_up, unknown
from reconciler.planner.resolution.names import is_id


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
        for one, api, live in zip(rules, apis, found, strict=True):
            if live is not None:
                part = Part(devices=frozenset(live.devices), live=live)
                worlds.append((await survey(one, api, today=utc_today(), part=part), frozenset(live.devices)))
    return tuple(worlds)


async def _record(deployment_id: str, apis: Sequence[LosantApi]) -> list[Live | None]:
    found: list[Live | None] = []
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


async def _devices(texts: Sequence[str], apis: Sequence[LosantApi]) -> list[Live | None]:
    """What was read of the devices in each application; None where it has none of them."""
    found: list[dict[str, Live]] = [{} for _ in apis]
    for text in dict.fromkeys(texts):
        for api, here in zip(apis, found, strict=True):
            live = await _device(text, api)
            if live is not None:
                here[text] = live
        if not any(text in here for here in found):
            raise await _nowhere(text, apis)
    return [_together(list(here.values())) if here else None for here in found]


async def _device(text: str, api: LosantApi) -> Live | None:
    """What is deployed to a device, an empty record where nothing is; None if the application has no such device."""
    device_id = await look_up(text, api)
    if device_id is None:
        return None
    try:
        live = await api.live(device_id=device_id)
    except NotFound:
        return None
    if live.devices:
        return live
    name: str | None = text
    if is_id(text.lower()):
        try:
            devices = await api.devices(ids=[device_id])
        except PermissionDenied:
            devices = (Device(device_id),)  # for all that this token may know
        if not devices:
            return None
        name = devices[0].name
    return Live({device_id: LiveDevice(flows={}, name=name)}, live.flow_names)


def _together(lives: Sequence[Live]) -> Live:
    devices = {device_id: device for live in lives for device_id, device in live.devices.items()}
    return Live(devices, {flow_id: name for live in lives for flow_id, name in live.flow_names.items()})


async def _nowhere(text: str, apis: Sequence[LosantApi]) -> ReconcilerError:
    ids = ", ".join(dict.fromkeys(api.application_id for api in apis))
    if is_id(text.lower()):
        return UsageError(f"--device {text}: there is no such device in application {ids}", hint="check both ids")
    errors: list[UsageError] = []
    for api in apis:
        try:
            errors.append(await unknown(text, api, api.kind))
        except ApiError:
            continue
    return errors[-1] if errors else UsageError(f"--device {text}: there is no such device in application {ids}")
