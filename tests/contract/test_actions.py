"""The table of actions in the simulator's README, against the code: what is served, who asks, and what tests it."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import reconciler.simulator
from reconciler.api.client import LosantApi
from reconciler.api.http.credentials import Token
from reconciler.model.requests import Release, RemoveRow, Replace
from reconciler.model.state import Kind
from reconciler.model.versions import Published
from reconciler.simulator import Server, serve
from reconciler.simulator.api.actions import ACTIONS, Deploy
from tests.builders import hex_id
from tests.support.api import open_api
from tests.support.cli import run_here

TESTS = Path(__file__).parents[1]
README = Path(reconciler.simulator.__file__).with_name("README.md").read_text(encoding="utf-8")
COMMANDS = ("plan", "apply", "status", "import", "export", "lock", "outdated")
APPLICATION, FLOW, DEVICE = hex_id(1, "a"), hex_id(1, "f"), hex_id(1, "d")


def table() -> dict[str, dict[str, str]]:
    """The table below "What it answers": an action's name to its cells by column."""
    lines = re.search(r"\n## What it answers\n.*?\n((?:\|[^\n]*\n)+)", README, re.DOTALL)
    assert lines is not None
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1].splitlines()]
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in body}


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_action_has_a_row_that_says_what_is_served() -> None:
    rows = table()

    assert list(rows) == [action.name for action in ACTIONS]
    for action in ACTIONS:
        path = action.path.removeprefix("/applications/{applicationId}").replace("{flowVersionId}", "{id or name}")
        row = rows[action.name]
        assert row["request"] == f"{action.method} `{re.sub(r'{[a-zA-Z]+}', '{id}', path) or '/'}`"
        served = action.does.verb if isinstance(action.does, Deploy) else action.does.__name__
        assert names(row["simulator"]) == {served}


def test_no_cell_of_deployments_is_empty() -> None:
    for action, row in table().items():
        for column, cell in row.items():
            assert cell, (action, column)
            assert cell != "none" or "eployment" not in action, (action, column)


def test_the_tests_of_the_table_are_there() -> None:
    for action, row in table().items():
        paths = names(row["tests"])
        assert "contract/test_official_client.py" in paths
        assert any(path.startswith("conformance/rows/") for path in paths), action
        assert [path for path in paths if not (TESTS / path).is_file()] == []


async def _send_all(api: LosantApi) -> None:
    await api.send(Release(FLOW, "v2", (DEVICE,)))
    await api.send(Replace(FLOW, "v2", "v1"))
    await api.send(RemoveRow(FLOW, DEVICE))


CALLS: Mapping[str, Callable[[LosantApi], Awaitable[Any]]] = {
    "application": lambda api: api.application(),
    "live": lambda api: api.live(),
    "record": lambda api: api.record("0" * 24),
    "devices": lambda api: api.devices(),
    "device_count": lambda api: api.device_count(),
    "flows": lambda api: api.flows(),
    "versions": lambda api: api.versions(FLOW),
    "published": lambda api: api.published(FLOW),
    "content": lambda api: api.content(FLOW, Published("v1", "0" * 24, "2026-01-01T00:00:00.000Z")),
    "export": lambda api: api.export({}),
    "send": _send_all,
}


def fleet(kind: Kind) -> dict[str, Any]:
    flow = {"id": FLOW, "class": kind.value, "versions": ["v1", "v2", "v3"]}
    devices = [
        {"id": DEVICE, "name": "d0", "class": kind.device_class, "deployed": {"f": "v3"}},
        {"count": 1001, "name": "d{n}", "class": kind.device_class, "deployed": {"f": "v1"}},
    ]
    return {
        "take_up_s": 0,
        "applications": [{"id": APPLICATION, "name": "A", "flows": {"f": flow}, "devices": devices}],
    }


def actions_of(server: Server) -> set[str]:
    found = set(server.control.counts())
    server.control.forget_requests()
    return found


def test_the_client_asks_what_the_table_says() -> None:
    """Each method is called; the actions that then arrive are those that name it, for both kinds."""
    found: dict[str, set[str]] = defaultdict(set)

    async def ask(server: Server, kind: Kind, name: str) -> None:
        token = Token(server.token, source="test")
        async with open_api(url=server.url, token=token, application_id=APPLICATION, kind=kind) as api:
            try:
                await CALLS[name](api)
            except Exception:  # noqa: BLE001 - what is asked is the question; two ask for what is not there
                assert name in ("record", "content")
        for action in actions_of(server):
            found[action].add(name)

    for kind in Kind:
        with serve(fleet(kind)) as server:
            for name in CALLS:
                if name != "export" or kind is Kind.EMBEDDED:
                    asyncio.run(ask(server, kind, name))

    assert {name for name in dir(LosantApi) if not name.startswith("_")} == set(CALLS)
    assert {action: names(row["client"]) for action, row in table().items()} == {
        action.name: found[action.name] for action in ACTIONS
    }


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.value)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A kind and a simulator that the commands find."""
    monkeypatch.chdir(tmp_path)
    with serve(fleet(request.param)) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        yield request.param, server


def manifest(kind: Kind, version: str) -> str:
    """So many devices move that a replace saves a call, and one loses the flow."""
    return (
        f"apiVersion: reconciler/v1\napplication: {{id: {APPLICATION}, name: A}}\nkind: {kind.value}\n"
        f"groups: {{all: {{select: {{all: true, exclude: {{devices: [d0]}}}}, flows: {{f: {version}}}}}}}\n"
        f"devices: {{d0: {{f: absent}}}}\nlimits: {{removals: {{percent: 100}}}}\n"
    )


def test_the_commands_ask_what_the_table_says(world: tuple[Kind, Server]) -> None:
    """Each command, in the ways that ask for different things; it asks for nothing that the table does not say."""
    kind, server = world
    record = server.control.world.db.execute(
        "select id from records" if kind is Kind.EMBEDDED else "select record_id from entries"
    ).fetchone()[0]
    Path("m.yaml").write_text(manifest(kind, "v2"))
    own = ["--application", APPLICATION]
    scripts = {
        "lock": [["lock", "m.yaml"]],
        "outdated": [["outdated", "m.yaml"]],
        "plan": [["plan", "m.yaml"]],
        "apply": [["apply", "--yes", "m.yaml"], ["apply", "--yes", "--calls", "explicit", "n.yaml"]],
        "status": [["status", "m.yaml"], ["status", "--deployment", record, "m.yaml"]],
        "import": [["import", *own, "--kind", kind.value]],
        "export": [["export", *own, "--device", "d0", "--email", "me@example.com"]] if kind is Kind.EMBEDDED else [],
    }
    found: dict[str, set[str]] = {}
    for command in ("lock", "outdated", "plan", "status", "import", "export", "apply"):
        for script in scripts[command]:
            Path("n.yaml").write_text(manifest(kind, "v3"))
            assert run_here(*script).code == 0
        found[command] = actions_of(server)

    said = {
        command: {action for action, row in table().items() if command in names(row["commands"])}
        for command in COMMANDS
    }
    other = "edge" if kind is Kind.EMBEDDED else "embedded"
    for command, scenario in scripts.items():
        if scenario:
            assert found[command] == {action for action in said[command] if not action.startswith(other)}, command
