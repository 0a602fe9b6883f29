"""`status --device`: the records of one device alone, with its log: who changed what, when, with which error."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import Clock, faults, serve
from tests.support.cli import Here
from tests.support.fleet import Shop

APPLICATION = "5f0c8a1b2d3e4f5061728394"
PUMP, GONE = "5f0c8a1b2d3e4f5061728301", "5f0c8a1b2d3e4f5061728399"
TELEMETRY, ALARMS = "5f0c8a1b2d3e4f50617283f1", "5f0c8a1b2d3e4f50617283f2"
OTHER = {Kind.EMBEDDED: "edgeCompute", Kind.EDGE: "embedded"}


def fleet(kind: Kind) -> str:
    return f"""
take_up_s: 1
applications:
  - id: {APPLICATION}
    name: shop
    flows:
      telemetry: {{id: {TELEMETRY}, class: {kind}, versions: [v1, v2, bad]}}
      alarms: {{id: {ALARMS}, class: {kind}, versions: [a1]}}
    tokens:
      - {{text: lists, scopes: [{kind}Deployments.get]}}
      - {{text: records, scopes: [{kind}Deployment.get]}}
    devices:
      - id: {PUMP}
        name: pump-1
        class: {kind.device_class}
        deployed: {{telemetry: v1, alarms: a1}}
        fails: {{telemetry: {{bad: "out of \\e[2Jmemory"}}}}
      - {{count: 3, name: "pump-{{n:02}}", class: {kind.device_class}, deployed: {{telemetry: v1}}}}
      - {{name: idle, class: {kind.device_class}}}
      - {{name: twin, class: {kind.device_class}}}
      - {{id: 5f0c8a1b2d3e4f50617283aa, name: twin, class: {kind.device_class}}}
      - {{name: stranger, class: {OTHER[kind]}}}
"""


def manifest(kind: Kind, version: str = "v1") -> str:
    return f"""
apiVersion: reconciler/v1
application: {APPLICATION}
kind: {kind}
devices:
  {PUMP}: {{{TELEMETRY}: {version}}}
