"""Devices that were deleted: while a plan is carried out, while they are waited for, and before anything was read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.api.client import LosantApi
from reconciler.model.requests import Request
from reconciler.model.state import Kind, Read
from reconciler.simulator import faults
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

        async def later(api: LosantApi, **options: str) -> Read:
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
