"""The application that the cases are resolved against: small, and with every trap in it."""

from __future__ import annotations

from reconciler.model.state import Application, Entry, Kind
from tests.fakes import FakeApi

PLANT = Application("575ec8687ae143cd83dc4a97", "plant")
EDGE_FLOW = "575ed18f7ae143cd83dc4ae0"
TELEMETRY, ALARMS, LEGACY, SAFETY = (f"575ed18f7ae143cd83dc4a{end}" for end in ("a6", "a7", "a8", "a9"))
VERSIONS = ("v1.2.2", "v1.2.3", "v1.3.0", "1.10", "1.0", "012", "2026-01-15", "2019-03-26 10:33:32", "no", "1_000",
            "1:30", "0x1f", "1e3", "true", "null", "~", "v 1 # not a comment")  # fmt: skip


def device_id(number: int) -> str:
    """Ids of the pumps."""
    return f"575ecf887ae143cd83dc40{number:02d}"


def plant(kind: Kind = Kind.EMBEDDED) -> FakeApi:
    """Pumps 1 to 4 in leeds, 5 to 8 in york, even ones of revision b; twins; a gateway; devices with odd ids."""
    api = FakeApi(application=PLANT, kind=kind)
    if kind is Kind.EDGE:
        api.add_device(device_id(90), "box-1", tags={"site": ("leeds",)})
        api.add_flow(EDGE_FLOW, "collect", ["v1"])
        return api
    for number in range(1, 9):
        tags = {"site": ("leeds" if number < 5 else "york",), "rev": ("b" if number % 2 == 0 else "a",)}
        api.add_device(device_id(number), f"pump-{number:03}", tags=tags)
    api.devices_by_id[device_id(8)].tags = {"site": ("york", "hull"), "rev": ("b",)}
    api.add_device(device_id(21), "twin")
    api.add_device(device_id(22), "twin")
    api.add_device(device_id(31), "gw-1", device_class="gateway", tags={"site": ("leeds",)})
    api.add_device("123456789012345678901234", "all digits")
    api.add_device("000000000000000000000017", "leading zeros")
    api.add_device("1234567890123456789e1234", "a float")
    api.add_flow(TELEMETRY, "telemetry", VERSIONS)
    api.add_flow(ALARMS, "alarms", ["v2.0.0", "v2.1.0"])
    api.add_flow(LEGACY, "legacy", ["v0.9"])
    api.add_flow(SAFETY, "safety-shutdown", ["v1"])
    api.add_flow("575ed18f7ae143cd83dc4aaa", "double", ["v1"])
    api.add_flow("575ed18f7ae143cd83dc4aab", "double", ["v1"])
    for number in (1, 2, 5):
        api.set_entry(device_id(number), TELEMETRY, Entry("v1.2.3", "v1.2.3"))
        api.set_entry(device_id(number), LEGACY, Entry("v0.9", "v0.9"))
    api.set_entry(device_id(7), ALARMS, Entry("v2.0.0", None))
    # A deployment record that outlived its device.
    api.add_device(device_id(99), "gone", flows={LEGACY: Entry("v0.9", "v0.9")}, device_class="deleted")
    return api
