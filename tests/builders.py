"""Planner values from short notation, so that a test reads like the table it is about.

A row is `device/flow=version`. Rows are separated by spaces and may come as several texts.

    desired("a/pump=1.4 b/pump=absent")
    live("a/pump=1.3>1.2 b/pump=1.3")      released 1.3, reported 1.2; both 1.3
    live("a/pump=1.3>- c/")                nothing reported; a record without flows

`-` stands for null. Ids are whatever the text says: the planner does not mind that they are short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from reconciler.model.state import (
    Application,
    Decision,
    Desired,
    Device,
    Entry,
    Flow,
    Kind,
    Live,
    LiveDevice,
    Place,
    Read,
)
from reconciler.model.world import World

APPLICATION = Application("5" * 24, "plant")
PLACE = Place("manifests/test.yaml", 1)


def hex_id(number: int, prefix: str = "") -> str:
    """An id as the API has them: 24 hex digits, sorted like the numbers."""
    return f"{prefix}{number:0{24 - len(prefix)}x}"


def words(texts: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """`(device, flow, version)` of each row; flow and version are empty for `device/`."""
    for text in texts:
        for word in text.split():
            row, _, version = word.partition("=")
            device_id, slash, flow_id = row.partition("/")
            assert slash, f"a row is device/flow=version, not {word!r}"
            yield device_id, flow_id, version


def entry(text: str) -> Entry:
    """`1.3>1.2`: released, reported; `1.3`: both; `-`: null."""
    released, arrow, reported = text.partition(">")
    return Entry(_version(released), _version(reported if arrow else released))


def _version(text: str) -> str | None:
    return None if text == "-" else text


def desired(*rows: str, rule: str = "device", place: Place = PLACE) -> Desired:
    """What the manifests say; the version `absent` means absent."""
    devices: dict[str, dict[str, Decision]] = defaultdict(dict)
    for device_id, flow_id, version in words(rows):
        devices[device_id][flow_id] = Decision(None if version == "absent" else version, place, rule)
    return Desired(dict(devices))


def live(
    *rows: str,
    unknown: Collection[str] = (),
    offline: Collection[str] = (),
    unmanageable: Collection[str] = (),
    names: Mapping[str, str] | None = None,
    flow_names: Mapping[str, str] | None = None,
    only_flow: str | None = None,
) -> Live:
    """What the API shows. `unknown`, `offline`: device ids. `unmanageable`: rows as `device/flow`."""
    flows: dict[str, dict[str, Entry]] = defaultdict(dict)
    for device_id, flow_id, version in words(rows):
        device = flows[device_id]
        if flow_id:
            device[flow_id] = entry(version)
    kept_out: dict[str, set[str]] = defaultdict(set)
    for row in unmanageable:
        device_id, _, flow_id = row.partition("/")
        kept_out[device_id].add(flow_id)
    devices = {
        device_id: LiveDevice(
            flows=device,
            name=(names or {}).get(device_id),
            connected=device_id not in offline,
            unknown_bundle=device_id in unknown,
            unmanageable=frozenset(kept_out[device_id]),
        )
        for device_id, device in flows.items()
    }
    return Live(devices, flow_names or {}, only_flow)


def read(seen: Live) -> Read:
    """A read that took no time."""
    return Read(seen, 0.0, 0.0)


def world(
    wanted: Desired,
    seen: Live,
    *,
    kind: Kind = Kind.EMBEDDED,
    application: Application = APPLICATION,
    groups: Collection[str] = (),
) -> World:
    """A world with nothing in it but what is desired and what is live."""
    return World(application, kind, wanted, read(seen), groups=frozenset(groups))


def device(device_id: str, name: str | None = None, *, device_class: str = "embedded", **tags: str) -> Device:
    """A device; keyword arguments are its tags, several values of one key separated by commas."""
    return Device(device_id, name, device_class, {key: tuple(value.split(",")) for key, value in tags.items()})


def flow(flow_id: str, name: str | None = None, *, flow_class: str = "embedded") -> Flow:
    """A flow of the application."""
    return Flow(flow_id, name, flow_class)
