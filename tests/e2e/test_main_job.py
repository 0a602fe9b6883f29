"""The main job, by the installed command over loopback HTTP: plan, apply, plan again is empty, and all that is beside.

Whatever runs on the shop does so for both kinds. Where no process is in question the same command line runs in this
process (`here`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from losant_rest import Client

from reconciler.model.state import Kind
from reconciler.simulator import faults, serve
from tests.support import processes
from tests.support.cli import RECONCILER, Here
from tests.support.fleet import APPLICATION, HEAD, MANIFEST, Shop, fleet, of_kind
from tests.support.waiting import until

LEEDS = [f"leeds-{number}" for number in range(1, 5)]
AFTER = {
    **{f"{pump}/{flow}": "v2" for pump in LEEDS for flow in ("telemetry", "alarms")},
    **{f"{pump}/control": "v1" for pump in LEEDS[1:]},
    "york-1/telemetry": "v1", "york-1/alarms": "v1", "york-2/telemetry": "v1",
}  # fmt: skip
ALL_GO = HEAD + "groups: {all: {select: {all: true}, flows: {telemetry: absent, alarms: absent, control: absent}}}\n"


def deployed(kind: Kind, shop: Shop) -> dict[str, tuple[str | None, str | None]]:
    """What Losant's own client sees: released and reported versions by `device/flow`."""
    client = Client(shop.server.token, shop.server.url)
    if kind is Kind.EMBEDDED:
        records = client.embedded_deployments.get(applicationId=APPLICATION)["items"]
        rows = [(record, flow) for record in records for flow in record["flows"].values()]
    else:  # a record for each flow of a device, which stays, empty, when its flow is removed
        records = client.edge_deployments.get(applicationId=APPLICATION, filterEmpty="true")["items"]
        rows = [(record, record) for record in records]
    return {
        f"{record['deviceName']}/{flow['flowName']}": (flow["desiredVersion"], flow["currentVersion"])
        for record, flow in rows
    }


def test_plan_apply_plan_again(kind: Kind, shop: Shop) -> None:
    console_script = (str(Path(sys.executable).parent / "reconciler"),)
    planned = shop.run("plan", "--detailed-exitcode", "shop.yaml", program=console_script)
    assert planned.code == 2
    assert planned.out.endswith("Plan: 1 to add, 8 to change, 1 to destroy.\n")
    assert shop.writes() == []

    applied = shop.run("apply", "--yes", "shop.yaml")
    assert (applied.code, applied.err) == (0, "")
    assert applied.out.startswith(planned.out)
    assert applied.out.endswith("Apply complete! Resources: 1 added, 8 changed, 1 destroyed.\n")
    assert shop.released() == AFTER
    assert deployed(kind, shop) == {row: (version, version) for row, version in AFTER.items()}

    shop.control.forget_requests()
    again = shop.run("plan", "--detailed-exitcode", "shop.yaml")
    assert again.code == 0
    assert again.out.endswith("\nNo changes.\n")
    assert shop.run("apply", "--yes", "shop.yaml").code == 0
    assert shop.writes() == []


def test_a_saved_plan_is_shown_and_carried_out(kind: Kind, shop: Shop, here: Here) -> None:
    planned = here("plan", "shop.yaml", "--out", "plan.json")
    shown = here("show", "plan.json")
    assert shown.out.splitlines()[:15] == planned.out.splitlines()[:15]
    assert shown.out.splitlines()[-2:] == planned.out.splitlines()[-2:]
    document = here("plan", "shop.yaml", "--format", "json").document
    assert shop.read_json("plan.json") == document
    assert here("show", "plan.json", "--format", "json").document == {**document, "command": "show"}

    applied = here("apply", "--plan", "plan.json", "--yes", "--result", "result.json")
    assert (applied.code, applied.err) == (0, "")
    assert shop.released() == AFTER
    planned_calls = [(f"{kind}Deployments.{call['action']}", call["body"]) for call in document["plans"][0]["calls"]]
    assert sorted(shop.writes(), key=str) == sorted(planned_calls, key=str)
    assert here("show", "result.json").out == "Apply complete! Resources: 1 added, 8 changed, 1 destroyed.\n"

    shop.control.forget_requests()
    again = here("apply", "--plan", "plan.json", "--yes")  # every change is there already: done
    assert again.code == 0
    assert "\nNo changes.\n" in again.out
    assert shop.writes() == []


