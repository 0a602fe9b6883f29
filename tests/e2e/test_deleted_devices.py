"""Devices that were deleted: while a plan is carried out, while they are waited for, and before anything was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.client import LosantApi
from reconciler.model.requests import Request
from reconciler.model.state import Kind, Read
from reconciler.simulator import faults
from reconciler.simulator.world.fleet import Device
from tests.support.cli import Here
from tests.support.fleet import APPLICATION, HEAD, Shop, of_kind
from tests.support.plant import fleet_of, plant_at

TWO = f"{HEAD}devices:\n  leeds-1: {{telemetry: v2}}\n  leeds-2: {{telemetry: v2}}\n"
APPLY = ("apply", "go.yaml", "--yes")


def before_a_call(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object], *, nth: int = 1) -> None:
    """Let something happen between the read and the n-th call of a run."""
    send, left = LosantApi.send, [nth]

    async def later(api: LosantApi, request: Request) -> None:
        left[0] -= 1
        if not left[0]:
            happens()
        await send(api, request)

    monkeypatch.setattr(LosantApi, "send", later)


def delete(shop: Shop, *devices: str) -> Callable[[], object]:
    def happen() -> None:
        for device in devices:
            shop.control.delete_device(device)

    return happen


@pytest.mark.parametrize("release", ["atomic", "partial"])
@pytest.mark.parametrize("unknown", ["404", "skip"])
def test_a_release_goes_on_without_a_device_that_was_deleted(
    release: str, unknown: str, kind: Kind, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.executor.confirm.CONFIRM_S", 0.5)
    shop.control.switch(release=release, unknown_device=unknown)
    shop.write("go.yaml", of_kind(kind, TWO))
    before_a_call(monkeypatch, delete(shop, "leeds-2"))
    done = here(*APPLY, "--format", "json", "--result", "result.json")
    assert done.code == 0, done.err
    assert shop.released()["leeds-1/telemetry"] == "v2"
    (call,) = done.result["calls"]
    assert (call["state"], call["count"], call["confirmed"]) == ("confirmed", 1, 1)
    assert done.result["rows"] == {"total": 1, "confirmed": 1}
    assert done.result["operations"]["update"] == 1
    (warning,) = done.result["warnings"]
    assert warning["message"].startswith("device leeds-2 (")
    assert warning["message"].endswith(") was deleted: its change was left out")
    assert (warning["path"], warning["line"]) == ("go.yaml", 5)
    assert "device leeds-2 (" in here("show", "result.json").out


def test_a_removal_and_a_whole_cohort_of_deleted_devices_are_done_with(
    kind: Kind, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    removals = "  leeds-1: {telemetry: absent, alarms: absent, control: absent}\n"
    free = "limits: {removals: {percent: 100}}\n"
    for text in (f"{HEAD}devices:\n{removals}{free}", TWO.replace("leeds-1", "leeds-3")):
        shop.write("go.yaml", of_kind(kind, text))
        with monkeypatch.context() as patched:
            before_a_call(patched, delete(shop, *(name for name in ("leeds-1", "leeds-2", "leeds-3") if name in text)))
            done = here(*APPLY)
        assert done.code == 0, done.err
        assert "Warning: go.yaml:" in done.out
        assert "Apply complete! Resources: 0 added, 0 changed, 0 destroyed." in done.out


def test_one_after_the_other_may_go(kind: Kind, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("go.yaml", of_kind(kind, TWO + "  leeds-3: {telemetry: v2}\n"))
    before_a_call(monkeypatch, delete(shop, "leeds-2"))
    before_a_call(monkeypatch, delete(shop, "leeds-1"), nth=2)
    done = here(*APPLY, "--wait")
    assert done.code == 0, done.err
    assert shop.released()["leeds-3/telemetry"] == "v2"
    assert [len(body["deviceIds"]) for _, body in shop.writes()] == [3, 2, 1]
    assert done.out.count(" was deleted: its change was left out") == 2


def test_a_release_that_is_refused_for_another_reason_has_failed(
    kind: Kind, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write("go.yaml", of_kind(kind, TWO))
    before_a_call(monkeypatch, lambda: shop.control.delete_version("telemetry", "v2"))
    done = here(*APPLY)
    assert done.code == 6
    assert "Flow version was not found" in done.out
    assert "check that the flow and the version still exist" in done.out
    assert len(shop.writes()) == 1


def test_a_token_that_may_not_look_is_told_the_scope(
    kind: Kind, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write("go.yaml", of_kind(kind, TWO))

    def happen() -> None:
        shop.control.delete_device("leeds-2")
        shop.control.fault(faults.Status(status=403, when=faults.When(path="/devices$")))

    before_a_call(monkeypatch, happen)
    done = here(*APPLY)
    assert done.code == 6
    assert "whether its devices still exist could not be read: " in done.out
    assert "devices.get" in done.out


@pytest.mark.parametrize("pumps", [1, 2, 3])
def test_a_wait_ends_without_a_device_that_was_deleted(
    pumps: int, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one device the API says that it is not found (embedded), or nothing at all; in the list its record stays."""
    devices = [{"name": f"pump-{number}", "deployed": {"telemetry": "v1"}} for number in range(pumps)]
    description = {**fleet_of(kind, devices), "take_up_s": 40}
    with plant_at(tmp_path, monkeypatch, description=description, kind=kind) as plant:
        wanted = "".join(f"  pump-{number}: {{telemetry: v2}}\n" for number in range(pumps))
        plant.manifest(f"apiVersion: reconciler/v1\napplication: {APPLICATION}\ndevices:\n{wanted}")
        live, reads = LosantApi.live, [0]

        async def later(api: LosantApi, **options: Any) -> Read:
            reads[0] += 1
            if reads[0] == 4:
                plant.control.delete_device("pump-0")
            return await live(api, **options)

        monkeypatch.setattr(LosantApi, "live", later)
        began = plant.clock.monotonic()
        done = plant.here(monkeypatch)("apply", "plant.yaml", "--yes", "--wait", "--format", "json")
        assert done.code == 0, done.err
        assert plant.clock.monotonic() - began < 90
        wait = done.result["wait"]
        assert (wait["timed_out"], wait["rows"]["device_deleted"]) == (False, 1)
        assert wait["rows"]["converged"] == pumps - 1
        assert [(one["device_name"], one["verdict"]) for one in wait["laggards"]] == [("pump-0", "device_deleted")]
        plant.write("result.json", done.out)
        assert "pump-0 / telemetry: device deleted, v1 -> v2" in plant.here(monkeypatch)("show", "result.json").out


