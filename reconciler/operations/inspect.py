"""Reads single devices: one request for the deployments of each, without listing other devices."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reconciler.api.client import LosantApi
from reconciler.discovery import Extent, discover
from reconciler.errors import ApiError, NotFound, PermissionDenied, Problem, UsageError
from reconciler.model.rules import Rules
from reconciler.model.state import Device, DeviceId, Live, LiveDevice, Read
from reconciler.model.text import and_more, is_id
from reconciler.model.world import World
from reconciler.operations.gateway import Gateway
from reconciler.planner.resolution.names import Spelling
from reconciler.runtime import utc_today

MOST_LISTED = 5


async def read_devices(
    rules: Sequence[Rules], gateway: Gateway, *, devices: Collection[str] = (), deployment_id: str | None = None
) -> list[tuple[World, frozenset[DeviceId]]]:
    """The world of each application that has some of the devices, reduced to these, and their ids.

    Args:
        rules: the rules of the applications.
        gateway: the gateway to the API.
        devices: device ids or names.
        deployment_id: instead of `devices`, the id of a deployment record.

    Raises:
        UsageError: none of the applications has such a device or record.
    """
    async with gateway.open() as api_of:
        apis = [api_of(one.application.id, one.kind) for one in rules]
        found = await (_record(deployment_id, apis) if deployment_id else _devices(devices, apis))
        worlds = []
        for one, api, read in zip(rules, apis, found, strict=True):
            if read is not None:
                ids = frozenset(read.live.devices)
                extent = Extent(devices=ids, read=read)
                worlds.append((await discover(one, api, today=utc_today(), extent=extent), ids))
    return worlds


async def _record(deployment_id: str, apis: Sequence[LosantApi]) -> list[Read | None]:
    found: list[Read | None] = []
    problems: tuple[Problem, ...] = ()
    for api in apis:
        try:
            found.append(await api.record(deployment_id))
        except NotFound as error:
            found.append(None)
            problems = error.problems
    if problems and not any(found):
        raise UsageError(problems)
    return found


async def _devices(texts: Collection[str], apis: Sequence[LosantApi]) -> list[Read | None]:
    """The read of the devices in each application; None if it has none of them."""
    found: list[list[Read]] = [[] for _ in apis]
    for text in dict.fromkeys(texts):
        reads = [await _device(text, api) for api in apis]
        if not any(reads):
            raise await _unknown_everywhere(text, apis)
        for read, here in zip(reads, found, strict=True):
            if read:
                here.append(read)
    return [_together(here) if here else None for here in found]


async def _device(text: str, api: LosantApi) -> Read | None:
    """The read of a device, with an empty record if nothing is deployed; None if there is no such device."""
    device_id = await _look_up(text, api)
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
            devices = (Device(device_id),)  # all that this token may know
        if not devices:
            return None
        name = devices[0].name
    return read._replace(live=Live({device_id: LiveDevice(flows={}, name=name)}, read.live.flow_names))


def _together(reads: Sequence[Read]) -> Read:
    devices = {device_id: device for read in reads for device_id, device in read.live.devices.items()}
    flow_names = {flow_id: name for read in reads for flow_id, name in read.live.flow_names.items()}
    times = [read.server_time for read in reads if read.server_time is not None]
    server_time = min(times) if len(times) == len(reads) else None
    began, ended = min(read.began for read in reads), max(read.ended for read in reads)
    return Read(Live(devices, flow_names), began, ended, server_time)


async def find_device(text: str, api: LosantApi) -> DeviceId:
    """The id of a device of the kind's class, given its id, which is not looked up, or its Losant name.

    Raises:
        UsageError: no device, or several, have that name.
        PermissionDenied: the token may not look names up.
    """
    device_id = await _look_up(text, api)
    if device_id is None:
        raise await _unknown(text, api)
    return device_id


async def _look_up(text: str, api: LosantApi) -> DeviceId | None:
    """Like `find_device`, but None if no device has that name."""
    if is_id(text):
        return text.lower()
    try:
        found = await api.devices(names=[text])
    except PermissionDenied as error:
        hint = "give the token the scope devices.get, or pass the device's id"
        raise PermissionDenied(error.problems[0].message, hint=hint, status=403) from None
    if len(found) > 1:
        ids = ", ".join(device.id for device in found[:MOST_LISTED])
        hint = f"pass an id: {ids}{and_more(max(0, len(found) - MOST_LISTED))}"
        raise UsageError(f"device {text}: {len(found):,} devices have that name", hint=hint)
    return found[0].id if found else None


async def _unknown(text: str, api: LosantApi) -> UsageError:
    """The error for an unknown name, with suggestions."""
    wanted = api.kind.device_class
    for other in await api.devices(names=[text], any_class=True):
        message = f"device {text}: that device is of class {other.device_class}"
        return UsageError(message, hint=f"{api.kind} deployments support devices of class {wanted} only")
    if deleted := await api.devices(names=[text], any_class=True, deleted=True):
        return UsageError(f"device {text}: it was deleted", hint=f"its id was {deleted[0].id}")
    hint = Spelling({device.name for device in await api.devices() if device.name}).hint(text) or "check the spelling"
    return UsageError(f"device {text}: there is no such device of class {wanted}", hint=hint)


async def _unknown_everywhere(text: str, apis: Sequence[LosantApi]) -> UsageError:
    ids = ", ".join(dict.fromkeys(api.application_id for api in apis))
    error = UsageError(f"device {text}: there is no such device in application {ids}", hint="check both ids")
    for api in apis:
        try:
            if not is_id(text):
                error = await _unknown(text, api)
            elif await api.devices(ids=[text.lower()], any_class=True, deleted=True):
                error = UsageError(error.problems[0].message, hint="it was deleted")
        except ApiError:
            continue
    return error