def edit(shop: Shop, change: Callable[[dict[str, Any]], None]) -> None:
    data = shop.read_json("plan.json")
    change(data["plans"][0])
    shop.write("plan.json", json.dumps(data))


def test_an_edited_call_changes_nothing_that_is_sent(shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")

    def worsen(plan: dict[str, Any]) -> None:
        release = next(call for call in plan["calls"] if call["action"] == "release")
        release["body"] = {**release["body"], "version": "v3", "deviceIds": ["0" * 24]}
        plan["calls"][0]["after"] = [1]

    edit(shop, worsen)
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    assert shop.released() == AFTER
    assert not any(body.get("version") == "v3" for _, body in shop.writes())


def test_a_plan_whose_calls_were_deleted_is_shown_and_carried_out(shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")

    def strip(plan: dict[str, Any]) -> None:
        plan["calls"] = []
        for change in plan["changes"]:
            change["call"] = None

    edit(shop, strip)
    for fmt in ("text", "markdown", "json"):
        assert here("show", "plan.json", "--format", fmt).code == 0
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    assert shop.released() == AFTER


def test_an_edited_change_is_refused(shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")

    def worsen(plan: dict[str, Any]) -> None:
        next(change for change in plan["changes"] if change["to"] == "v2")["to"] = "v3"

    edit(shop, worsen)
    for command in (["apply", "--yes", "--plan"], ["show"]):
        done = here(*command, "plan.json")
        assert done.code == 1
        assert "the file was edited or damaged" in done.err
    assert shop.writes() == []


def test_a_plan_that_the_world_left_behind(shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")
    shop.control.set_released("leeds-2", "telemetry", "v3")
    shop.control.set_released("york-2", "telemetry", "v3")  # not in the plan, so not its concern
    done = here("apply", "--plan", "plan.json", "--yes", "--result", "result.json")
    assert done.code == 4
    assert done.err == (
        "Error: leeds-2 / telemetry is at v3; the plan moves it from v1 to v2 (it was changed since; make a new plan)\n"
    )
    assert shop.read_json("result.json")["error"]["code"] == 4
    assert shop.writes() == []


def test_a_digest_that_is_expected(shop: Shop, here: Here) -> None:
    digest = here("plan", "shop.yaml", "--format", "json").document["digest"]
    shop.control.set_released("leeds-2", "telemetry", "v3")
    stale = here("apply", "shop.yaml", "--yes", "--expect-digest", digest)
    assert stale.code == 4
    assert f"not {digest}" in stale.err
    assert "v3 -> v2" in stale.out  # the plan as it is now is shown
    assert shop.writes() == []

    shop.control.set_released("leeds-2", "telemetry", "v1")
    bare = digest.removeprefix("sha256:").upper()
    assert here("apply", "shop.yaml", "--yes", "--expect-digest", bare).code == 0
    assert shop.released() == AFTER


def test_a_guard_refuses_after_showing_and_saving(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, ALL_GO))
    planned = here("plan", "go.yaml", "--out", "plan.json")
    assert planned.code == 3
    assert "Plan: 0 to add, 0 to change, 14 to destroy.\n" in planned.out
    assert planned.err.startswith("Error: refused (removals): 14 removals, 100.0% of the 14 managed rows")
    assert "--allow-removals 14" in planned.err
    saved = shop.read_json("plan.json")
    assert saved["plans"][0]["refused"][0]["guard"] == "removals"

    for source in (["go.yaml"], ["--plan", "plan.json"]):
        for allowed in ([], ["--allow-removals", "13"]):
            refused = here("apply", *source, *allowed, "--yes", "--result", "result.json")
            assert (refused.code, shop.writes()) == (3, [])
            assert shop.read_json("result.json")["error"]["code"] == 3
            assert all(call["state"] == "planned" for call in shop.read_json("result.json")["results"][0]["calls"])
    assert here("apply", "--plan", "plan.json", "--allow-removals", "14", "--yes").code == 0
    assert shop.released() == {}


def test_a_dry_run_sends_nothing_and_reports_the_same_calls(shop: Shop, here: Here) -> None:
    plan = here("plan", "shop.yaml", "--format", "json").document["plans"][0]
    dry = here("apply", "shop.yaml", "--dry-run", "--format", "json", "--result", "result.json")
    assert dry.code == 0
    assert shop.writes() == []
    (result,) = dry.document["results"]
    keys = ("id", "action", "body", "count", "after")
    assert [{key: call[key] for key in keys} for call in result["calls"]] == plan["calls"]
    assert result["digest"] == plan["digest"]
    assert shop.read_json("result.json") == dry.document
    text = here("apply", "shop.yaml", "--dry-run")
    assert text.out.endswith(f"Dry run: {len(plan['calls'])} calls would be sent; nothing was.\n")


def test_markdown_of_an_apply(shop: Shop, here: Here) -> None:
    planned = here("plan", "shop.yaml", "--format", "markdown", "--commit", "c0ffee").out
    (digest,) = re.findall(
        "Digest: `(sha256:[0-9a-f]{64})`, review digest `sha256:[0-9a-f]{64}`, commit `c0ffee`\n", planned
    )
    done = here("apply", "shop.yaml", "--yes", "--format", "markdown", "--commit", "c0ffee", "--result", "result.json")
    assert done.code == 0
    assert done.out.startswith(
        "**Apply complete! Resources: 1 added, 8 changed, 1 destroyed.**\n\nCommit `c0ffee`.\n\n### Application `shop` "
    )
    assert f"10 of 10 changes confirmed. Digest: `{digest}`" in done.out
    assert "\n| `alarms` | change | `v1` | `v2` | 4 |\n" in done.out
    assert re.search(
        r"\nRemovals:\n\n- `[\w-]+` `[0-9a-f]{24}` `control`: `v1` to nothing \(`shop.yaml:\d+`\)\n$", done.out
    )
    again = here("show", "result.json", "--format", "markdown", "--commit", "c0ffee")
    assert again.out == done.out


def test_several_applications_share_targets_and_stop_together(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "5f0c8a1b2d3e4f5061728395"
    more = (
        f"  - id: {other}\n    name: depot\n    flows: {{lights: {{class: {kind}, versions: [v1, v2]}}}}\n"
        f"    devices: [{{name: lamp, class: {kind.device_class}}}]\n"
    )
    with serve(f"{fleet(kind)}{more}tokens: [{{text: user-token-of-a-person}}]\n") as server:
        shop = Shop(server, tmp_path)
        depot = f"apiVersion: reconciler/v1\napplication: {other}\ndevices: {{lamp: {{lights: v2}}}}\n"
        shop.write("depot.yaml", of_kind(kind, depot))
        shop.write("shop.yaml", of_kind(kind, MANIFEST))
        here = shop.here(monkeypatch)
        monkeypatch.setenv("LOSANT_API_TOKEN", "user-token-of-a-person")

        partial = here("plan", ".", "--target", "device=lamp")
        assert (partial.code, partial.err) == (0, "")
        assert "Plan: 1 to add, 0 to change, 0 to destroy.\n" in partial.out

        shop.write("shop.yaml", of_kind(kind, ALL_GO))
        refused = here("apply", ".", "--yes", "--format", "json")
        assert refused.code == 3
        assert len(refused.document["results"]) == 2
        assert shop.writes() == []

        shop.write("shop.yaml", of_kind(kind, MANIFEST))
        assert here("apply", ".", "--yes").out.endswith("Resources: 2 added, 8 changed, 1 destroyed.\n")
        assert shop.released() == {**AFTER, "lamp/lights": "v2"}


# Ends from outside


def stuck(shop: Shop) -> subprocess.Popen[str]:
    """An apply that waits for the answer to its second call."""
    shop.control.fault(faults.Latency(seconds=30, when=faults.When(method="POST", nth=2)))
    process = shop.start("apply", "shop.yaml", "--yes", "--result", "result.json")
    until(lambda: process.poll() is not None or shop.control.faults()[0]["fired"])
    assert process.poll() is None, processes.end(process)
    return process


def check_rest(shop: Shop, here: Here) -> None:
    """The next plan is exactly what is not released yet, and an apply does it."""
    shop.control.clear_faults()
    before = shop.released()
    rest = {row for row in before.keys() | AFTER.keys() if before.get(row) != AFTER.get(row)}
    changes = here("plan", "shop.yaml", "--format", "json").document["plans"][0]["changes"]
    assert {f"{change['device_name']}/{change['flow_name']}" for change in changes} == rest
    assert rest
    assert here("apply", "shop.yaml", "--yes").code == 0
    assert shop.released() == AFTER


def test_killed_midway(shop: Shop, here: Here) -> None:
    process = stuck(shop)
    process.kill()
    processes.end(process)
    check_rest(shop, here)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_midway(number: signal.Signals, shop: Shop, here: Here) -> None:
    process = stuck(shop)
    process.send_signal(number)
    out, err = processes.end(process)
    assert process.returncode == 130
    assert err.endswith("Error: interrupted (plan shows what is left to send, status what is pending)\n")
    assert "Apply interrupted:" in out.splitlines()[-1]
    document = shop.read_json("result.json")
    assert document["error"]["code"] == 130
    (result,) = document["results"]
    assert result["interrupted"]
    assert {call["state"] for call in result["calls"]} <= {"planned", "accepted", "unknown", "confirmed"}
    assert "unknown" in {call["state"] for call in result["calls"]}
    check_rest(shop, here)


def test_terminated_where_ctrl_c_is_ignored(shop: Shop) -> None:
    """As a background job of a script, whose SIGINT the shell has switched off."""
    shop.control.fault(faults.Latency(seconds=30, when=faults.When(method="POST")))
    process = shop.start("apply", "shop.yaml", "--yes", "--result", "result.json", by="trap '' INT; exec \"$@\"")
    until(lambda: process.poll() is not None or shop.control.faults()[0]["fired"])
    process.terminate()
    processes.end(process)
    assert process.returncode == 130
    assert shop.read_json("result.json")["results"][0]["interrupted"]


# The demo, whose fleet is an embedded one


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    return processes.start(
        [*RECONCILER, "demo", *options],
        env={**os.environ, "TMPDIR": str(folder), "LOSANT_API_TOKEN": "a-token-that-the-demo-must-not-use"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def check_nothing_is_left(process: subprocess.Popen[str], folder: Path) -> None:
    assert list(folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of its session is left


def test_demo(tmp_path: Path) -> None:
    process = start_demo(tmp_path)
    out, err = processes.end(process)
    assert (process.returncode, err) == (0, "")
    assert "Apply complete! Resources: 600 added, 5365 changed, 3 destroyed.\n" in out
    assert out.count("\nNo changes.\n") == 1
    assert "reconciler import --application" in out.splitlines()[-3]
    check_nothing_is_left(process, tmp_path)


def test_the_demo_of_a_rollout(tmp_path: Path) -> None:
    """A wave, a failing canary, the stop, the revert, and the fixed version through to the end."""
    process = start_demo(tmp_path, "--rollout")
    out, err = processes.end(process)
    assert (process.returncode, err) == (0, "Wrote demo.yaml.\n" * 3)
    told = [
        "+    flows: {telemetry: v1.3.0}\n",
        "Now: 2 changes; withheld: 98 (next wave at the earliest ",
        "Apply complete! Resources: 0 added, 2 changed, 0 destroyed. 98 changes withheld by rollouts (",
        "Rollout of group leeds (careful): stopped\n",
        "lab-pump-2 (24355d191c99f205fccc0ff8): failed",
        "pins:\n",
        "A rollout is stopped.\n",
        "$ echo $?\n7\n",
        "+    flows: {telemetry: v1.2.3}\n",
        "Going back: 2 changes, which no wave holds\n",
        "Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n",
        "+    flows: {telemetry: v1.3.1}\n",
        "Apply complete! Resources: 0 added, 100 changed, 0 destroyed.\n",
        "Rollout of group leeds (careful): complete\n",
        "Rows: 100 in sync.\n",
    ]
    at = 0
    for text in told:
        at = out.index(text, at) + len(text)
    check_nothing_is_left(process, tmp_path)


@pytest.mark.parametrize(
    ("when", "options"),
    [
        ("The manifest for them", []),
        ("reconciler plan", []),
        ("reconciler apply", []),
        ("reconciler apply --yes --wait", ["--rollout"]),
    ],
)
def test_ctrl_c_in_the_demo(when: str, options: list[str], tmp_path: Path) -> None:
    process = start_demo(tmp_path, *options)
    assert process.stdout is not None
    while when not in (line := process.stdout.readline()):
        assert line, processes.end(process)
    process.send_signal(signal.SIGINT)
    out, err = processes.end(process)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "That was a simulator" not in out
    check_nothing_is_left(process, tmp_path)


@pytest.mark.parametrize("kind", [Kind.EMBEDDED])  # neither reads a manifest or the API
def test_help_and_version_of_the_installed_command(shop: Shop) -> None:
    listed = shop.run("--help")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines() if line.startswith("  plan ")] == ["plan"]
    assert shop.run("--version").out.startswith("reconciler 0.")
    bare = shop.run()
    assert (bare.code, bare.out) == (1, "")
    assert "Usage: reconciler" in bare.err
