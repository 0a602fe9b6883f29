"""The evidence of a read: what each device's log comes down to, for both kinds."""

from __future__ import annotations

import asyncio
import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api import evidence as module
from reconciler.api.deployments import DeploymentPages
from reconciler.api.edge import EdgePages
from reconciler.api.embedded import EmbeddedPages
from reconciler.api.wire import Unreadable
from reconciler.model.log import in_order, unix_time
from reconciler.model.state import NO_EVIDENCE, EdgeEvidence, Evidence, Kind, LiveDevice, LogLine
from tests.api.speaking import Pages, api_over, listing, records_of
from tests.builders import hex_id

DEVICE, PUMP, FAN = hex_id(1, "d"), hex_id(1, "f"), hex_id(2, "f")
NOON, LATER, LATEST = "2026-03-02T12:00:00.000Z", "2026-03-02T12:00:00.250Z", "2026-03-02T14:00:01+01:00"
UNKNOWN = float("-inf")


def read(pages: DeploymentPages[Any], *records: dict[str, Any]) -> dict[str, LiveDevice]:
    return pages.merged(records_of(pages.page(json.dumps(listing(records)).encode())))


def embedded(*logs: Any, number: int = 1, **fields: Any) -> dict[str, Any]:
    """The record of a device that runs what was released to it."""
    flows = {PUMP: {"desiredVersion": "v1", "currentVersion": "v1"}}
    return {"id": hex_id(number, "e"), "deviceId": hex_id(number, "d"), "flows": flows, "logs": [*logs], **fields}


def edge(*logs: Any, number: int = 1, flow_id: str = PUMP, **fields: Any) -> dict[str, Any]:
    """The record of a flow that runs as released."""
    base = {"id": hex_id(number, "e"), "deviceId": DEVICE, "flowId": flow_id, "flowClass": "edge"}
    return {**base, "desiredVersion": "v1", "currentVersion": "v1", "logs": [*logs], **fields}


def of_embedded(*logs: Any, **fields: Any) -> Evidence:
    return read(EmbeddedPages(evidence=True), embedded(*logs, **fields))[DEVICE].evidence


RELEASED = {
    "date": NOON,
    "changeType": "desired",
    "updateType": "replaceFlow",
    "updateFlowId": PUMP.upper(),
    "desiredVersion": "v1",
    "newBundle": "17",
    "sourceType": "user",
    "sourceId": hex_id(8),
}
REPORTED = {"date": LATER, "changeType": "current", "updateType": "device", "newBundle": "17", "oldBundle": "16"}
FAILED = {"date": LATEST, "changeType": "current", "updateType": "device", "attemptedBundle": "18", "error": "full"}


def test_a_settled_device_has_its_log_oldest_first_and_the_time_of_its_record() -> None:
    evidence = of_embedded(FAILED, REPORTED, RELEASED, lastUpdated=LATEST)
    assert evidence.lines == (
        LogLine("desired", PUMP, "v1", "1", update="replaceFlow"),
        LogLine("current", bundle="1", update="device"),
        LogLine("current", error="full", update="device"),
    )
    assert list(evidence.instants) == [unix_time(NOON), unix_time(NOON) + 0.25, unix_time(NOON) + 3601]
    assert (evidence.updated, evidence.records) == (unix_time(LATEST), None)


@pytest.mark.parametrize("logs", [{}, {"logs": None}, {"logs": []}])
def test_a_device_without_a_log_has_only_a_time(logs: dict[str, Any]) -> None:
    record = {key: value for key, value in embedded(lastUpdated=NOON).items() if key != "logs"}
    assert read(EmbeddedPages(evidence=True), {**record, **logs})[DEVICE].evidence == Evidence(updated=unix_time(NOON))


