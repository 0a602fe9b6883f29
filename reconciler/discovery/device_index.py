"""An index of the application's known devices, which reads more in as few requests as possible."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Set
from typing import TypeVar

from reconciler.errors import PermissionDenied
from reconciler.model.state import Device, DeviceId, Kind
from reconciler.ports import Reader

LOOK_UP_SIZE = 100  # values in one `$in`
PAGE_SIZE = 1000  # devices in one page of a listing

T = TypeVar("T")


class DeviceIndex:
    """Devices by id, as they become known: `devices` of the manifest's class, `others` that were looked up.

    `complete`: every device of the class is known. `at_least`: a lower bound of their number, without a request.
    """

    def __init__(self, reader: Reader, kind: Kind) -> None:
        self._reader = reader
        self._kind = kind
        self.devices: dict[DeviceId, Device] = {}
        self.others: dict[DeviceId, Device] = {}
        self._absent: set[DeviceId] = set()  # looked up, and not found
        self.complete = False
        self.at_least = 0

    async def list_all(self) -> None:
        """Read the whole list: one request per thousand devices."""
        if not self.complete:
            self._learn(await _allowed(self._reader.devices()))
            self.complete = True

    async def try_to_name(self, names: Collection[str]) -> bool:
        """Read the candidates for misspelt names: all names, and devices of other classes. False if forbidden."""
        try:
            await self.list_all()
            self._learn(await self._reader.devices(names=set(sorted(names)[:LOOK_UP_SIZE]), any_class=True))
        except PermissionDenied:
            return False
        return True

    async def query(self, query: str) -> frozenset[DeviceId]:
        """The devices that an advanced query selects."""
        devices = await _allowed(self._reader.devices(query=query))
        self._learn(devices)
        return frozenset(device.id for device in devices)

    async def look_up(self, *, ids: Iterable[DeviceId] = (), names: Iterable[str] = ()) -> None:
        """Read these devices, in batches or by the whole list, whichever takes fewer requests."""
        wanted_ids, wanted_names = set(ids) - self.devices.keys() - self.others.keys() - self._absent, set(names)
        look_ups = -(-len(wanted_ids) // LOOK_UP_SIZE) + -(-len(wanted_names) // LOOK_UP_SIZE)
        if self.complete or not look_ups:
            return
        if await self._listing_is_shorter(look_ups):
            await self.list_all()
            return
        if wanted_ids:
            self._learn(await _allowed(self._reader.devices(ids=wanted_ids, any_class=True)))
            self._absent |= wanted_ids - self.devices.keys() - self.others.keys()
        if wanted_names:
            self._learn(await _allowed(self._reader.devices(names=wanted_names)))

    async def existing(self, ids: Collection[DeviceId]) -> Collection[DeviceId]:
        """Known devices of the class, including those of `ids` that exist."""
        await self.look_up(ids=ids)
        return self.devices.keys()

    async def missing(self, ids: Set[DeviceId], others: Set[DeviceId]) -> frozenset[DeviceId]:
        """Those of these ids that no device has. Empty if the token may not read devices.

        `others` have deployment records; where the whole list was read, they are not checked for another class.
        """
        wanted = ids | others
        try:
            await self.look_up(ids=wanted)
            await self.other_class(ids - self.devices.keys())
        except PermissionDenied:
            return frozenset()
        return frozenset(wanted - self.devices.keys() - self.others.keys())

    async def deleted(self, names: Collection[str]) -> dict[str, tuple[DeviceId, ...]]:
        """Ids of the recently deleted devices with these names. Empty if the token may not read devices."""
        try:
            found = await self._reader.devices(names=names, any_class=True, deleted=True) if names else ()
        except PermissionDenied:
            return {}
        by_name: dict[str, tuple[DeviceId, ...]] = {}
        for device in found:
            by_name[device.name or ""] = (*by_name.get(device.name or "", ()), device.id)
        return by_name

    async def other_class(self, ids: Iterable[DeviceId]) -> None:
        """Read which of these devices, none of which is of the class, are of another class."""
        unknown = set(sorted(set(ids) - self.others.keys() - self._absent)[:LOOK_UP_SIZE])
        if self.complete and unknown:
            self._learn(await _allowed(self._reader.devices(ids=unknown, any_class=True)))
            self._absent |= unknown - self.devices.keys() - self.others.keys()

    def other_classes(self) -> dict[str, str]:
        """Classes of the known devices of other classes, by name."""
        return {one.name: one.device_class for one in self.others.values() if one.name and one.device_class}

    async def _listing_is_shorter(self, look_ups: int) -> bool:
        # Reading the number of devices is a request too, so it pays off only if it can save one.
        if look_ups <= 2 or -(-self.at_least // PAGE_SIZE) + 1 >= look_ups:
            return False
        return -(-await _allowed(self._reader.device_count()) // PAGE_SIZE) < look_ups

    def _learn(self, devices: Collection[Device]) -> None:
        ours = (None, self._kind.device_class)
        self.devices.update({device.id: device for device in devices if device.device_class in ours})
        self.others.update({device.id: device for device in devices if device.device_class not in ours})


async def _allowed(answer: Awaitable[T]) -> T:
    """The result of a read; if the token lacks the scope, the error names it."""
    try:
        return await answer
    except PermissionDenied as error:
        hint = "give the token the scope devices.get, or use device ids"
        raise PermissionDenied(f"devices cannot be read: {error.problems[0].message}", hint=hint, status=403) from None
