"""One base of groups by names and tags serves dev, staging and production, whose ids differ and whose names do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import Server, faults, serve
from tests.support.cli import Ended, run_installed
from tests.support.fleet import application

IDS = {"dev": "d" * 24, "staging": "5" * 24, "production": "9" * 24}

BASE = """\
apiVersion: reconciler/v1
groups:
  leeds: {select: {tags: {site: leeds}}, flows: {telemetry: v2, alarms: a1}}
  york: {select: {tags: {site: york}}, flows: {telemetry: v1}}
pins:
  - {device: leeds-1, flows: {telemetry: v1}, reason: board rev B}
protect:
  - {flow: alarms}
"""


def environment(name: str, kind: Kind) -> dict[str, Any]:
    devices: list[dict[str, Any]] = [
        {"count": 3, "name": "leeds-{n}", "tags": {"site": "leeds"}, "deployed": {"telemetry": "v1"}},
        {"name": "york-1", "tags": {"site": "york"}},
        {"name": "spare", "deployed": {"telemetry": "v1"}},
    ]
    tokens = [{"text": f"token-of-{name}", "scopes": ["all.Application"]}]
    flows = {"telemetry": ["v1", "v2"], "alarms": ["a1"]}
    return application(kind, devices, flows, id=IDS[name], name=name, tokens=tokens)


@pytest.fixture
def server(kind: Kind, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "environments").mkdir()
    (tmp_path / "base.yaml").write_text(f"{BASE}kind: {kind}\n")
    for name, identifier in IDS.items():
        text = f"apiVersion: reconciler/v1\nextends: ../base.yaml\napplication: {{id: '{identifier}', name: {name}}}\n"
        if name == "dev":
            text += "groups: {york: {flows: {telemetry: v2}}}\n"
        (tmp_path / "environments" / f"{name}.yaml").write_text(text)
    with serve({"applications": [environment(name, kind) for name in IDS]}) as running:
        yield running


def reconciler(server: Server, folder: Path, *argv: str, tokens: tuple[str, ...] = tuple(IDS)) -> Ended:
    """Run the installed command with one token for each application."""
    env = {**os.environ, "LOSANT_API_URL": server.url}
    env |= {f"LOSANT_API_TOKEN_{IDS[name]}": f"token-of-{name}" for name in tokens}
    return run_installed(*argv, cwd=folder, env=env)


def released(server: Server) -> list[tuple[str, str, str | None]]:
    """Every row of every application, by names."""
    return sorted((row["device"], row["flow"], row["released"]) for row in server.control.rows() if row["released"])


def test_all_three_are_planned_and_applied_from_one_base(kind: Kind, server: Server, tmp_path: Path) -> None:
    ended = reconciler(server, tmp_path, "plan", "environments")
    assert ended.code == 0, ended.err
    assert [line for line in ended.out.splitlines() if line.startswith("Application")] == [
        f"Application staging ({IDS['staging']}), {kind}",
        f"Application production ({IDS['production']}), {kind}",
        f"Application dev ({IDS['dev']}), {kind}",
    ]
    assert ended.out.splitlines()[-1] == "Plan: 12 to add, 6 to change, 0 to destroy."

    ended = reconciler(server, tmp_path, "apply", "--yes", "environments")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "Apply complete! Resources: 12 added, 6 changed, 0 destroyed."
    leeds = [(f"leeds-{n}", "alarms", "a1") for n in (1, 2, 3)] + [("leeds-2", "telemetry", "v2")]
    leeds += [("leeds-1", "telemetry", "v1"), ("leeds-3", "telemetry", "v2"), ("spare", "telemetry", "v1")]
    york = [("york-1", "telemetry", "v2"), ("york-1", "telemetry", "v1"), ("york-1", "telemetry", "v1")]
    assert released(server) == sorted(leeds * 3 + york)

    ended = reconciler(server, tmp_path, "plan", "--detailed-exitcode", "environments")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "No changes.")


def test_one_environment_is_picked_before_any_read(server: Server, tmp_path: Path) -> None:
    ended = reconciler(server, tmp_path, "plan", "--application", "dev", "environments", tokens=("dev",))
    assert ended.code == 0, ended.err
    assert ended.out.count("Application ") == 1
    assert {request["path"].split("/")[2] for request in server.control.requests()} == {IDS["dev"]}


def test_a_token_of_another_environment_is_refused_and_nothing_is_written(server: Server, tmp_path: Path) -> None:
    env = {**os.environ, "LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": "token-of-dev"}
    ended = run_installed("apply", "--yes", "environments", cwd=tmp_path, env=env)
    assert ended.code == 1
    assert ended.err.startswith("Error: ")
    assert all(request["method"] == "GET" for request in server.control.requests())


def test_a_refusal_in_one_stops_all_before_the_first_write(server: Server, tmp_path: Path) -> None:
    manifest = tmp_path / "environments" / "production.yaml"
    manifest.write_text(manifest.read_text() + "limits: {changes: {percent: 1}}\n")
    ended = reconciler(server, tmp_path, "apply", "--yes", "environments")
    assert ended.code == 3
    assert "refused (changes)" in ended.err
    assert "Plan: 12 to add, 6 to change" in ended.out
    assert all(request["method"] == "GET" for request in server.control.requests())


def test_all_are_read_at_once_with_no_more_requests_in_flight_than_allowed(server: Server, tmp_path: Path) -> None:
    server.control.fault(faults.Latency(seconds=0.2))
    ended = reconciler(server, tmp_path, "plan", "--parallelism", "4", "environments")
    assert ended.code == 0, ended.err
    seen = server.control.requests()
    assert {one["action"] for one in seen[:2]} == {"application.get"}
    assert len({one["path"] for one in seen[:2]}) == 2  # of two applications
    assert max(one["in_flight"] for one in seen) == 4


def test_the_error_is_that_of_the_first_application_even_if_another_fails_sooner(
    server: Server, tmp_path: Path
) -> None:
    """The first in the plan's order is staging; dev is refused while that is still being answered."""
    server.control.fault(faults.Latency(seconds=0.3, when=faults.When(path=f"{IDS['staging']}/.*deployments")))
    for name in ("dev", "staging"):
        at = faults.When(path=f"{IDS[name]}/.*deployments")
        server.control.fault(faults.Status(status=400, message=f"not in {name}", when=at))
    ended = reconciler(server, tmp_path, "plan", "environments")
    assert (ended.code, ended.out) == (1, "")
    assert "not in staging" in ended.err
    assert "not in dev" not in ended.err
    refused = [one["path"] for one in server.control.requests() if one["status"] == 400]
    assert [IDS["dev"] in path for path in refused] == [True, False]
