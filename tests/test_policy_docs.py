"""docs/policy.md: each policy judges real plans, as conftest would: what `deny` says refuses."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Server, serve
from tests.support import processes
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION

if sys.version_info >= (3, 15):
    pytest.skip("regopy has no wheels for this Python", allow_module_level=True)

from regopy import Interpreter

PAGE = (Path(__file__).parent.parent / "docs/policy.md").read_text(encoding="utf-8")
POLICIES = dict(re.findall(r"^<!-- policy: (\w+) -->\n```rego\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
FLEET = f"""
take_up_s: 0
applications:
  - id: {APPLICATION}
    name: shop
    flows: {{telemetry: [v1, v2], alarms: [v1]}}
    devices:
      - {{count: 2, name: "lab-pump-{{n}}", tags: {{site: lab}}, deployed: {{telemetry: v1, alarms: v1}}}}
      - {{count: 4, name: "leeds-pump-{{n}}", tags: {{site: leeds}}, deployed: {{telemetry: v1, alarms: v1}}}}
"""
HEAD = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nlimits: {{removals: {{percent: 100}}}}\n"
TUESDAY = "2026-06-02T10:30:00+01:00"
FRIDAY = "2026-06-05T10:30:00+01:00"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        yield server


def plan(telemetry: str = "v1", alarms: str = "v1", lab: str | None = None) -> dict[str, Any]:
    """The plan's JSON for these versions of all pumps; `lab`: of telemetry in the laboratory."""
    Path("m.yaml").write_text(
        f"{HEAD}groups:\n"
        f"  all: {{select: {{all: true}}, flows: {{telemetry: {telemetry}, alarms: {alarms}}}}}\n"
        f"  lab: {{select: {{tags: {{site: lab}}}}, priority: 1, flows: {{telemetry: {lab or telemetry}}}}}\n"
    )
    return run_here("plan", "m.yaml", "--format", "json").document


def denied(document: dict[str, Any], *names: str, at: str | None = TUESDAY, **replaced: str) -> list[str]:
    """What the policies say of a plan, all of them if none is named."""
    rego = Interpreter()
    for name in names or POLICIES:
        text = POLICIES[name]
        for old, new in replaced.items():
            text = re.sub(rf"^{old} := .*$", f"{old} := {new}", text, count=1, flags=re.MULTILINE)
        rego.add_module(name, text)
    now = {} if at is None else {"now_s": int(datetime.fromisoformat(at).astimezone(UTC).timestamp())}
    rego.set_input({**document, **now})
    answer = json.loads(str(rego.query("data.main.deny")))
    (said,) = answer["expressions"]
    return sorted(said)


def test_the_page_has_the_policies_that_it_names() -> None:
    assert list(POLICIES) == ["sound", "hours", "friday", "canary", "devices"]
    assert "conftest test --policy policy input.json" in PAGE


def test_what_is_in_order_passes_all_of_them_together(server: Server) -> None:
    assert denied(plan()) == []
    assert denied(plan(lab="v2")) == []
    assert denied(plan(alarms="absent")) == []


def test_a_plan_that_failed_is_no_plan(server: Server) -> None:
    broken = plan(telemetry="v9")
    assert broken["error"]
    for document in (broken, {}, {**plan(), "plans": None}, {**plan(), "command": "status"}):
        assert denied(document, "sound") == ["this is not a plan without errors"]


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        (TUESDAY, True),
        ("2026-06-02T09:00:00+01:00", True),
        ("2026-06-02T08:59:59+01:00", False),
        ("2026-06-02T15:59:59+01:00", True),
        ("2026-06-02T16:00:00+01:00", False),
        ("2026-12-01T09:00:00+00:00", True),
        ("2026-06-06T10:30:00+01:00", False),
        (None, False),
    ],
)
def test_working_hours(server: Server, at: str | None, allowed: bool) -> None:
    said = [] if allowed else ["changes are sent from Monday to Friday, 9:00 to 16:00"]
    assert denied(plan(telemetry="v2"), "hours", at=at) == said
    assert denied(plan(), "hours", at=at) == []


@pytest.mark.parametrize(("at", "allowed"), [(FRIDAY, False), (TUESDAY, True), (None, False)])
def test_no_removal_on_a_friday(server: Server, at: str | None, allowed: bool) -> None:
    removal = plan(alarms="absent")
    assert len(denied(removal, "friday", at=at)) == (0 if allowed else 6)
    if not allowed:
        assert "alarms would be removed from lab-pump-1 on a Friday" in denied(removal, "friday", at=at)
    assert denied(plan(telemetry="v2"), "friday", at=at) == []


def test_canary_first(server: Server) -> None:
    assert denied(plan(telemetry="v2"), "canary") == ["v2 of telemetry goes to the canaries first"]
    assert denied(plan(lab="v2"), "canary") == []
    for pump in ("lab-pump-1", "lab-pump-2"):
        server.control.set_released(pump, "telemetry", "v2")
        server.control.set_reported(pump, "telemetry", "v1")
    assert denied(plan(telemetry="v2"), "canary") == ["v2 of telemetry goes to the canaries first"], "pending"
    for pump in ("lab-pump-1", "lab-pump-2"):
        server.control.set_reported(pump, "telemetry", "v2")
    assert denied(plan(telemetry="v2"), "canary") == []


def test_at_most_so_many_devices(server: Server) -> None:
    document = plan(telemetry="v2", alarms="absent")
    assert denied(document, "devices", most="6") == []
    assert denied(document, "devices", most="5") == ["6 devices would change, at most 5 may"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
def test_the_commands_of_the_page(server: Server) -> None:
    [merged] = re.findall(r"^jq --argjson .*$", PAGE, re.MULTILINE)
    [told] = re.findall(r"^(jq '.*?') \\\n  result.json \| curl", PAGE, re.DOTALL | re.MULTILINE)
    Path("plan.json").write_text(json.dumps(plan(telemetry="v2")))
    processes.run(["sh", "-c", merged], check=True)
    assert denied(json.loads(Path("input.json").read_text()), "sound", at=None) == []
    assert isinstance(json.loads(Path("input.json").read_text())["now_s"], int)
    assert run_here("apply", "m.yaml", "--yes", "--result", "result.json").code == 0
    said = processes.run(["sh", "-c", f"{told} result.json"], check=True).stdout
    assert json.loads(said) == {"text": "reconciler apply: 1 confirmed"}
