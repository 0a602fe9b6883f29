"""Worlds from short notation.

Rows are separated by blanks or new lines, device before the slash, flow behind it, ids as written:

    desired("a/pump=1.4 b/pump=absent")
    live("a/pump=1.3 b/pump=1.3>1.2 c/pump=1.3>- d/pump=->1.3 e?/pump=1.3 f")

In `live`, `1.3>1.2` is released 1.3 and reported 1.2, a single version is both, `-` is nothing; a device with `?`
reports an unknown bundle; a device without a flow has a record without rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.planner.state import Decision, Desired, Entry, Live, LiveDevice, Place, Version

PLACE = Place("manifests/fleet.yaml", 1)


def desired(text: str, *, rule: str = "device", place: Place = PLACE) -> Desired:
    """What the manifests say; every row is decided by `rule`, at `place`."""
    devices: dict[str, dict[str, Decision]] = {}
    for word in text.split():
        row, _, version = word.partition("=")
        device_id, _, flow_id = row.partition("/")
        decision = Decision(None if version == "absent" else version, place, rule)
        devices.setdefault(device_id, {})[flow_id] = decision
    return Desired(devices)


def live(text: str, *, names: Mapping[str, str] | None = None, only_flow: str | None = None) -> Live:
    """What the API shows. `names`: device id to name."""
    flows: dict[str, dict[str, Entry]] = {}
    unknown = set()
    for word in text.split():
        row, _, versions = word.partition("=")
        device_id, _, flow_id = row.partition("/")
        if device_id.endswith("?"):
            device_id = device_id[:-1]
            unknown.add(device_id)
        entries = flows.setdefault(device_id, {})
        if flow_id:
            entries[flow_id] = entry(versions)
    devices = {
        device_id: LiveDevice(entries, name=(names or {}).get(device_id), unknown_bundle=device_id in unknown)
        for device_id, entries in flows.items()
    }
    return Live(devices, only_flow=only_flow)


def entry(versions: str) -> Entry:
    """`1.3>1.2` or `1.3`, with `-` for nothing."""
    released, arrow, reported = versions.partition(">")
    return Entry(_version(released), _version(reported if arrow else released))


def _version(text: str) -> Version | None:
    return None if text == "-" else text
