"""docs/scopes.md: with exactly the scopes of its row a command works, without any one of them it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

import pytest

from reconciler.cli.registry import COMMANDS
from reconciler.model.state import Kind
from reconciler.simulator import serve
from tests.support.cli import Ended, run_here
from tests.support.fleet import APPLICATION, MANIFEST, fleet, of_kind

PAGE = (Path(__file__).parent.parent / "docs/scopes.md").read_text(encoding="utf-8")
ROWS = {
    row[0]: (re.findall(r"`([^`]+)`", row[1]), re.findall(r"`([^`]+)`", row[2]))
    for row in re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
}
IDS = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\ndevices: {{DEVICE: {{FLOW: v2}}}}\n"
WORDS = {
    "`plan`, manifests of ids": "plan ids.yaml",
    "`plan`": "plan shop.yaml",
    "`apply --calls explicit`": "apply shop.yaml --yes --calls explicit",
    "`apply`": "apply shop.yaml --yes",
    "`status`": "status shop.yaml --format json",
    "`status --device`": "status shop.yaml --format json --device leeds-2",
    "`lock`": "lock shop.yaml",
    "`outdated`": "outdated shop.yaml",
    "`import`": f"import --application {APPLICATION}",
    "`export`": f"export --application {APPLICATION} --email a@example.com --device leeds-1",
}
MANY = f"""
take_up_s: 0
tokens: [{{text: the-token, scopes: SCOPES}}]
applications:
  - id: {APPLICATION}
    name: shop
    flows: {{telemetry: [v1, v2]}}
    devices: [{{count: 1001, name: "pump-{{n}}", deployed: {{telemetry: v1}}}}]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSANT_API_TOKEN", "the-token")


def run(words: str, scopes: Collection[str], monkeypatch: pytest.MonkeyPatch, kind: Kind) -> tuple[Ended, set[str]]:
    """A command with a token of these scopes, on a fleet of its own; and what it asked for."""
    text = fleet(kind) + f"tokens: [{{text: the-token, scopes: {json.dumps(sorted(scopes))}}}]\n"
    with serve(text) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        row = next(row for row in server.control.rows() if row["flow"] == "telemetry")
        ids = IDS.replace("DEVICE", row["device_id"]).replace("FLOW", row["flow_id"])
        Path("ids.yaml").write_text(of_kind(kind, ids))
        Path("shop.yaml").write_text(of_kind(kind, MANIFEST))
        return run_here(*words.split()), set(server.control.counts())


@pytest.mark.parametrize("row", ROWS)
def test_the_scopes_of_a_command(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, spared = ROWS[row]
    ended, seen = run(WORDS[row], ["all.Application"], monkeypatch, Kind.EMBEDDED)
    assert ended.code == 0, ended.err
    maybe = {"embeddedDeployments.replace"}  # it takes a thousand devices to be worth it: see below
    assert {*needed, *spared} - maybe == seen - maybe
    ended, _ = run(WORDS[row], needed, monkeypatch, Kind.EMBEDDED)
    assert ended.code == 0, ended.err
    for scope in {*needed} - maybe:
        ended, _ = run(WORDS[row], {*needed, *spared} - {scope}, monkeypatch, Kind.EMBEDDED)
        assert ended.code != 0, scope
        assert scope in ended.err + ended.out


@pytest.mark.parametrize("row", ["`plan`", "`apply`"])
def test_for_edge_the_names_are_others(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = [scope.replace("embeddedDeployment", "edgeDeployment") for scope in ROWS[row][0]]
    assert run(WORDS[row], scopes, monkeypatch, Kind.EDGE)[0].code == 0
    assert run(WORDS[row], ROWS[row][0], monkeypatch, Kind.EDGE)[0].code == 1


def test_calls_without_ids_need_a_scope_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"
    manifest += "groups: {all: {select: {all: true}, flows: {telemetry: v2}}}\n"
    Path("many.yaml").write_text(manifest)
    needed = ROWS["`apply`"][0]
    for scopes, code in ((needed, 0), ([one for one in needed if not one.endswith(".replace")], 6)):
        with serve(MANY.replace("SCOPES", json.dumps(scopes))) as server:
            monkeypatch.setenv("LOSANT_API_URL", server.url)
            ended = run_here("apply", "many.yaml", "--yes")
            assert ended.code == code, ended.err
            assert ("embeddedDeployments.replace" in ended.out + ended.err) == (code == 6)


def test_the_page_speaks_of_every_command() -> None:
    assert set(ROWS) == set(WORDS)
    named = {word for text in re.findall(r"`([^`]+)`", PAGE) for word in text.split()}
    assert set(COMMANDS) - {"ci", "simulator", "demo"} <= named


PAIR = f"""
tokens: [{{text: the-token, scopes: SCOPES}}]
applications:
  - {{id: {"a" * 24}, name: a, flows: {{f: [v1, v2]}}, devices: [{{name: p, deployed: {{f: v2}}}}]}}
  - {{id: {"b" * 24}, name: b, flows: {{f: [v1, v2]}}, devices: [{{name: p, deployed: {{f: v1}}}}]}}
"""


def test_promote_needs_what_is_said_below_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [*ROWS["`status`"][0], "flowVersions.get"]
    for scopes, code in ((needed, 0), ([one for one in needed if one != "embeddedDeployments.get"], 1)):
        for name, version in (("a", "v2"), ("b", "v1")):
            text = f"application: {name * 24}\ngroups: {{g: {{select: {{all: true}}, flows: {{f: {version}}}}}}}\n"
            Path(f"{name}.yaml").write_text(f"apiVersion: reconciler/v1\n{text}")
        with serve(PAIR.replace("SCOPES", json.dumps(scopes))) as server:
            monkeypatch.setenv("LOSANT_API_URL", server.url)
            ended = run_here("promote", "--from", "a.yaml", "--to", "b.yaml")
            assert ended.code == code, ended.err