GROUPS = f"{HEAD}groups:\n  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v1}}}}\n"
NAMES = f"{HEAD}devices:\n  leeds-1: {{telemetry: v1}}\n"
GONE = "0123456789abcdef01234567"


def ids(shop: Shop) -> dict[str, str]:
    return {row["device"]: row["device_id"] for row in shop.control.rows()}


@pytest.mark.parametrize("manifest", [GROUPS, NAMES], ids=["the list is read", "devices are looked up"])
def test_what_is_left_of_a_deleted_device_is_told_as_that(manifest: str, kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, manifest))
    york = ids(shop)["york-1"]
    shop.control.delete_device("york-1")
    plan = here("plan", "go.yaml", "--out", "plan.json")
    assert plan.code == 0, plan.err
    assert "Unmanaged, device deleted: 1 row, left alone\n    york-1 / telemetry: v1\n" in plan.out
    assert "Unmanaged, device deleted: 1 row, left alone\n    york-1 / " in here("show", "plan.json").out
    assert "`v1`, device deleted" in here("plan", "go.yaml", "--format", "markdown").out
    (part,) = shop.read_json("plan.json")["plans"]
    assert part["deleted_devices"] == [{"device_id": york, "device_name": "york-1"}]
    assert york in {row["device_id"] for row in part["unmanaged"]}
    status = here("status", "go.yaml")
    assert f"  Device deleted: 1 device with a record left\n    york-1 ({york})\n" in status.out
    assert ", 1 device deleted." in status.out
    (report,) = here("status", "go.yaml", "--format", "json").document["status"]
    assert report["rows"]["device_deleted"] == 1
    assert report["deleted_devices"] == part["deleted_devices"]
    assert "- `york-1`: device deleted" in here("status", "go.yaml", "--format", "markdown").out
    assert shop.writes() == []