"""


@pytest.fixture
def shop(kind: Kind, tmp_path: Path) -> Iterator[Shop]:
    with serve(fleet(kind), clock=Clock(frozen_at=datetime(2026, 3, 2, 9, tzinfo=UTC))) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", manifest(kind))
        yield shop


def asked(shop: Shop) -> list[tuple[str, str | None]]:
    """Action of each request, with the device that a listing was restricted to; forgets them."""
    found = [(one["action"], one["query"].get("deviceId")) for one in shop.control.requests()]
    shop.control.forget_requests()
    return found


def report(done: Any) -> dict[str, Any]:
    (one,) = done.document["status"]
    return dict(one)


def record_of(shop: Shop, kind: Kind, flow: str = TELEMETRY) -> str:
    from losant_rest import Client

    client = Client(shop.server.token, shop.server.url)
    listed = client.embedded_deployments if kind == "embedded" else client.edge_deployments
    items = listed.get(applicationId=APPLICATION, deviceId=PUMP)["items"]
    shop.control.forget_requests()
    return str(next(item["id"] for item in items if item.get("flowId", flow) == flow))


@pytest.mark.parametrize("text", [PUMP, PUMP.upper()])
def test_an_id_takes_one_request_for_its_records_and_no_more(text: str, kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind) + f"  {GONE}: {{{TELEMETRY}: v2}}\n")  # others are no matter here
    done = here("status", "shop.yaml", "--device", text, "--format", "json")
    assert done.code == 0, done.err
    assert asked(shop) == [(f"{kind}Deployments.get", PUMP)]
    one = report(done)
    assert one["rows"] | {"in_sync": 1, "unmanaged": 1} == one["rows"]
    assert sum(one["rows"].values()) == 2


def test_the_scope_of_the_list_is_enough(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("token", "lists")
    assert here("--token-file", "token", "status", "shop.yaml", "--device", PUMP).code == 0
    assert here("--token-file", "token", "status", "shop.yaml", "--device", "pump-1").code == 1


def test_a_name_is_looked_up_first(kind: Kind, shop: Shop, here: Here) -> None:
    done = here("status", "shop.yaml", "--device", "pump-1")
    assert done.code == 0
    assert asked(shop) == [("devices.get", None), (f"{kind}Deployments.get", PUMP)]
    assert f"Log of pump-1 ({PUMP})" in done.out


def test_a_deployment_record_by_its_id(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "v2"))
    assert here("apply", "shop.yaml", "--yes").code == 0
    shop.control.settle()
    record = record_of(shop, kind)
    shop.write("shop.yaml", manifest(kind, "v2").rstrip().rstrip("}") + f", {ALARMS}: a1}}\n")
    shop.write("token", "records")
    done = here("--token-file", "token", "status", "shop.yaml", "--deployment", record.upper(), "--format", "json")
    assert done.code == 0, done.err
    assert asked(shop) == [(f"{kind}Deployment.get", None)]
    one = report(done)
    assert one["rows"]["in_sync"] == sum(one["rows"].values()) == (2 if kind == "embedded" else 1)  # edge: one flow
    assert one["log"]


def test_who_changed_what_and_when_and_the_error(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "bad"))
    assert here("apply", "shop.yaml", "--yes").code == 0
    shop.control.settle()
    done = here("status", "shop.yaml", "--device", PUMP, "--format", "json")
    assert done.code == 5
    log = report(done)["log"]
    assert [line["date"] for line in log] == sorted((line["date"] for line in log), reverse=True)
    failed = next(line for line in log if line["error"])
    assert failed["error"] == "out of \x1b[2Jmemory"
    assert failed["change"] == "current"
    assert failed["changed_by"] == {"type": "device", "id": PUMP}
    assert failed["attempted"]
    released = next(line for line in log if line["version"] == "bad" and line["change"] == "desired")
    assert released["changed_by"]["type"] == "apiToken"
    assert len(released["changed_by"]["id"]) == 24
    assert (released["flow_id"], released["flow_name"]) == (TELEMETRY, "telemetry")
    if kind == "embedded":
        assert (released["update"], released["previous"]) == ("replaceFlow", None)
        assert released["bundle"]
    else:
        assert (released["update"], released["previous"]) == (None, "v1")
    assert {line["device_id"] for line in log} == {PUMP}


def test_the_log_as_text(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "bad"))
    here("apply", "shop.yaml", "--yes")
    shop.control.settle()
    done = here("status", "shop.yaml", "--device", "pump-1")
    assert done.code == 5
    _, _, log = done.out.partition("  Log of pump-1")
    assert "        error: out of \\x1b[2Jmemory\n" in log
    assert "\x1b" not in done.out
    assert "        by apiToken " in log
    assert f"        by device {PUMP}\n" in log
    released = (
        "released telemetry: bad (replaceFlow, bundle " if kind == "embedded" else "released telemetry: v1 -> bad"
    )
    assert released in " ".join(log.split())
    assert log.index("error:") < log.index("by apiToken")  # newest first


def test_the_log_as_markdown(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "bad"))
    here("apply", "shop.yaml", "--yes")
    shop.control.settle()
    done = here("status", "shop.yaml", "--device", "pump-1", "--format", "markdown")
    assert "Log of `pump-1`: " in done.out
    assert "error: `out of \\x1b[2Jmemory`" in done.out
    assert "\n- `2026-03-02 09:" in done.out


def test_what_is_in_sync_has_its_log_too(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", manifest(kind, "v2"))
    assert here("apply", "shop.yaml", "--yes").code == 0
    shop.control.settle()
    one = report(here("status", "shop.yaml", "--device", PUMP, "--format", "json"))
    assert one["rows"]["in_sync"] == 1
    assert len(one["log"]) >= 2
    assert report(here("status", "shop.yaml", "--format", "json"))["log"] == []


def test_a_device_to_which_nothing_is_deployed(kind: Kind, shop: Shop, here: Here) -> None:
    for text in ("idle", next(device for device in _ids(shop) if device[1] == "idle")[0]):
        done = here("status", "shop.yaml", "--device", text)
        assert done.code == 0, done.err
        assert "Log of idle (" in done.out
        assert ": empty\n" in done.out
        assert "Rows: none." in done.out


def _ids(shop: Shop) -> list[tuple[str, str]]:
    from losant_rest import Client

    items = Client(shop.server.token, shop.server.url).devices.get(applicationId=APPLICATION)["items"]
    return [(item["id"], item["name"]) for item in items]


def test_several_devices(kind: Kind, shop: Shop, here: Here) -> None:
    done = here("status", "shop.yaml", "--device", "pump-1", "--device", "pump-01", "--device", PUMP)
    assert done.code == 0
    assert done.out.count("Log of ") == 2
    assert [action for action, _ in asked(shop)].count(f"{kind}Deployments.get") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", GONE], f"device {GONE}: there is no such device in application {APPLICATION} (check both ids)"),
        (["--device", "pump-2"], "device pump-2: there is no such device of class "),
        (["--device", "twin"], "device twin: 2 devices have that name (pass an id: "),
        (["--device", "stranger"], "device stranger: that device is of class"),
        (["--device", ""], "Invalid value for '--device': it is empty"),
        (["--deployment", GONE], "HTTP 404"),
        (["--deployment", "x"], "Invalid value for '--deployment': 'x' is not a valid id"),
        (["--deployment", GONE, "--device", PUMP], "--deployment and --device cannot be combined"),
    ],
)
def test_mistakes(arguments: list[str], words: str, kind: Kind, shop: Shop, here: Here) -> None:
    done = here("status", "shop.yaml", *arguments)
    assert done.code == 1
    assert words in done.err
    assert done.out == ""


def test_a_declared_device_that_is_gone(kind: Kind, shop: Shop, here: Here) -> None:
    shop.control.delete_device("pump-1")
    done = here("status", "shop.yaml", "--device", PUMP)
    # Embedded, the API says 404; edge, its records are still there, as leftovers.
    assert done.code == (1 if kind == "embedded" else 0), done.err
    told = f"device {PUMP}: there is no such device in application {APPLICATION} (it was deleted)"
    assert (told in done.err) == (kind == "embedded")
    by_name = here("status", "shop.yaml", "--device", "pump-1")
    assert (by_name.code, by_name.out) == (1, "")
    assert f"device pump-1: it was deleted (its id was {PUMP})" in by_name.err


def test_a_failed_read_is_told(kind: Kind, shop: Shop, here: Here) -> None:
    shop.control.fault(faults.Garble(how="html"))
    done = here("status", "shop.yaml", "--device", PUMP)
    assert done.code == 1
    assert "response is HTML" in done.err


def test_of_several_applications_only_that_of_the_device(kind: Kind, shop: Shop, here: Here) -> None:
    other = Kind.EDGE if kind is Kind.EMBEDDED else Kind.EMBEDDED
    shop.write("other.yaml", manifest(other).replace(PUMP, GONE).replace(TELEMETRY, ALARMS))
    done = here("status", ".", "--device", PUMP, "--format", "json")
    assert done.code == 0, done.err
    assert report(done)["kind"] == kind