@pytest.mark.parametrize("updated", [None, "soon", 5, ["x"], {}, True])
def test_a_time_that_cannot_be_read_is_unknown(updated: object) -> None:
    assert of_embedded(REPORTED, lastUpdated=updated).updated == UNKNOWN
    assert read(EdgePages(evidence=True), edge(lastUpdated=updated))[DEVICE].evidence.updated == UNKNOWN


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_is_condensed_unless_it_is_asked_for(kind: Kind) -> None:
    server = Pages([embedded(RELEASED, number=1, flowId=PUMP)])

    async def go() -> None:
        async with api_over(server, kind=kind) as api:
            assert (await api.live()).live.devices[DEVICE].evidence is NO_EVIDENCE
            assert (await api.live(evidence=True)).live.devices[DEVICE].evidence.lines

    asyncio.run(go())


def test_devices_share_what_their_logs_have_in_common() -> None:
    """Over all pages. Dates, sources and what was attempted do not count, nor does the order in which entries come."""
    pages = EmbeddedPages(evidence=True)
    found = read(pages, embedded(RELEASED, REPORTED, number=1))
    found |= read(pages, embedded(REPORTED | {"date": LATEST}, RELEASED | {"sourceId": hex_id(9)}, number=2))
    found |= read(pages, embedded(RELEASED, REPORTED, FAILED, number=3))
    first, second, third = (device.evidence for device in found.values())
    assert first.lines is second.lines
    assert all(one is other for one, other in zip(first.lines, third.lines, strict=False))
    assert list(first.instants) != list(second.instants)
    assert isinstance(first.instants, array)


@pytest.mark.parametrize("entry", [None, 5, "x", []])
def test_an_entry_that_is_no_object_is_told(entry: object) -> None:
    with pytest.raises(Unreadable, match=f"record 0 .device {DEVICE}.: logs.1: "):
        of_embedded(REPORTED, entry)
    with pytest.raises(Unreadable, match=f"record 0 .device {DEVICE}.: logs.1: "):
        read(EdgePages(evidence=True), edge(REPORTED, entry))


# Against a second reading, written without any care for speed.

oddities: st.SearchStrategy[Any] = st.sampled_from([None, 5, True, 1.5, ["x"], {"y": []}])
dates = st.sampled_from([NOON, LATER, LATEST, "2026-03-02T12:00:00", "2026-03-02", "soon", ""]) | oddities
texts = st.sampled_from(["v1", "v2", "", PUMP, FAN.upper(), "desired", "current", "clear", "device"]) | oddities
names = ["changeType", "updateFlowId", "desiredVersion", "newBundle", "updateType", "newValue", "newEtag"]
entries = st.fixed_dictionaries(
    {}, optional={"date": dates, "error": texts, "previousValue": texts, **dict.fromkeys(names, texts)}
)
logs = st.lists(entries, max_size=5)


def plainly(log: list[dict[str, Any]], flow_id: str | None = None) -> list[tuple[float, LogLine]]:
    """A log read the obvious way, an edge record's with its flow."""
    dated = []
    bundles: dict[str, str] = {}  # bundles of embedded devices go by their order in the log
    for entry in log:
        said = {key: value for key, value in entry.items() if isinstance(value, str)}
        change, error, date = said.get("changeType"), said.get("error"), unix_time(said.get("date"))
        if flow_id is None:
            named = said.get("updateFlowId")
            bundle = said.get("newBundle")
            number = None if bundle is None else bundles.setdefault(bundle, str(len(bundles) + 1))
            own = (None if named is None else named.lower()), said.get("desiredVersion"), number
            dated.append((date, LogLine(change, *own, error, said.get("updateType"))))
        else:
            own = flow_id, said.get("newValue"), said.get("newEtag")
            dated.append((date, LogLine(change, *own, error, previous=said.get("previousValue"))))
    return in_order(dated)


def dated(evidence: Evidence) -> list[tuple[float, LogLine]]:
    return list(zip(evidence.instants, evidence.lines, strict=True))


