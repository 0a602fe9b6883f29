"""`--device`: the one device that a text names."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import PermissionDenied, UsageError
from reconciler.planner.names import Spelling, is_id
from reconciler.planner.state import Device, DeviceId, Kind
from reconciler.ports import Reader

MOST_LISTED = 5


async def find_device(text: str, reader: Reader, kind: Kind) -> DeviceId:
    """The id of the device of the kind's class that `text` names: an id, which is not looked up, or a Losant name.

    Raises:
        UsageError: no device has that name, or several have.
        PermissionDenied: the token may not look names up.
    """
    if is_id(text.lower()):
        return text.lower()
    if not text:
        raise UsageError("--device names nothing", hint="name a device, or pass its id")
    try:
        found = await reader.devices(names=[text])
        if not found:
            raise await _unknown(text, reader, kind)
    except PermissionDenied as error:
        hint = "give the token the scope devices.get, or pass the device's id"
        raise PermissionDenied(error.problems[0].message, hint=hint, status=403) from None
    if len(found) > 1:
        raise UsageError(f"{len(found):,} devices are named {text!r}", hint=f"pass an id: {_ids(found)}")
    return found[0].id


async def _unknown(text: str, reader: Reader, kind: Kind) -> UsageError:
    """Say what the name may have meant."""
    for other in await reader.devices(names=[text], any_class=True):
        message = f"device {text!r} is of class {other.device_class}"
        return UsageError(message, hint=f"{kind} deployments go to devices of class {kind.device_class} only")
    near = Spelling({device.name for device in await reader.devices() if device.name}).nearest(text)
    hint = (
        f"nearest: {', '.join(near)}" if near else f"there is no device of class {kind.device_class} with a like name"
    )
    return UsageError(f"no {kind} device is named {text!r}", hint=hint)


def _ids(devices: Sequence[Device]) -> str:
    more = f" and {len(devices) - MOST_LISTED:,} more" if len(devices) > MOST_LISTED else ""
    return ", ".join(device.id for device in devices[:MOST_LISTED]) + more
