"""`--device`: the one device that a text names."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import PermissionDenied, UsageError
from reconciler.model.state import Device, DeviceId, Kind
from reconciler.model.text import is_id
from reconciler.planner.resolution.names import Spelling
from reconciler.ports import Reader

MOST_LISTED = 5


async def find_device(text: str, reader: Reader, kind: Kind) -> DeviceId:
    """The id of the device of the kind's class that `text` names: an id, which is not looked up, or a Losant name.

    Raises:
        UsageError: no device has that name, or several have.
        PermissionDenied: the token may not look names up.
    """
    device_id = await look_up(text, reader)
    if device_id is None:
        raise await unknown(text, reader, kind)
    return device_id


async def look_up(text: str, reader: Reader) -> DeviceId | None:
    """As `find_device`, but None where no device has that name."""
    if is_id(text):
        return text.lower()
    if not text:
        raise UsageError("--device names nothing", hint="name a device, or pass its id")
    try:
        found = await reader.devices(names=[text])
    except PermissionDenied as error:
        hint = "give the token the scope devices.get, or pass the device's id"
        raise PermissionDenied(error.problems[0].message, hint=hint, status=403) from None
    if len(found) > 1:
        raise UsageError(f"--device {text}: {len(found):,} devices have that name", hint=f"pass an id: {_ids(found)}")
    return found[0].id if found else None


async def unknown(text: str, reader: Reader, kind: Kind) -> UsageError:
    """The error for a name that no device has, with what it may have meant."""
    for other in await reader.devices(names=[text], any_class=True):
        message = f"--device {text}: that device is of class {other.device_class}"
        return UsageError(message, hint=f"{kind} deployments go to devices of class {kind.device_class} only")
    near = Spelling({device.name for device in await reader.devices() if device.name}).nearest(text)
    message = f"--device {text}: there is no such device of class {kind.device_class}"
    return UsageError(message, hint=f"nearest: {', '.join(near)}" if near else "check the spelling")


def _ids(devices: Sequence[Device]) -> str:
    more = f" and {len(devices) - MOST_LISTED:,} more" if len(devices) > MOST_LISTED else ""
    return ", ".join(device.id for device in devices[:MOST_LISTED]) + more