@given(st.lists(logs, max_size=4), st.sampled_from([1, module._MOST_KINDS]))
def test_embedded_logs_are_read_as_the_plain_way_reads_them(found: list[list[Any]], most_kinds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_KINDS", most_kinds)
        records = [embedded(*log, number=number) for number, log in enumerate(found)]
        devices = read(EmbeddedPages(evidence=True), *records)
    assert [dated(device.evidence) for device in devices.values()] == [plainly(log) for log in found]


def test_lines_of_one_instant_are_in_their_order_where_the_other_order_is_known_too() -> None:
    """By rank: what was reported comes before what was released at the same instant."""
    pages = EmbeddedPages(evidence=True)
    at_once = {**REPORTED, "date": NOON}
    found = read(
        pages, embedded(RELEASED, REPORTED, number=1), embedded({**RELEASED, "date": LATEST}, at_once, number=2)
    )
    found |= read(pages, embedded(RELEASED, at_once, number=3), embedded(at_once, RELEASED, number=4))
    changes = [[line.change for line in device.evidence.lines] for device in found.values()]
    assert changes == [["desired", "current"], *[["current", "desired"]] * 3]


def test_bundles_matter_only_within_a_log_so_devices_share_lines_whatever_theirs_are_called() -> None:
    pages = EmbeddedPages(evidence=True)
    other = [{**one, "newBundle": "99"} for one in (RELEASED, REPORTED)]
    found = read(pages, embedded(RELEASED, REPORTED, currentBundleVersion="17"))
    found |= read(pages, embedded(*other, number=2, currentBundleVersion="99"))
    found |= read(pages, embedded(*other, number=3, currentBundleVersion="17"))
    first, second, third = (device.evidence for device in found.values())
    assert first.lines is second.lines is third.lines
    assert (first.bundle, second.bundle, third.bundle) == ("1", "1", None)


@given(st.lists(logs, min_size=1, max_size=3), st.sampled_from([1, module._MOST_KINDS]))
def test_edge_logs_are_merged_as_the_plain_way_merges_them(found: list[list[Any]], most_kinds: int) -> None:
    flow_ids = [hex_id(number, "f") for number in range(len(found))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_KINDS", most_kinds)
        records = [edge(*log, number=number, flow_id=flow_ids[number]) for number, log in enumerate(found)]
        device = read(EdgePages(evidence=True), *records)[DEVICE]
    plain = [line for one, log in zip(flow_ids, found, strict=True) for line in plainly(log, one)]
    assert dated(device.evidence) == in_order(plain)


def test_an_edge_device_has_the_logs_of_all_its_records_and_the_facts_of_each() -> None:
    released = {"date": NOON, "changeType": "desired", "newValue": "v2", "previousValue": "v1", "newEtag": "b"}
    reported = {**released, "date": LATEST, "changeType": "current"}
    failed = {"date": LATER, "changeType": "current", "attemptedValue": "v2", "error": "full"}
    device = read(
        EdgePages(evidence=True),
        edge(reported, released, number=1, flow_id=FAN, currentEtag="b", lastUpdated=LATEST),
        edge(failed, number=2, flow_id=PUMP, currentEtag=5, lastUpdated=NOON),
        edge(number=3, flow_id=hex_id(3, "f"), flowClass="customNode"),
    )[DEVICE]
    assert device.evidence.lines == (
        LogLine("desired", FAN, "v2", "b", previous="v1"),
        LogLine("current", PUMP, error="full"),
        LogLine("current", FAN, "v2", "b", previous="v1"),
    )
    assert list(device.evidence.instants) == [unix_time(NOON), unix_time(LATER), unix_time(LATEST)]
    assert device.evidence.updated == unix_time(LATEST)
    assert device.evidence.records == {
        FAN: EdgeEvidence("b", unix_time(LATEST)),
        PUMP: EdgeEvidence(None, unix_time(NOON)),
        hex_id(3, "f"): EdgeEvidence(None, UNKNOWN),
    }
