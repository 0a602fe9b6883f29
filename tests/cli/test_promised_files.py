"""`--out` and `--result`: what was promised is there and whole, or the exit code says that it is not."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import faults, serve
from reconciler.simulator.faults import When
from tests.support import processes
from tests.support.cli import Here
from tests.support.fleet import APPLICATION, FLEET, HEAD, Shop
from tests.support.waiting import until

full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
APPLY = ("apply", "shop.yaml", "--yes", "--format", "json")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    return shop.here(monkeypatch)


def names(shop: Shop) -> set[str]:
    return {path.name for path in shop.folder.iterdir()}


def test_two_applies_with_one_result_leave_one_whole_document(shop: Shop) -> None:
    """The one that ends first has the longer result."""
    shop.write("none.yaml", f"{HEAD}devices: {{york-1: {{telemetry: v1}}}}\n")
    shop.control.fault(faults.Latency(seconds=0.5, when=When(method="GET")))
    slow = shop.start("apply", "none.yaml", "--yes", "--format", "json", "--result", "result.json")
    until(lambda: names(shop) - {"shop.yaml", "none.yaml"})  # its draft
    quick = shop.run(*APPLY, "--result", "result.json")
    out, _ = processes.end(slow)
    assert (quick.code, slow.returncode) == (0, 0)
    assert shop.read_json("result.json") in (quick.document, json.loads(out))
    assert names(shop) == {"shop.yaml", "none.yaml", "result.json"}


@full_disk
def test_a_result_that_cannot_be_written_shows_in_the_exit_code(shop: Shop) -> None:
    ended = shop.run(*APPLY, "--result", "/dev/full")
    assert ended.code == 6
    problem, lost = ended.err.splitlines()
    assert problem == "Error: --result /dev/full could not be written: No space left on device"
    assert json.loads(lost) == ended.document
    assert ended.document["error"]["code"] == 6
    assert "could not be written" in ended.document["error"]["problems"][0]["message"]
    assert {call["state"] for call in ended.result["calls"]} == {"confirmed"}  # all the same
    assert shop.writes()


@full_disk
def test_what_was_sent_is_told_as_sent_though_its_result_cannot_be_written(shop: Shop, here: Here) -> None:
    ended = here("apply", "shop.yaml", "--yes", "--result", "/dev/full")
    assert ended.code == 6
    assert shop.writes()
    assert "Nothing was sent" not in ended.out


def test_what_went_wrong_before_keeps_its_exit_code(shop: Shop, here: Here) -> None:
    shop.control.fault(faults.Status(status=403, when=When(method="POST")))
    ended = here(*APPLY, "--result", "/dev/full")
    assert ended.code == ended.document["error"]["code"] == 6
    assert "Error: --result /dev/full could not be written" in ended.err


@full_disk
def test_a_plan_that_cannot_be_written_is_an_error(shop: Shop, here: Here) -> None:
    ended = here("plan", "shop.yaml", "--detailed-exitcode", "--out", "/dev/full")
    assert ended.code == 1
    assert ended.err == "Error: --out /dev/full could not be written: No space left on device\n"
    assert "Plan: 1 to add" in ended.out


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "shop.yaml", "--out", "no/such/plan.json"],
        ["import", "--application", APPLICATION, "--out", "shop.yaml/m.yaml"],
        ["apply", "shop.yaml", "--yes", "--result", "no/such/result.json"],
        ["plan", "shop.yaml", "--out", "."],
        ["plan", "shop.yaml", "--out", ""],
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_read(argv: list[str], shop: Shop, here: Here) -> None:
    ended = here(*argv)
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"Error: {argv[-2]} {argv[-1]} cannot be written: ")
    assert shop.control.requests() == []
    assert names(shop) == {"shop.yaml"}


def test_a_run_that_fails_leaves_the_old_plan_and_no_draft(shop: Shop, here: Here) -> None:
    shop.write("plan.json", "old")
    shop.control.fault(faults.Status(status=403))
    assert here("plan", "shop.yaml", "--out", "plan.json").code == 1
    assert names(shop) == {"shop.yaml", "plan.json"}
    assert (shop.folder / "plan.json").read_text() == "old"


def test_a_plan_keeps_to_itself_what_was_kept_to_oneself(shop: Shop, here: Here) -> None:
    secret = shop.write("plan.json", "old")
    secret.chmod(0o600)
    assert here("plan", "shop.yaml", "--out", "plan.json").code == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    assert shop.read_json("plan.json")["plans"]


def test_what_is_written_in_place_is_said(shop: Shop, here: Here) -> None:
    ended = here("plan", "shop.yaml", "--out", "/dev/null")
    assert ended.code == 0
    assert ended.err == "Note: --out /dev/null cannot be replaced; it was written in place.\n"


def test_a_plan_for_a_pipe(shop: Shop) -> None:
    process = shop.start("plan", "shop.yaml", "--out", "/dev/stdout", by='"$@" >seen; exec cat seen')
    out, _ = processes.end(process)
    assert '{"format_version":"1","command":"plan"' in out
    process = shop.start("plan", "shop.yaml", "--out", "/dev/fd/3", by='exec 4>&1; "$@" 3>&1 >/dev/null | cat')
    out, _ = processes.end(process)
    assert json.loads(out)["plans"]


MOUNTED = 'exec unshare -m sh -c "mount --bind other.json plan.json && exec \\"\\$@\\"" sh "$@"'


def test_a_file_that_is_mounted_is_written_in_place_and_that_is_said(shop: Shop) -> None:
    if processes.run(["sh", "-c", "unshare -m true"]).returncode:
        pytest.skip("nothing may be mounted here")
    shop.write("plan.json", "old")
    shop.write("other.json", "an old one, and longer")
    process = shop.start("plan", "shop.yaml", "--out", "plan.json", by=MOUNTED)
    out, err = processes.end(process)
    assert process.returncode == 0, err
    assert "Plan: 1 to add" in out
    assert err == "Note: --out plan.json cannot be replaced; it was written in place.\n"
    assert shop.read_json("other.json")["plans"]
    assert names(shop) == {"shop.yaml", "plan.json", "other.json"}


def test_after_a_kill_no_old_result_passes_for_the_new_one(shop: Shop) -> None:
    assert shop.run(*APPLY, "--result", "result.json").code == 0
    shop.control.fault(faults.Latency(seconds=60, when=When(method="GET")))
    asked = len(shop.control.requests())
    with shop.started(*APPLY, "--result", "result.json") as process:
        until(lambda: "result.json" not in names(shop))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(shop.control.requests()) <= asked + 2
    assert "result.json" not in names(shop)


def test_what_is_shown_is_read_with_a_bound(shop: Shop, here: Here) -> None:
    for argv in (["show", "/dev/zero"], ["apply", "--yes", "--plan", "/dev/zero"]):
        ended = here(*argv)
        assert ended.code == 1
        assert ended.err.startswith("Error: /dev/zero is neither a plan nor a result: it is larger than 512 MiB")
    assert shop.writes() == []


def test_a_saved_plan_comes_through_a_pipe(shop: Shop) -> None:
    assert shop.run("plan", "shop.yaml", "--out", "plan.json").code == 0
    process = shop.start("show", "/dev/stdin", by='cat plan.json | exec "$@"')
    out, _ = processes.end(process)
    assert process.returncode == 0
    assert "Plan: 1 to add, 8 to change, 1 to destroy." in out
