"""docs/monitoring: the page's job run as it stands; alerts and dashboard against the metrics that there are; events.

promtool judges rules, queries and metrics where it is installed; `.ci/promtool` sees to that in the gate.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.model.events import Event
from reconciler.model.health import Standing, Verdict
from reconciler.model.rollout import RolloutState, RolloutVerdict
from reconciler.render.openmetrics import FAMILIES
from reconciler.simulator import serve
from tests.support import processes
from tests.support.cli import Here, run_here
from tests.support.fleet import APPLICATION, FLEET, HEAD, Shop
from tests.support.line import line_at
from tests.support.time import skip_pauses

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
FOLDER = ROOT / "docs/monitoring"
STATES: dict[str, set[str]] = {
    "reconciler_rows": set(Standing),
    "reconciler_devices": set(Verdict),
    "reconciler_rollout_state": set(RolloutState),
    "reconciler_rollout_wave": set(RolloutVerdict),
    "reconciler_rollout_waves": {"passed", "open", "closed"},
}
[JOB] = re.findall(r"^```sh\n(file=.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FAILS = FLEET.replace("deployed: {telemetry: v1}}", "deployed: {telemetry: v1}, fails: {telemetry: {v2: no memory}}}")
MANIFEST = f"{HEAD}groups: {{all: {{select: {{all: true}}, flows: {{telemetry: v2}}}}}}\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two devices in York do not run what everybody should."""
    with serve(FAILS) as server:
        shop = Shop(server, tmp_path)
        shop.write("shop.yaml", MANIFEST)
        yield shop


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    skip_pauses(monkeypatch)
    return shop.here(monkeypatch)


# The command.


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.items() >= {"application": APPLICATION, "kind": "embedded"}.items()
            rest = ",".join(
                value for name, value in sorted(sample.labels.items()) if name not in ("application", "kind")
            )
            found[f"{sample.name} {rest}".strip()] = sample.value
    return found


def test_the_numbers_are_those_of_the_status(shop: Shop, here: Here) -> None:
    assert here("apply", "shop.yaml", "--yes", "--wait").code == 5
    ended, as_json = (
        here("status", "shop.yaml", "--format", "openmetrics"),
        here("status", "shop.yaml", "--format", "json"),
    )
    assert (ended.code, ended.err) == (5, "")  # as in every format
    found = samples(ended.out)
    (report,) = as_json.document["status"]
    assert {state: found[f"reconciler_devices {state}"] for state in report["devices"]} == report["devices"]
    assert found["reconciler_rows telemetry,failed,v2"] == report["rows"]["failed"] == 2
    assert found["reconciler_rows telemetry,in_sync,v2"] == report["rows"]["in_sync"] == 4
    assert found["reconciler_rows alarms,unmanaged,v1"] == 4
    assert found["reconciler_application_info shop"] == 1


def test_the_time_of_the_read_is_the_clocks(shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.runtime import SystemClock

    monkeypatch.setattr(SystemClock, "utc_now", lambda _: "2026-03-25T09:00:00.500Z")
    found = samples(here("status", "shop.yaml", "--format", "openmetrics").out)
    assert found["reconciler_last_read_timestamp_seconds"] == 1_774_429_200.5


ROLLOUT = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
rollouts:
  careful:
    waves: [{{tags: {{ring: canary}}}}, {{tags: {{ring: first}}}}]
    gate: {{converged: 100, soak: 1h, sample: 1}}
groups:
  all: {{select: {{all: true}}, rollout: careful, flows: {{telemetry: v2}}}}
"""


def test_a_rollout_is_counted_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with line_at(tmp_path, monkeypatch) as line:
        line.manifest(ROLLOUT)
        assert run_here("apply", "plant.yaml", "--yes").code == 0
        line.later(seconds=60)
        found = samples(run_here("status", "plant.yaml", "--format", "openmetrics").out)
        assert found["reconciler_rollout_state all,careful,held"] == 1
        assert found["reconciler_rollout_wave all,careful,soaking,1"] == 2
        assert found["reconciler_rollout_wave all,careful,to_release,3"] == 8
        assert found["reconciler_rollout_waves all,careful,open"] == 1
        assert found["reconciler_rows telemetry,withheld,v2"] == 12
        line.goes_wrong("fails", "v2")
        line.later(hours=2)
        found = samples(run_here("status", "plant.yaml", "--format", "openmetrics").out)
        assert (
            found["reconciler_rollout_state all,careful,open"]
            == found["reconciler_rollout_waves all,careful,passed"]
            == 1
        )
        assert run_here("apply", "plant.yaml", "--yes").code == 0
        line.later(seconds=120)
        ended = run_here("status", "plant.yaml", "--format", "openmetrics")
        assert ended.code == 7
        found = samples(ended.out)
        assert found["reconciler_rollout_state all,careful,stopped"] == 1
        assert found["reconciler_rollout_wave all,careful,failed,2"] == 4


@pytest.mark.parametrize("which", [["--device", "york-1"], ["--deployment", "5" * 24]])
def test_numbers_of_a_part_do_not_pass_for_those_of_the_whole(which: list[str], shop: Shop, here: Here) -> None:
    ended = here("status", "shop.yaml", "--format", "openmetrics", *which)
    assert (ended.code, ended.out) == (1, "")
    assert "cannot be combined with --device or --deployment" in ended.err
    assert shop.control.requests() == []


# The page.


def job(shop: Shop, file: Path) -> int:
    """The page's job, with its manifests and its file."""
    first, *rest = JOB.splitlines(keepends=True)
    assert first == "file=/var/lib/prometheus/node-exporter/reconciler.prom\n"
    text = f"file={file}\n{''.join(rest)}".replace("status manifests ", "status shop.yaml ")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return processes.run(["sh", "-c", text], cwd=shop.folder, env=shop.env(PATH=path)).returncode


def test_the_jobs_file_is_new_where_devices_failed_and_stays_where_reading_failed(shop: Shop, here: Here) -> None:
    file = shop.folder / "shop.prom"
    assert here("apply", "shop.yaml", "--yes", "--wait").code == 5
    assert job(shop, file) == 0
    seen = file.read_text(encoding="utf-8")
    assert samples(seen)["reconciler_devices failed"] == 2
    shop.write("shop.yaml", MANIFEST.replace("v2", "v7"))  # which does not exist
    assert job(shop, file) != 0
    assert file.read_text(encoding="utf-8") == seen


def rows(heading: str) -> dict[str, str]:
    """First and second cell of the table under a heading of cells."""
    table = PAGE.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return {cells[1].strip(" `"): cells[2] for cells in (line.split("|") for line in table)}


def test_the_page_lists_every_metric_with_its_labels_and_states() -> None:
    listed = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows("| metric | more labels").items()}
    assert listed == {name: labels for name, (labels, _) in FAMILIES.items()}
    listed = {name: tuple(re.findall(r"`(\w+)`", states)) for name, states in rows("| metric | states").items()}
    assert {name: set(states) for name, states in listed.items()} == {
        name: set(map(str, states)) for name, states in STATES.items() if name != "reconciler_rollout_waves"
    }
    assert f"# HELP reconciler_rows {FAMILIES['reconciler_rows'][1]}\n" in PAGE


