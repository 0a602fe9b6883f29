"""Pruning, as far as the manifests enable it: live rows that nothing declares become desired `absent`."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final

from reconciler.model.rules import Prune
from reconciler.model.state import NOTHING, Decision, Desired, DeviceId, FlowId, Live, Place

PRUNE: Final = "prune"  # the rule of a decision made by pruning
_NONE: Mapping[FlowId, Decision] = {}


def omitted(
    desired: Desired, live: Live, setting: Prune, flows: Container[FlowId]
) -> Iterator[tuple[DeviceId, tuple[FlowId, ...]]]:
    """By device, the live flows that nothing declares and that `setting` covers.

    `flows` are the declared ones. Custom-node rows are never included.
    """
    if setting is Prune.OFF:
        return
    for device_id, device in live.devices.items():
        declared = desired.devices.get(device_id, _NONE)
        if setting is Prune.DEVICES and not declared:
            continue
        among = flows if setting is Prune.FLOWS else device.flows
        found = tuple(
            flow_id
            for flow_id, entry in device.flows.items()
            if entry != NOTHING and flow_id not in declared and flow_id in among and flow_id not in device.unmanageable
        )
        if found:
            yield device_id, found


def prune(
    desired: Desired,
    live: Live,
    setting: Prune,
    *,
    flows: Container[FlowId],
    place: Place,
    existing: Container[DeviceId] | None,
) -> Desired:
    """The desired rows, with `absent` for omitted ones.

    `existing`: the devices in the device list (None: it could not be read); records of other devices are stale and
    never changed. `place` is where `prune` is set, which becomes the place of the added rows.
    """
    decision = Decision(None, place, PRUNE)
    shared: dict[tuple[int, tuple[FlowId, ...]], Mapping[FlowId, Decision]] = {}
    devices = dict(desired.devices)
    for device_id, found in omitted(desired, live, setting, flows):
        if existing is None or device_id in existing:
            declared = desired.devices.get(device_id, _NONE)
            key = (id(declared), found)
            if key not in shared:
                shared[key] = {**declared, **dict.fromkeys(found, decision)}
            devices[device_id] = shared[key]
    return Desired({device_id: devices[device_id] for device_id in sorted(devices)}) if shared else desired