def test_without_deleted_devices_nothing_is_said_of_them(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GROUPS))
    assert "eleted" not in here("plan", "go.yaml").out + here("status", "go.yaml").out


@pytest.mark.parametrize("released", ["v1", "v2"], ids=["in sync", "offline for ever"])
def test_a_declared_device_that_was_deleted_is_neither_in_sync_nor_offline(
    released: str, kind: Kind, shop: Shop, here: Here
) -> None:
    """Its record is as its entry says, so nothing would be sent to it."""
    leeds = ids(shop)["leeds-1"]
    shop.control.disconnect("leeds-1")
    shop.control.set_released("leeds-1", "telemetry", released)
    shop.write("go.yaml", of_kind(kind, f"{HEAD}devices:\n  {leeds}: {{telemetry: {released}}}\n"))
    shop.control.delete_device("leeds-1")
    plan = here("plan", "go.yaml")
    assert plan.code == 0, plan.err
    assert "In sync: 0 rows" in plan.out
    assert "leeds-1 / telemetry: " in plan.out.partition("device deleted")[2]
    assert "Warning: go.yaml:4: device leeds-1" in plan.out
    status = here("status", "go.yaml", "--format", "json")
    (report,) = status.document["status"]
    assert (report["rows"]["in_sync"], report["rows"]["offline"], report["laggards"]) == (0, 0, [])
    assert report["rows"]["device_deleted"] == 3
    assert "was deleted: nothing of it is managed (remove what names it)" in status.err
    shop.write("go.yaml", of_kind(kind, f"{HEAD}devices:\n  {leeds}: {{telemetry: v3}}\n"))
    changed = here("plan", "go.yaml")
    assert changed.code == 1
    assert f"go.yaml:4:3: device {leeds} does not exist" in changed.err


