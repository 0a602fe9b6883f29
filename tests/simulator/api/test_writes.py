"""Release, replace and remove: which rows move, what the record and its log then say."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulator.wire import Api

ONE = ("v1", "v1")


def test_a_first_release_makes_a_record(pumps: Api) -> None:
    pumps.release("telemetry", "v3", "pump-4")
    record = pumps.record("pump-4")

    assert record["flows"] == {
        pumps.flow("telemetry"): {"flowName": "telemetry", "currentVersion": None, "desiredVersion": "v3"}
    }
    assert record["currentBundleVersion"] == "nullVersion"
    assert record["desiredBundleVersion"].isdigit()
    assert pumps.get(f"/embedded/deployments/{record['id']}")["deviceName"] == "pump-4"


def test_ids_and_tags_together_are_a_union_or_an_intersection(pumps: Api) -> None:
    pumps.control.switch(selectors="intersection")
    pumps.release("telemetry", "v3", "pump-1", "pump-3", deviceTags=[{"value": "york"}])
    assert pumps.rows()["pump-1", "telemetry"] == ONE
    assert pumps.rows()["pump-3", "telemetry"] == ("v3", "v2")

    pumps.control.switch(selectors="union")
    pumps.release("telemetry", "v3", "pump-1", deviceTags=[{"value": "york"}])
    assert pumps.rows()["pump-1", "telemetry"] == ("v3", "v1")
    assert pumps.rows()["pump-4", "telemetry"] == ("v3", None)


def test_the_removal_of_what_is_running_waits_for_the_device(pumps: Api) -> None:
    pumps.release("telemetry", None, "pump-1")
    assert pumps.rows()["pump-1", "telemetry"] == (None, "v1")

    pumps.control.settle()
    assert ("pump-1", "telemetry") not in pumps.rows()
    assert pumps.record("pump-1")["flows"] == {}


def test_the_removal_of_what_is_not_there_changes_nothing(pumps: Api) -> None:
    before = pumps.get("/embedded/deployments")
    pumps.release("telemetry", None, "pump-4")

    assert pumps.get("/embedded/deployments") == before


def test_a_replace_by_nothing_is_a_removal(pumps: Api) -> None:
    pumps.replace("telemetry", "v1", None)
    pumps.control.settle()

    assert set(pumps.rows()) == {("pump-2", "alarms"), ("pump-3", "telemetry")}


def test_each_change_is_logged_newest_first(pumps: Api) -> None:
    pumps.control.advance(1)
    pumps.release("alarms", "a1", "pump-1")
    pumps.control.advance(1)
    pumps.release("alarms", "a2", "pump-1")
    pumps.control.advance(1)
    pumps.release("alarms", None, "pump-1")
    pumps.control.advance(5)
    pumps.remove(None, "pump-1")

    logs = pumps.record("pump-1")["logs"]
    desired = [log for log in logs if log["changeType"] == "desired"]
    assert [(log["updateType"], log.get("desiredVersion", "-")) for log in desired] == [
        ("clear", "-"),
        ("removeFlow", None),
        ("replaceFlow", "a2"),
        ("newFlow", "a1"),
    ]
    assert {log["sourceType"] for log in desired} == {"apiToken"}
    assert [log["date"] for log in logs] == sorted((log["date"] for log in logs), reverse=True)
    assert next(log["newBundle"] for log in desired) == "nullVersion"


def test_equal_contents_on_a_device_are_the_same_bundle(pumps: Api) -> None:
    first = pumps.record("pump-1")["desiredBundleVersion"]
    pumps.release("telemetry", "v2", "pump-1")
    second = pumps.record("pump-1")["desiredBundleVersion"]
    pumps.release("telemetry", "v1", "pump-1")

    assert first != second
    assert pumps.record("pump-1")["desiredBundleVersion"] == first
    assert pumps.record("pump-2")["desiredBundleVersion"] != first


def test_a_user_token_signs_as_a_user(start: Callable[..., Api]) -> None:
    api = start(
        "{tokens: [{text: me, scopes: [all.User]}], applications: [{name: A, flows: {f: [v1]}, devices: [{name: d}]}]}"
    )
    me = Api(api.server, token="me")
    me.release("f", "v1", "d")

    assert api.record("d")["logs"][0]["sourceType"] == "user"
    me.close()


def test_a_person_at_the_web_interface_is_told_apart(pumps: Api) -> None:
    pumps.control.set_released("pump-1", "telemetry", "v3")

    assert pumps.rows()["pump-1", "telemetry"] == ("v3", "v1")
    assert pumps.record("pump-1")["logs"][0]["sourceType"] == "user"


def test_globals_change_the_bundle_and_no_version(pumps: Api) -> None:
    before = pumps.record("pump-1")
    pumps.control.change_globals()
    after = pumps.record("pump-1")

    assert after["flows"] == before["flows"]
    assert after["currentBundleVersion"] == before["currentBundleVersion"] != after["desiredBundleVersion"]
    assert after["logs"][0]["updateType"] == "globals"
    pumps.control.settle()
    assert pumps.record("pump-1")["currentBundleVersion"] == after["desiredBundleVersion"]


def test_a_thousand_devices_in_one_release(start: Callable[..., Api]) -> None:
    api = start("applications: [{name: A, flows: {f: [v1]}, devices: [{count: 1001, name: 'd{n}'}]}]")
    ids = [item["id"] for item in api.get("/devices", perPage=1001)["items"]]
    body = {"flowId": api.flow("f"), "version": "v1", "deviceIds": ids}

    assert api.post("/embedded/deployments/release", body).status_code == 400
    assert api.post("/embedded/deployments/release", {**body, "deviceIds": ids[:1000]}).status_code == 201
    assert len(api.rows()) == 1000


def test_repeated_ids_count_once(pumps: Api) -> None:
    pumps.release("telemetry", "v3", "pump-4", "pump-4")

    assert len(pumps.record("pump-4")["logs"]) == 1
