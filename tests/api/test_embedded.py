"""Embedded records: what is read, what is shared, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.embedded import EmbeddedPages
from reconciler.api.wire import Missing, Unreadable, parse_quickly
from reconciler.model.state import Entry, LiveDevice, LogEntry
from tests.api.speaking import listing, records_of
from tests.builders import hex_id

DEVICE, PUMP, FAN = hex_id(1, "d"), hex_id(1, "f"), hex_id(2, "f")


def page(*records: Any, pages: EmbeddedPages | None = None, **more: Any) -> dict[str, LiveDevice]:
    """Devices of one page that holds these records."""
    body = json.dumps(listing(records, **more), separators=(",", ":")).encode()
    pages = pages or EmbeddedPages()
    return pages.merged(records_of(pages.page(body)))


def only(**fields: Any) -> LiveDevice:
    """What a record with these fields says."""
    return page({"id": hex_id(1, "e"), "deviceId": DEVICE, **fields})[DEVICE]


def test_a_full_record() -> None:
    """The record of the API's reference, with one converged, one leaving and one arriving flow."""
    device = only(
        embeddedDeploymentId=hex_id(1, "e"),
        applicationId=hex_id(7),
        lastUpdated="2026-03-09T16:40:55.003Z",
        deviceName="pump-ctrl-07",
        deviceConnectionInfo={"time": "2026-03-09T16:02:11.480Z", "connected": 0},
        flows={
            PUMP: {"flowName": "pump", "currentVersion": "2026.03.0", "desiredVersion": "2026.03.1"},
            FAN: {"flowName": "fan", "currentVersion": "v7", "desiredVersion": None},
            hex_id(3, "f"): {"flowName": "leak", "currentVersion": None, "desiredVersion": "v1.0.0"},
        },
        currentBundleVersion="1772442847",
        desiredBundleVersion="1773074455",
        unknownBundle=False,
        logs=[
            {
                "sourceType": "apiToken",
                "sourceId": hex_id(8),
                "date": "2026-03-09T16:40:55.003Z",
                "changeType": "desired",
                "updateType": "newFlow",
                "updateFlowId": PUMP.upper(),
                "desiredVersion": "v1.0.0",
                "newBundle": "1773074455",
            },
            {"date": "2026-03-02T09:15:31.902Z", "changeType": "current", "attemptedBundle": "17", "error": "no"},
        ],
        _type="embeddedDeployment",
        _links={"self": {"href": "/x"}},
    )
    assert device == LiveDevice(
        flows={PUMP: Entry("2026.03.1", "2026.03.0"), FAN: Entry(None, "v7"), hex_id(3, "f"): Entry("v1.0.0", None)},
        name="pump-ctrl-07",
        connected=False,
        connection_time="2026-03-09T16:02:11.480Z",
        unknown_bundle=False,
        released_bundle="1773074455",
        reported_bundle="1772442847",
        logs=(
            LogEntry(
                "2026-03-09T16:40:55.003Z",
                "desired",
                PUMP,
                "v1.0.0",
                "1773074455",
                source_type="apiToken",
                source_id=hex_id(8),
                update="newFlow",
            ),
            LogEntry("2026-03-02T09:15:31.902Z", "current", None, None, None, "17", "no", None, None),
        ),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"flows": None},
        {"flows": {}},
        {"flows": {PUMP: {}}},
        {"flows": {PUMP: {"currentVersion": None, "desiredVersion": None}}},
        {"deviceName": None, "deviceConnectionInfo": None, "unknownBundle": None, "logs": None},
        {"deviceConnectionInfo": {}, "logs": []},
        {"deviceConnectionInfo": {"connected": None, "time": None}},
        {"somethingNew": {"nested": [1, {"deep": True}]}},
    ],
)
def test_every_field_but_the_device_may_be_absent_or_null(fields: dict[str, Any]) -> None:
    assert only(**fields) == LiveDevice(flows={})


@pytest.mark.parametrize(("wire", "connected"), [(1, True), (0, False), (None, None)])
def test_connected_is_a_number_on_the_wire(wire: int | None, connected: bool | None) -> None:
    assert only(deviceConnectionInfo={"connected": wire}).connected is connected


def test_ids_are_lower_case_whatever_the_server_writes() -> None:
    body = {"id": hex_id(1, "E"), "deviceId": DEVICE.upper(), "flows": {PUMP.upper(): {"desiredVersion": "v1"}}}
    assert page(body) == {DEVICE: LiveDevice(flows={PUMP: Entry("v1", None)})}


def test_a_record_without_an_id_goes_by_its_device() -> None:
    assert list(page({"deviceId": DEVICE}, {"deviceId": hex_id(2, "d")})) == [DEVICE, hex_id(2, "d")]