ENTRIES = {
    "protect": ("protect: [{{device: {device}}}]\n", "protected"),
    "pin": ("pins: [{{device: {device}, flows: {{telemetry: v1}}, reason: old}}]\n", "pinned"),
    "exclude": (
        "  others: {{select: {{all: true, exclude: {{devices: [{device}, leeds-1]}}}}, flows: {{alarms: v1}}}}\n",
        "excluded",
    ),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("record", ["left", "gone"])
@pytest.mark.parametrize("by", ["name", "id"])
def test_an_entry_for_a_deleted_device_is_a_warning(
    by: str, record: str, entry: str, kind: Kind, shop: Shop, here: Here
) -> None:
    """A name is known from the records, or from the deleted devices where no record is left."""
    if record == "gone":
        shop.control.add_device(Device.model_validate({"name": "old-1", "class": kind.device_class}))
    device = "york-1" if record == "left" else "old-1"
    known = {row["name"]: row["id"] for row in shop.control.world.rows("select name, id from devices")}
    shop.control.delete_device(device)
    text, role = ENTRIES[entry]
    written = device if by == "name" else known[device]
    shop.write("go.yaml", of_kind(kind, GROUPS + text.format(device=written)))
    plan = here("plan", "go.yaml", "--format", "json")
    assert plan.code == 0, plan.err
    (part,) = plan.document["plans"]
    (warning,) = [one for one in part["warnings"] if role in one["message"]]
    quoted = f'"{device}" was deleted (id {known[device]})' if by == "name" else f"{written} does not exist: it was "
    assert warning["message"].startswith(f"the {role} device {quoted}")
    assert (warning["path"], warning["line"], warning["hint"]) == ("go.yaml", 5, "remove this entry")
    assert known[device] not in {change["device_id"] for change in part["changes"]}
    shop.write("go.yaml", of_kind(kind, GROUPS + text.format(device=written[:-1] + "x")))
    mistyped = here("plan", "go.yaml")
    assert mistyped.code == 1
    assert "go.yaml:5:" in mistyped.err
    assert f'no device is named "{written[:-1]}x"' in mistyped.err


def test_a_deleted_device_stays_protected(kind: Kind, shop: Shop, here: Here) -> None:
    """It may be restored."""
    protect = "protect: [{device: york-1, forbid: change}]\n"
    shop.write("go.yaml", of_kind(kind, GROUPS + protect))
    york = ids(shop)["york-1"]
    shop.control.delete_device("york-1")
    (guards,) = here("plan", "go.yaml", "--format", "json").document["guards"].values()
    assert [one["device_id"] for one in guards["protect"]] == [york]


@pytest.mark.parametrize(
    "text",
    [
        "devices: {{{device}: {{telemetry: v2}}}}\n",
        "  more: {{select: {{devices: [{device}]}}, flows: {{alarms: v2}}}}\n",
    ],
    ids=["devices", "a selector"],
)
@pytest.mark.parametrize("by", ["name", "id"])
def test_a_deleted_device_that_is_to_run_something_stays_an_error(
    by: str, text: str, kind: Kind, shop: Shop, here: Here
) -> None:
    york = ids(shop)["york-1"]
    shop.control.delete_device("york-1")
    device = "york-1" if by == "name" else york
    protected = f"protect: [{{device: {device}}}]\n"  # there it is only warned of
    shop.write("go.yaml", of_kind(kind, GROUPS + text.format(device=device) + protected))
    plan = here("plan", "go.yaml")
    assert plan.code == 1
    expected = 'no device is named "york-1"' if by == "name" else f"device {york} does not exist"
    assert expected in plan.err
    assert plan.err.count("\n") == 1


def test_what_is_excluded_from_what_is_excluded_stays_an_error(kind: Kind, shop: Shop, here: Here) -> None:
    selector = f"{{all: true, exclude: {{tags: {{site: york}}, exclude: {{devices: [{GONE}]}}}}}}"
    shop.write("go.yaml", of_kind(kind, f"{HEAD}groups:\n  g: {{select: {selector}, flows: {{telemetry: v1}}}}\n"))
    plan = here("plan", "go.yaml")
    assert plan.code == 1
    assert f"device {GONE} does not exist" in plan.err


def test_a_deleted_device_may_be_excluded_on_the_command_line(kind: Kind, shop: Shop, here: Here) -> None:
    shop.control.add_device(Device.model_validate({"name": "old-1", "class": kind.device_class}))
    shop.control.delete_device("old-1")
    shop.write("go.yaml", of_kind(kind, GROUPS))
    for device, what in (("old-1", "was deleted"), (GONE, "does not exist: it was deleted, or its id is misspelt")):
        plan = here("plan", "go.yaml", "--exclude", f"device={device}")
        assert plan.code == 0, plan.err
        told = " ".join(plan.out.split())
        assert f"Warning: the excluded device {device} {what} (leave out --exclude device={device})" in told
    for flag in ("--exclude=device=old-2", "--target=device=old-1", f"--target=device={GONE}"):
        assert here("plan", "go.yaml", flag).code == 1


def test_a_token_that_may_not_read_devices_does_without(kind: Kind, shop: Shop, here: Here) -> None:
    leeds = ids(shop)["leeds-1"]
    shop.write("go.yaml", of_kind(kind, f"{HEAD}devices:\n  {leeds}: {{telemetry: v1}}\n"))
    shop.control.delete_device("york-1")
    shop.control.fault(faults.Status(status=403, when=faults.When(path="/devices$")))
    for command in ("plan", "status"):
        done = here(command, "go.yaml")
        assert done.code == 0, done.err
        assert "deleted" not in done.out
