"""Edge records: one per device and flow, read as one device."""

import asyncio
import json
from typing import Any

import pytest

from reconciler.api.edge import EdgePages
from reconciler.api.wire import Missing, Unreadable
from reconciler.errors import IncompleteRead
from reconciler.model.state import Entry, Kind, Live, LiveDevice, LogEntry
from tests.api.speaking import Pages, api_over, listing, records_of
from tests.builders import hex_id

DEVICE, PUMP, FAN = hex_id(1, "d"), hex_id(1, "f"), hex_id(2, "f")


def row(number: int, device_id: str = DEVICE, flow_id: str = PUMP, **fields: Any) -> dict[str, Any]:
    """A record that is released and reported at v1, unless told otherwise."""
    base = {"id": hex_id(number, "e"), "deviceId": device_id, "flowId": flow_id, "flowClass": "edge"}
    return {**base, "desiredVersion": "v1", "currentVersion": "v1", **fields}


def read(*rows: dict[str, Any]) -> dict[str, LiveDevice]:
    body = json.dumps(listing(rows)).encode()
    pages = EdgePages()
    return pages.merged(records_of(pages.page(body)))


def test_records_of_a_device_become_one() -> None:
    live = read(
        row(
            1, connected=1, deviceName="old name", deviceConnectionInfo={"time": "2026-01-01T00:00:00Z", "connected": 0}
        ),
        row(2, flow_id=FAN, deviceName="gate", deviceConnectionInfo={"time": "2026-01-02T00:00:00Z", "connected": 1}),
        row(3, hex_id(2, "d"), desiredVersion="v2"),
    )
    assert live == {
        DEVICE: LiveDevice(
            flows={PUMP: Entry("v1", "v1"), FAN: Entry("v1", "v1")},
            name="gate",
            connected=True,
            connection_time="2026-01-02T00:00:00Z",
        ),
        hex_id(2, "d"): LiveDevice(flows={PUMP: Entry("v2", "v1")}),
    }


def test_custom_nodes_are_rows_that_nobody_changes() -> None:
    device = read(row(1), row(2, flow_id=FAN, flowClass="customNode"))[DEVICE]
    assert device.flows == {PUMP: Entry("v1", "v1"), FAN: Entry("v1", "v1")}
    assert device.unmanageable == {FAN}


def test_an_empty_record_is_no_row() -> None:
    assert read(row(1, desiredVersion=None, currentVersion=None)) == {DEVICE: LiveDevice(flows={})}


def test_logs_belong_to_the_records_own_flow_and_are_kept_while_it_is_pending() -> None:
    log = {
        "date": "2026-01-01T00:00:00Z",
        "changeType": "current",
        "sourceType": "device",
        "sourceId": DEVICE,
        "newValue": "v2",
        "previousValue": "v1",
        "attemptedValue": "v2",
        "newEtag": "abc",
        "error": "no room",
    }
    live = read(row(1, desiredVersion="v2", logs=[log]), row(2, flow_id=FAN, logs=[log]))
    assert live[DEVICE].logs == (
        LogEntry(
            "2026-01-01T00:00:00Z", "current", PUMP, "v2", "abc", "v2", "no room", "device", DEVICE, previous="v1"
        ),
    )


def test_flow_names_do_not_depend_on_the_order_of_pages() -> None:
    bodies = [json.dumps(listing([row(n, hex_id(n, "d"), flowName=name)])).encode() for n, name in [(1, "b"), (2, "a")]]
    for order in (bodies, bodies[::-1]):
        pages = EdgePages()
        for body in order:
            pages.page(body)
        assert pages.flow_names == {PUMP: "a"}


def test_two_records_for_one_row() -> None:
    with pytest.raises(Missing, match=f"two records describe the same flow of device {DEVICE}"):
        read(row(1), row(2))


@pytest.mark.parametrize(
    ("fields", "kind", "problem"),
    [
        ({"deviceId": None}, Missing, "record 0 has no deviceId"),
        ({"flowId": None}, Missing, "record 0 has no flowId"),
        ({"flowId": "pump"}, Unreadable, f"record 0 (device {DEVICE}): flowId: "),
        ({"desiredVersion": 1.1}, Unreadable, f"record 0 (device {DEVICE}): desiredVersion: "),
        ({"currentVersion": ""}, Unreadable, f"record 0 (device {DEVICE}): currentVersion: "),
        ({"logs": [5]}, Unreadable, f"record 0 (device {DEVICE}): logs.0: "),
    ],
)
def test_odd_records_are_named(fields: dict[str, Any], kind: type[Unreadable], problem: str) -> None:
    with pytest.raises(Unreadable) as raised:
        read(row(1, **fields))
    assert type(raised.value) is kind
    assert str(raised.value).startswith(problem)


def live(server: Pages, **narrow: Any) -> Live:
    async def go() -> Live:
        async with api_over(server, kind=Kind.EDGE) as api:
            return (await api.live(**narrow)).live

    return asyncio.run(go())


def test_a_device_may_be_spread_over_pages() -> None:
    server = Pages([row(n, hex_id(n % 3, "d"), hex_id(n, "f"), flowName=f"flow {n}") for n in range(30)], cap=7)
    found = live(server)
    assert [len(device.flows) for device in found.devices.values()] == [10, 10, 10]
    assert len(found.flow_names) == 30


def test_a_read_of_one_flow_holds_nothing_else_even_if_the_server_ignores_the_filter() -> None:
    server = Pages([row(1), row(2, flow_id=FAN), row(3, hex_id(2, "d"), flow_id=FAN)])
    found = live(server, flow_id=PUMP)
    assert server.asked[0]["flowId"] == PUMP
    assert found.only_flow == PUMP
    assert {key: dict(device.flows) for key, device in found.devices.items()} == {DEVICE: {PUMP: Entry("v1", "v1")}}


def test_an_incomplete_record_ends_the_read() -> None:
    odd = row(2, flow_id=FAN)
    del odd["flowId"]
    with pytest.raises(IncompleteRead, match="page=0: record 1 has no flowId"):
        live(Pages([row(1), odd]))


def test_perpage_is_always_asked_for() -> None:
    """The API's own default for edge deployments is 100, and has been another."""
    server = Pages([row(1)])
    live(server)
    assert server.asked[0]["perPage"] == "1000"


def test_one_record_by_itself() -> None:
    log = {"date": "2026-01-01T00:00:00Z", "newValue": "v1"}
    record = EdgePages(keep_logs=True).one(json.dumps(row(1, logs=[log])).encode())
    assert (record.device_id, record.flow_id, record.entry) == (DEVICE, PUMP, Entry("v1", "v1"))
    assert record.logs == (LogEntry("2026-01-01T00:00:00Z", flow_id=PUMP, version="v1"),)
    for body in (b"[]", b"{}", b"null", b"<html>", json.dumps({"deviceId": DEVICE}).encode()):
        with pytest.raises(Unreadable):
            EdgePages().one(body)