@pytest.mark.parametrize(
    ("released", "reported", "unknown", "kept"),
    [
        ("v1", "v1", False, 0),
        ("v2", "v1", False, 1),
        ("v1", "v1", True, 1),
        (None, "v1", False, 1),
        (None, None, False, 0),
    ],
)
def test_logs_are_kept_where_somebody_may_ask(
    released: str | None, reported: str | None, unknown: bool, kept: int
) -> None:
    flows = {
        PUMP: {"desiredVersion": released, "currentVersion": reported},
        FAN: {"desiredVersion": "v", "currentVersion": "v"},
    }
    assert len(only(flows=flows, unknownBundle=unknown, logs=[{"error": "no"}]).logs) == kept


def test_an_odd_log_line_stops_nobody() -> None:
    device = only(unknownBundle=True, logs=[{"error": 5, "date": ["x"], "updateFlowId": None, "changeType": "current"}])
    assert device.logs == (LogEntry(change="current"),)


def test_entries_ids_and_maps_are_shared() -> None:
    flows = {
        PUMP: {"desiredVersion": "v1", "currentVersion": "v1"},
        FAN: {"desiredVersion": "v1", "currentVersion": "v1"},
    }
    other = {FAN: {"desiredVersion": "v1", "currentVersion": "v1"}}
    pages = EmbeddedPages()
    found: dict[str, LiveDevice] = {}
    for start in (0, 10):
        records = [{"deviceId": hex_id(start + n, "d"), "flows": flows if n < 3 else other} for n in range(5)]
        found |= page(*records, pages=pages)
    entries = {id(entry) for device in found.values() for entry in device.flows.values()}
    keys = {id(key) for device in found.values() for key in device.flows}
    assert len(entries) == 1
    assert len(keys) == 2
    assert len({id(device.flows) for device in found.values()}) == 2


def test_flow_names_come_with_the_records_in_an_order_of_their_own() -> None:
    pages = EmbeddedPages()
    page({"deviceId": hex_id(1, "d"), "flows": {PUMP: {"flowName": "pump"}, FAN: {}}}, pages=pages)
    page({"deviceId": hex_id(2, "d"), "flows": {PUMP: {"flowName": "old pump"}, FAN: {"flowName": None}}}, pages=pages)
    assert pages.flow_names == {PUMP: "old pump"}


