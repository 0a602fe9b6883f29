"""Everything that can go wrong on the way, and when it does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from reconciler.simulator import ControlError, faults
from reconciler.simulator.faults import When
from tests.simulator.wire import FAULT, Api
from tests.support.waiting import until

LIST = "/embedded/deployments"


def listing(api: Api, **params: Any) -> httpx.Response:
    return api.raw.get(api.root + LIST, params=params)


def releasing(api: Api, *devices: str) -> httpx.Response:
    body = {"flowId": api.flow("telemetry"), "version": "v3", "deviceIds": [api.device(name) for name in devices]}
    return api.raw.post(api.root + LIST + "/release", json=body)


def released(api: Api) -> set[str]:
    return {device for (device, _), (wanted, _) in api.rows().items() if wanted == "v3"}


@pytest.mark.parametrize(
    ("when", "struck"),
    [
        ({}, "xxxxxx"),
        ({"nth": 2}, ".x...."),
        ({"since": 3}, "..xxxx"),
        ({"every": 2}, ".x.x.x"),
        ({"times": 2}, "xx...."),
        ({"since": 2, "times": 2}, ".xx..."),
        ({"action": "embeddedDeployments.get"}, "xxxxxx"),
        ({"action": "embedded*"}, "xxxxxx"),
        ({"action": "embedded"}, "......"),
        ({"action": "devices.get"}, "......"),
        ({"method": "get"}, "xxxxxx"),
        ({"method": "POST"}, "......"),
        ({"path": "deployments$"}, "xxxxxx"),
        ({"path": "/devices"}, "......"),
        ({"query": {"page": "1"}}, ".x.x.x"),
        ({"query": {"page": "0"}}, "x.x.x."),
        ({"query": {"page": "1"}, "nth": 2}, "...x.."),
    ],
)
def test_when_a_fault_strikes(pumps: Api, when: dict[str, Any], struck: str) -> None:
    """Six requests, for no page and page 1 in turn."""
    pumps.control.fault(faults.Status(status=503, when=When(**when)))
    params: list[dict[str, str]] = [{}, {"page": "1"}] * 3

    assert "".join("x" if listing(pumps, **one).status_code == 503 else "." for one in params) == struck


def test_chance_is_the_same_in_every_run(start: Callable[..., Api]) -> None:
    def strikes() -> list[int]:
        api = start("applications: [{name: A}]")
        api.control.fault(faults.Status(status=500, when=When(probability=0.5)))
        return [api.raw.get(api.root).status_code for _ in range(20)]

    first = strikes()
    assert strikes() == first
    assert set(first) == {200, 500}


@pytest.mark.parametrize("retry_after", [None, "2", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_too_many_requests(pumps: Api, retry_after: str | None) -> None:
    pumps.control.fault(faults.Status(status=429, retry_after=retry_after))
    answer = releasing(pumps, "pump-1")

    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, retry_after)
    assert released(pumps) == set()


@pytest.mark.parametrize("status", [401, 403, 404, 413, 500, 502, 503])
def test_errors_come_in_the_api_s_envelope(pumps: Api, status: int) -> None:
    pumps.control.fault(faults.Status(status=status, type="Odd", message="Not today"))

    assert (listing(pumps).status_code, listing(pumps).json()) == (status, {"type": "Odd", "message": "Not today"})


def test_errors_in_other_bodies(pumps: Api) -> None:
    def body(kind: str) -> httpx.Response:
        pumps.control.clear_faults()
        pumps.control.fault(FAULT.validate_python({"kind": "status", "status": 502, "body": kind}))
        return listing(pumps)

    assert body("html").headers["Content-Type"] == "text/html"
    assert b"<html>" in body("html").content
    assert body("text").text == "Simulated 502"
    assert body("empty").content == b""
    assert len(body("huge").content) == 10_000_000
    assert pumps.server.token in body("echo").json()["message"]


def test_a_redirect_to_another_host(pumps: Api) -> None:
    pumps.control.fault(faults.Redirect(location="https://elsewhere.invalid/x", status=307))
    answer = releasing(pumps, "pump-1")

    assert (answer.status_code, answer.headers["Location"]) == (307, "https://elsewhere.invalid/x")
    assert released(pumps) == set()


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_reset_before_or_after_the_effect(pumps: Api, after_effect: bool) -> None:
    pumps.control.fault(faults.Reset(after_effect=after_effect, when=When(times=1)))

    with pytest.raises(httpx.ReadError):
        releasing(pumps, "pump-1")
    assert released(pumps) == ({"pump-1"} if after_effect else set())
    assert pumps.control.requests()[-1]["status"] is None
    assert releasing(pumps, "pump-2").status_code == 201


def test_a_late_effect(pumps: Api) -> None:
    pumps.control.fault(faults.Late(seconds=7))
    assert releasing(pumps, "pump-1").status_code == 201

    pumps.control.advance(6.9)
    assert released(pumps) == set()
    pumps.control.advance(0.1)
    assert released(pumps) == {"pump-1"}


def test_a_lost_effect(pumps: Api) -> None:
    pumps.control.fault(faults.Lost())
    assert releasing(pumps, "pump-1").json() == {"success": True}

    pumps.control.settle()
    assert released(pumps) == set()


@pytest.mark.parametrize("late", [False, True])
def test_half_a_release(pumps: Api, late: bool) -> None:
    pumps.control.fault(faults.Partial())
    if late:
        pumps.control.fault(faults.Late(seconds=1))
    assert releasing(pumps, "pump-3", "pump-1", "pump-2").status_code == 201

    pumps.control.settle()
    assert released(pumps) == {"pump-3"}


def test_faults_spare_refusals(pumps: Api) -> None:
    pumps.control.fault(faults.Lost())

    assert releasing(pumps, "0" * 24).status_code == 404


def test_garbled_answers_hide_an_effect_that_took_place(pumps: Api) -> None:
    harms: dict[str, Callable[[httpx.Response], bool]] = {
        "html": lambda answer: answer.headers["Content-Type"] == "text/html",
        "text": lambda answer: answer.text == "ok",
        "array": lambda answer: answer.json() == [],
        "utf8": lambda answer: b"\xff\xfe" in answer.content and answer.headers["Content-Type"] == "application/json",
        "duplicate_keys": lambda answer: answer.content == b'{"success":true,"success":false}',
    }
    for how, is_so in harms.items():
        pumps.control.clear_faults()
        pumps.control.fault(FAULT.validate_python({"kind": "garble", "how": how}))
        answer = releasing(pumps, "pump-1")
        assert answer.status_code == 201
        assert is_so(answer), how
    assert released(pumps) == {"pump-1"}


def test_duplicate_keys_empty_a_list_for_those_who_keep_the_last(pumps: Api) -> None:
    pumps.control.fault(faults.Garble(how="duplicate_keys"))
    pairs = json.loads(listing(pumps).content, object_pairs_hook=list)

    assert [key for key, _ in pairs].count("items") == 2
    assert (listing(pumps).json()["items"], listing(pumps).json()["totalCount"]) == ([], 0)


def test_a_body_that_is_cut_off(pumps: Api) -> None:
    pumps.control.fault(faults.Garble(how="truncated", when=When(times=1)))

    with pytest.raises(httpx.RemoteProtocolError):
        listing(pumps)
    assert listing(pumps).status_code == 200


def test_garbage_instead_of_gzip(pumps: Api) -> None:
    pumps.control.fault(faults.Garble(how="gzip"))

    with pytest.raises(httpx.DecodingError):
        listing(pumps)


@pytest.mark.parametrize(
    "fault", [faults.Latency(seconds=0.2), faults.SlowHeaders(seconds=0.2), faults.SlowBody(seconds=0.2)]
)
def test_slowness(pumps: Api, fault: Any) -> None:
    expected = listing(pumps).json()
    pumps.control.fault(fault)
    began = time.monotonic()
    answer = listing(pumps)

    assert time.monotonic() - began > 0.15
    assert answer.json() == expected


def test_a_client_that_gives_up_waiting_leaves_the_simulator_well(pumps: Api) -> None:
    pumps.control.fault(faults.Latency(seconds=30, when=When(times=1)))

    with pytest.raises(httpx.ReadTimeout):
        pumps.raw.get(pumps.root, timeout=0.05)
    assert pumps.raw.get(pumps.root).status_code == 200


@pytest.mark.parametrize(
    "fault", [faults.Reset(), faults.Garble(how="truncated"), faults.SlowHeaders(seconds=0.01), faults.Missing()]
)
def test_a_client_that_has_left_when_a_fault_strikes(pumps: Api, fault: Any, caplog: pytest.LogCaptureFixture) -> None:
    pumps.control.fault(faults.Latency(seconds=0.5, when=When(times=1)))
    pumps.control.fault(fault)
    with pytest.raises(httpx.ReadTimeout):
        pumps.raw.get(pumps.root + LIST, timeout=0.02)
    until(pumps.control.requests)
    pumps.control.clear_faults()

    assert listing(pumps).status_code == 200
    assert caplog.records == [record for record in caplog.records if record.name.startswith("http")]


def test_an_error_may_be_slow_too(pumps: Api) -> None:
    pumps.control.fault(faults.Status(status=599))
    pumps.control.fault(faults.SlowHeaders(seconds=0.1))
    began = time.monotonic()

    assert listing(pumps).status_code == 599
    assert time.monotonic() - began > 0.08


def test_slow_requests_do_not_hold_up_others(pumps: Api) -> None:
    pumps.control.fault(faults.Latency(seconds=30, when=When(action="application.get", times=1)))
    with (
        httpx.Client(base_url=pumps.server.url, timeout=httpx.Timeout(5, read=0.01)) as hurried,
        pytest.raises(httpx.ReadTimeout),
    ):
        hurried.get(pumps.root, headers=pumps.raw.headers)
    assert listing(pumps).status_code == 200  # held up, it would run into the client's own timeout


def test_pages_that_do_not_add_up(pumps: Api) -> None:
    def page(**params: Any) -> tuple[list[str], int, int]:
        body = listing(pumps, sortField="id", sortDirection="asc", perPage=2, **params).json()
        return [item["id"] for item in body["items"]], body["count"], body["totalCount"]

    def with_fault(fault: Any) -> tuple[list[str], int, int]:
        pumps.control.clear_faults()
        pumps.control.fault(fault)
        return page()

    (first, second), _, _ = page()
    on_first = When(query={"page": "0"})
    assert with_fault(faults.Total(delta=1, when=on_first)) == ([first, second], 2, 4)
    assert page(page=1)[2] == 3
    assert with_fault(faults.Total(delta=-10)) == ([first, second], 2, 0)
    assert with_fault(faults.Duplicate()) == ([first, second, first], 3, 3)
    assert with_fault(faults.Duplicate(instead=True)) == ([first, first], 2, 3)
    assert with_fault(faults.Missing()) == ([first], 1, 3)


def test_records_that_lack_a_field_or_have_a_wrong_one(pumps: Api) -> None:
    number = pumps.control.fault(faults.Damage())
    items = listing(pumps).json()["items"]
    assert ["deviceId" in item for item in items] == [False, True, True]

    pumps.control.clear_faults(number)
    pumps.control.fault(faults.Damage(field="flows", absent=False, value="none"))
    assert listing(pumps).json()["items"][0]["flows"] == "none"


def test_page_faults_leave_other_answers_alone(pumps: Api) -> None:
    for fault in (faults.Total(delta=1), faults.Duplicate(), faults.Missing(), faults.Damage()):
        pumps.control.fault(fault)

    assert releasing(pumps, "pump-1").json() == {"success": True}


def test_devices_that_report_between_pages_reorder_them(start: Callable[..., Api]) -> None:
    api = start("applications: [{name: A, flows: {f: [v1]}, devices: [{count: 6, name: 'd{n}', deployed: {f: v1}}]}]")
    api.control.fault(faults.Reports(devices=3, when=When(query={"page": "1"})))
    api.control.advance(1)
    seen = [item["id"] for page in (0, 1) for item in listing(api, perPage=3, page=page).json()["items"]]
    assert len(set(seen)) < 6

    by_id = [
        item["id"]
        for page in (0, 1)
        for item in listing(api, perPage=3, page=page, sortField="id", sortDirection="asc").json()["items"]
    ]
    assert len(set(by_id)) == 6


LISTED = {
    "records": "/{kind}/deployments",
    "devices": "/devices",
    "flows": "/flows",
    "versions": "/flows/{flow}/versions",
}


def six(start: Callable[..., Api], kind: str) -> Api:
    """Six of everything: devices, records, flows, and versions of `f1`."""
    flows = {f"f{n}": {"class": kind, "versions": [f"v{n}" for n in range(1, 7)]} for n in range(1, 7)}
    device_class = "embedded" if kind == "embedded" else "edgeCompute"
    device = {"class": device_class, "tags": {"site": "leeds"}, "deployed": {"f1": "v1"}}
    return start({"applications": [{"name": "A", "flows": flows, "devices": [{"count": 6, "name": "d{n}", **device}]}]})


@pytest.mark.parametrize("what", LISTED)
@pytest.mark.parametrize("kind", ["embedded", "edge"])
def test_what_is_swapped_between_pages_hides_what_was_there_all_the_time(
    start: Callable[..., Api], kind: str, what: str
) -> None:
    api = six(start, kind)
    path = LISTED[what].format(kind=kind, flow=api.flow("f1"))
    order = {"sortField": "id", "sortDirection": "asc", "flowClass": kind}
    before = [item["id"] for item in api.all(path, **order)]
    assert len(before) == 6

    number = api.control.fault(FAULT.validate_python({"kind": "shift", "what": what, "when": {"query": {"page": "1"}}}))
    pages = [api.get(path, **order, perPage=3, page=page) for page in (0, 1)]
    assert [page["totalCount"] for page in pages] == [6, 6]
    seen = [item["id"] for page in pages for item in page["items"]]
    assert set(before) - set(seen) == {before[3]}
    api.control.clear_faults(number)

    (new,) = set(seen) - set(before)
    assert [item["id"] for item in api.all(path, **order)] == [*before[1:], new]
    api.control.fault(FAULT.validate_python({"kind": "shift", "what": what, "how": "restore", "when": {"times": 1}}))
    assert [item["id"] for item in api.all(path, **order)] == [*before, new]


@pytest.mark.parametrize(("how", "count"), [("delete", 4), ("create", 8)])
@pytest.mark.parametrize("end", ["first", "last"])
@pytest.mark.parametrize("kind", ["embedded", "edge"])
def test_records_that_only_go_or_only_come(
    start: Callable[..., Api], kind: str, end: str, how: str, count: int
) -> None:
    api = six(start, kind)
    order = {"sortField": "id", "sortDirection": "asc"}
    before = api.all(f"/{kind}/deployments", **order)
    fault = {"kind": "shift", "how": how, "end": end, "count": 2, "when": {"times": 1}}
    api.control.fault(FAULT.validate_python(fault))
    after = api.all(f"/{kind}/deployments", **order)

    assert len(after) == count
    kept = [item for item in before if item in after]
    assert kept == (before if how == "create" else before[2:] if end == "first" else before[:4])
    for item in after[len(kept) :]:
        assert item["id"] > before[-1]["id"]
        assert api.get(f"/devices/{item['deviceId']}")["tags"] == [{"key": "site", "value": "leeds"}]
        assert api.get(f"/{kind}/deployments", deviceId=item["deviceId"])["totalCount"] == 1


def test_a_restored_record_is_as_old_as_it_was(pumps: Api) -> None:
    before = pumps.all("/embedded/deployments", sortField="id", sortDirection="asc")
    pumps.control.fault(faults.Shift(how="delete", end="last", when=When(times=1)))
    assert pumps.get("/embedded/deployments")["totalCount"] == 2
    pumps.control.advance(3600)
    pumps.control.fault(faults.Shift(how="restore", when=When(times=1)))

    assert pumps.all("/embedded/deployments", sortField="id", sortDirection="asc") == before


def test_a_deleted_device_leaves_its_record_and_comes_back_offline(pumps: Api) -> None:
    pumps.control.fault(faults.Shift(how="delete", what="devices", when=When(times=1)))
    devices, records = pumps.get("/devices")["totalCount"], pumps.get("/embedded/deployments")["totalCount"]
    pumps.control.fault(faults.Shift(how="restore", what="devices", count=9, when=When(times=1)))

    assert (devices, records) == (4, 3)
    assert pumps.get("/devices")["totalCount"] == 5


def test_shifts_stay_in_the_application_and_kind_of_the_request(start: Callable[..., Api]) -> None:
    other = {"name": "B", "flows": {"g": ["v1"]}, "devices": [{"count": 3, "name": "x{n}", "deployed": {"g": "v1"}}]}
    mixed = [
        {"name": "d", "deployed": {"f": "v1"}},
        {"name": "e", "class": "edgeCompute", "deployed": {"h": "v1"}},
    ]
    flows = {"f": ["v1"], "h": {"class": "edge", "versions": ["v1"]}}
    api = start({"applications": [{"name": "A", "flows": flows, "devices": mixed}, other]})
    api.control.fault(faults.Shift(how="delete", count=9, when=When(times=1)))

    assert api.get("/embedded/deployments")["totalCount"] == 0
    assert api.get("/edge/deployments")["totalCount"] == 1
    assert len(api.control.rows()) == 4


def test_the_size_of_pages_may_be_the_server_s_own(pumps: Api) -> None:
    pumps.control.switch(per_page_fixed=2)
    sizes = [pumps.get("/embedded/deployments", perPage=size)["perPage"] for size in (1, 2, 1000)]

    assert sizes == [2, 2, 2]
    assert pumps.get("/embedded/deployments", perPage=1, page=1)["count"] == 1


def test_several_faults_at_once(pumps: Api) -> None:
    pumps.control.fault(faults.Latency(seconds=0.01))
    pumps.control.fault(faults.Total(delta=5))
    pumps.control.fault(faults.Missing())
    body = listing(pumps).json()

    assert (body["count"], body["totalCount"]) == (2, 8)
    assert pumps.control.requests()[-1]["faults"] == ("latency", "total", "missing")


def test_faults_can_be_looked_at_and_switched_off(pumps: Api) -> None:
    first = pumps.control.fault(faults.Status(status=500, when=When(nth=2)))
    second = pumps.control.fault(faults.Latency(seconds=0))
    listing(pumps)

    on = pumps.control.faults()
    assert [(one["number"], one["seen"], one["fired"]) for one in on] == [(first, 1, 0), (second, 1, 1)]
    assert on[0]["fault"]["when"]["nth"] == 2
    pumps.control.clear_faults(first)
    assert [one["number"] for one in pumps.control.faults()] == [second]
    pumps.control.clear_faults()
    assert pumps.control.faults() == []
    with pytest.raises(ControlError, match="number 99"):
        pumps.control.clear_faults(99)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "earthquake"},
        {"kind": "status", "status": 200},
        {"kind": "status", "status": 500, "when": {"path": "("}},
        {"kind": "latency"},
        {"kind": "latency", "seconds": -1},
        {"kind": "lost", "when": {"nth": 0}},
    ],
)
def test_faults_that_cannot_be(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FAULT.validate_python(fault)