def test_the_page_lists_every_event() -> None:
    listed = [*rows("| type | tells")]
    assert listed == [kind.__name__.removesuffix("Event").lower() for kind in get_args(Event)]


# Alerts and dashboard.


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    data = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = data["panels"]
    return found


def queries() -> dict[str, str]:
    """Every query of alerts and dashboard, by where it is."""
    of_panels = {
        f"{panel['title']}, {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]
    }
    return {rule["alert"]: rule["expr"] for rule in alerts()} | of_panels


@pytest.mark.parametrize("where", queries())
def test_a_query_asks_for_what_there_is(where: str) -> None:
    query = queries()[where]
    names = set(re.findall(r"\breconciler_\w+", query))
    assert names
    assert names <= FAMILIES.keys()
    known = {label for name in names for label in FAMILIES[name][0]} | {"application", "kind"}
    for labels in re.findall(r"(?:by|on|group_left) \(([^)]*)\)", query):
        assert set(labels.split(", ")) <= known
    for name, matchers in re.findall(r"(reconciler_\w+)\{([^}]*)\}", query):
        own = {*FAMILIES[name][0], "application", "kind"}
        for label, values in re.findall(r'(\w+)[!=]~?"([^"]*)"', matchers):
            assert label in own
            if label == "state":
                assert set(values.split("|")) <= STATES[name]


def test_every_metric_is_on_the_dashboard() -> None:
    text = (FOLDER / "dashboard.json").read_text(encoding="utf-8")
    assert set(re.findall(r"\breconciler_\w+", text)) == FAMILIES.keys()


def test_the_dashboards_panels_lie_beside_each_other_and_have_numbers_of_their_own() -> None:
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels())
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_dashboards_application_is_picked_by_name() -> None:
    data = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    [pick] = [one for one in data["templating"]["list"] if one["name"] == "application"]
    series = (
        'reconciler_application_info{application="5f0c", instance="a", kind="edge", name="Pumps, Leeds"} 1 1774429200'
    )
    match = re.search(pick["regex"].strip("/").replace("(?<", "(?P<"), series)
    assert match
    assert match.groupdict() == {"value": "5f0c", "text": "Pumps, Leeds"}


def test_the_page_lists_every_alert_and_each_names_the_application() -> None:
    assert [*rows("| alert |")] == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert "name" in used or "absent(" in rule["expr"]
        assert used <= {label for labels, _ in FAMILIES.values() for label in labels} | {"application", "kind"}


# By promtool.

PROMTOOL = shutil.which("promtool") or ""
by_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed: Debian has it in prometheus")


def promtool(*argv: str | Path, **more: Any) -> str:
    done = processes.run([PROMTOOL, *argv], **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@by_promtool
def test_the_alerts_are_rules_and_pass_their_tests() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", FOLDER / "alerts.yml")
    promtool("test", "rules", FOLDER / "alerts.test.yml")


@by_promtool
def test_the_dashboards_queries_are_queries(tmp_path: Path) -> None:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", file)


@by_promtool
def test_the_metrics_keep_to_the_conventions(shop: Shop, here: Here) -> None:
    ended = here("status", "shop.yaml", "--format", "openmetrics")
    assert promtool("check", "metrics", input=ended.out) == ""


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_promtool_the_gate_says_so_and_may_not_in_ci(ci: str, code: int, tmp_path: Path) -> None:
    for name in ("bash", "dirname", "mktemp", "rm", "tail"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = processes.run([ROOT / ".ci/promtool"], env={"PATH": str(tmp_path), "CI": ci}, cwd=ROOT)
    assert done.returncode == code
    assert "promtool is not installed" in done.stdout
    assert "there is no apt-get here" in done.stdout
    assert ("skipped: " in done.stdout) == (code == 0)


def test_the_gate_runs_the_check() -> None:
    assert "\n.ci/promtool\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