PLACE = f"record 0 (device {DEVICE})"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"deviceId": "pump-1"}, "record 0: deviceId: "),
        ({"deviceId": 5}, "record 0: deviceId: "),
        ({"deviceId": DEVICE + "\n"}, "record 0: deviceId: "),
        ({"id": 5}, f"{PLACE}: id: "),
        ({"deviceName": 5}, f"{PLACE}: deviceName: "),
        ({"deviceName": ["x"]}, f"{PLACE}: deviceName: "),
        ({"flows": []}, None),
        ({"flows": [1]}, f"{PLACE}: flows: "),
        ({"flows": "x"}, f"{PLACE}: flows: "),
        ({"flows": {"telemetry": {"desiredVersion": "v1"}}}, f"{PLACE}: flows.telemetry"),
        ({"flows": {PUMP: None}}, f"{PLACE}: flows.{PUMP}: "),
        ({"flows": {PUMP: "v1"}}, f"{PLACE}: flows.{PUMP}: "),
        ({"flows": {PUMP: {"desiredVersion": 1.1}}}, f"{PLACE}: flows.{PUMP}.desiredVersion: "),
        ({"flows": {PUMP: {"desiredVersion": True}}}, f"{PLACE}: flows.{PUMP}.desiredVersion: "),
        ({"flows": {PUMP: {"desiredVersion": ""}}}, f"{PLACE}: flows.{PUMP}.desiredVersion: "),
        ({"flows": {PUMP: {"desiredVersion": ["v1"]}}}, f"{PLACE}: flows.{PUMP}.desiredVersion: "),
        ({"flows": {PUMP: {"currentVersion": {}}}}, f"{PLACE}: flows.{PUMP}.currentVersion: "),
        ({"flows": {PUMP: {"currentVersion": 7}}}, f"{PLACE}: flows.{PUMP}.currentVersion: "),
        ({"flows": {PUMP: {"desiredVersion": "v1"}, PUMP.upper(): {"desiredVersion": "v2"}}}, PLACE),
        ({"unknownBundle": "false"}, f"{PLACE}: unknownBundle: "),
        ({"unknownBundle": 0}, f"{PLACE}: unknownBundle: "),
        ({"deviceConnectionInfo": {"connected": 2}}, f"{PLACE}: deviceConnectionInfo.connected: "),
        ({"deviceConnectionInfo": {"connected": [1]}}, f"{PLACE}: deviceConnectionInfo.connected: "),
        ({"deviceConnectionInfo": {"time": 5}}, f"{PLACE}: deviceConnectionInfo.time: "),
        ({"deviceConnectionInfo": "yes"}, f"{PLACE}: deviceConnectionInfo: "),
        ({"currentBundleVersion": 5}, f"{PLACE}: currentBundleVersion: "),
        ({"logs": {"0": {}}}, f"{PLACE}: logs: "),
        ({"logs": ["x"], "unknownBundle": True}, f"{PLACE}: logs.0: "),
        ({"logs": [None], "unknownBundle": True}, f"{PLACE}: logs.0: "),
    ],
)
def test_a_field_of_another_type_is_named(fields: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        assert only(**fields).flows == {}
        return
    with pytest.raises(Unreadable) as raised:
        only(**fields)
    assert not isinstance(raised.value, Missing)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize("item", [None, 5, "x", []])
def test_a_record_that_is_no_object(item: object) -> None:
    with pytest.raises(Unreadable, match="record 1 is not an object"):
        page({"deviceId": DEVICE}, item)


# Against a second reading, written without any care for speed.

texts = st.sampled_from(["v1", "v2", "1.10", "é", 'a":b', "x : y", "\u2028", "😀"])
versions = st.none() | texts
flow_maps = st.dictionaries(
    st.sampled_from([PUMP, FAN.upper(), hex_id(3, "f")]),
    st.fixed_dictionaries({}, optional={"desiredVersion": versions, "currentVersion": versions, "flowName": versions}),
    max_size=3,
)
records = st.fixed_dictionaries(
    {},
    optional={
        "deviceName": versions,
        "flows": st.none() | flow_maps,
        "unknownBundle": st.none() | st.booleans(),
        "deviceConnectionInfo": st.none()
        | st.fixed_dictionaries({}, optional={"connected": st.sampled_from([0, 1, None]), "time": versions}),
        "currentBundleVersion": versions,
        "desiredBundleVersion": versions,
        "logs": st.none() | st.lists(st.fixed_dictionaries({}, optional={"error": texts, "date": texts}), max_size=2),
        "_links": st.just({"self": {"href": "/x"}}),
    },
)


def plainly(item: dict[str, Any]) -> LiveDevice:
    """One record, read the obvious way."""
    flows = {}
    for flow_id, row in (item.get("flows") or {}).items():
        pair = Entry(row.get("desiredVersion"), row.get("currentVersion"))
        if pair != Entry(None, None):
            flows[flow_id.lower()] = pair
    connection = item.get("deviceConnectionInfo") or {}
    settled = all(pair.released == pair.reported for pair in flows.values()) and not item.get("unknownBundle")
    return LiveDevice(
        flows=flows,
        name=item.get("deviceName"),
        connected={0: False, 1: True, None: None}[connection.get("connected")],
        connection_time=connection.get("time"),
        unknown_bundle=item.get("unknownBundle") is True,
        released_bundle=item.get("desiredBundleVersion"),
        reported_bundle=item.get("currentBundleVersion"),
        logs=()
        if settled
        else tuple(LogEntry(date=log.get("date"), error=log.get("error")) for log in item.get("logs") or ()),
    )


@given(st.lists(records, max_size=6), st.booleans(), st.sampled_from([None, 2]))
def test_the_fast_way_reads_what_the_plain_way_reads(
    items: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    items = [{**item, "id": hex_id(n, "e"), "deviceId": hex_id(n, "d")} for n, item in enumerate(items)]
    separators = (",", ":") if indent is None else None
    text = json.dumps(listing(items), ensure_ascii=ascii_only, indent=indent, separators=separators)
    pages = EmbeddedPages()
    found = pages.merged(records_of(pages.page(text.encode())))
    assert found == {item["deviceId"]: plainly(item) for item in items}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_it_stumble(data: object) -> None:
    bodies = [data, {"items": data, "totalCount": 1}, {"items": [data], "totalCount": 1}]
    bodies += [
        {"items": [{"deviceId": DEVICE, key: data}], "totalCount": 1}
        for key in ("flows", "logs", "deviceConnectionInfo")
    ]
    bodies += [{"items": [{"deviceId": DEVICE, "flows": {PUMP: data}}], "totalCount": 1}]
    for body in bodies:
        try:
            text = json.dumps(body).encode()
            assert parse_quickly(text) == body
            EmbeddedPages().page(text)
        except Unreadable:
            pass


def test_the_log_of_a_settled_device_is_kept_where_the_device_was_asked_for() -> None:
    item = {"deviceId": DEVICE, "logs": [{"date": "2026-03-02T09:15:31.902Z", "sourceType": "user"}]}
    for keep, logs in ((False, ()), (True, (LogEntry("2026-03-02T09:15:31.902Z", source_type="user"),))):
        assert page(item, pages=EmbeddedPages(keep_logs=keep))[DEVICE].logs == logs


def test_one_record_by_itself() -> None:
    item = {"deviceId": DEVICE, "flows": {PUMP: {"flowName": "pump", "desiredVersion": "v1"}}}
    pages = EmbeddedPages(keep_logs=True)
    assert pages.one(json.dumps(item).encode()) == (DEVICE, page(item)[DEVICE])
    assert pages.flow_names == {PUMP: "pump"}
    for body in (b"[]", b"{}", b"null", b"<html>", b'{"deviceId": "x"}', json.dumps(listing([item])).encode()):
        with pytest.raises(Unreadable):
            pages.one(body)
