"""Random small fleets of both kinds: apply ends where the manifest says, moves nothing else, and is then done."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from hypothesis import given, note, settings
from hypothesis import strategies as st

from reconciler.simulator import Clock, Server, serve
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SITES = ("hull", "leeds", "york")
PUMPS = {f"{site}-{number}": site for site in SITES for number in (1, 2)}
FLOWS = ("alarms", "telemetry")
NODE = "parser"
VERSIONS = ("v1", "v2", "v3")
SELECTORS = {
    "{all: true}": set(PUMPS),
    '{devices: ["*-1"]}': {name for name in PUMPS if name.endswith("-1")},
    "{tags: {site: [hull, york]}}": {name for name, site in PUMPS.items() if site != "leeds"},
    "{all: true, exclude: {tags: {site: hull}}}": {name for name, site in PUMPS.items() if site != "hull"},
    "{devices: [leeds-1, york-2]}": {"leeds-1", "york-2"},
}

Row = tuple[str, str]
version = st.sampled_from(VERSIONS)
entry = st.one_of(
    st.fixed_dictionaries({"released": version}, optional={"reported": version}),
    st.fixed_dictionaries({"reported": version}),
)
wanted = st.dictionaries(st.sampled_from(FLOWS), st.sampled_from([*VERSIONS, "absent"]), min_size=1)
pump = st.fixed_dictionaries(
    {"deployed": st.dictionaries(st.sampled_from(FLOWS), st.one_of(version, entry))},
    optional={"connected": st.just(False), "unknown_bundle": st.just(True)},
)
switches = st.fixed_dictionaries(
    {
        "replace_matches": st.sampled_from(["released", "reported", "either", "both"]),
        "replace_unknown_bundles": st.sampled_from(["ignored", "reached"]),
        "empty_entries": st.sampled_from(["dropped", "kept"]),
        "empty_edge_records": st.sampled_from(["dropped", "kept"]),
        "per_page_cap": st.sampled_from([None, 2]),
    }
)


@dataclass(frozen=True)
class Case:
    """A fleet, what its manifest says, and how the API answers its open questions."""

    kind: str
    pumps: dict[str, Any]
    groups: list[tuple[str, dict[str, str]]]  # the later, the higher its priority
    devices: dict[str, dict[str, str]]
    prunes: bool
    calls: str
    switches: dict[str, Any]

    def manifest(self) -> str:
        groups = [
            f"  g{number}: {{select: {selector}, priority: {number}, flows: {json.dumps(flows)}}}\n"
            for number, (selector, flows) in enumerate(self.groups)
        ]
        return (
            f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nkind: {self.kind}\n"
            f"prune: {'devices' if self.prunes else 'false'}\n"
            "limits: {removals: {count: 1000, percent: 100}}\n"
            + "".join(["groups:\n", *groups] if groups else [])
            + f"devices: {json.dumps(self.devices)}\n"
        )

    def desired(self) -> dict[Row, str | None]:
        """Every declared row, told apart from the product's own code."""
        rows: dict[Row, str | None] = {}
        for selector, flows in self.groups:
            rows.update({(name, flow): value for name in SELECTORS[selector] for flow, value in flows.items()})
        for name, flows in self.devices.items():
            rows.update({(name, flow): value for flow, value in flows.items()})
        if self.prunes:
            rows = {**{(name, flow): "absent" for name, _ in rows for flow in FLOWS}, **rows}
        return {row: None if value == "absent" else value for row, value in rows.items()}


cases = st.builds(
    Case,
    kind=st.sampled_from(["embedded", "edge"]),
    pumps=st.fixed_dictionaries(dict.fromkeys(PUMPS, pump)),
    groups=st.lists(st.tuples(st.sampled_from(sorted(SELECTORS)), wanted), max_size=3),
    devices=st.dictionaries(st.sampled_from(sorted(PUMPS)), wanted, max_size=3),
    prunes=st.booleans(),
    calls=st.sampled_from(["fewest", "fewest", "explicit"]),
    switches=switches,
)


def fleet(case: Case) -> dict[str, Any]:
    edge = case.kind == "edge"
    devices = []
    for name, pump in case.pumps.items():
        device = {"name": name, "class": "edgeCompute" if edge else "embedded", "tags": {"site": PUMPS[name]}, **pump}
        # A bundle is an embedded device's; a custom node comes with what an edge device runs.
        if edge and device.pop("unknown_bundle", False):
            device["deployed"] = {**pump["deployed"], NODE: "n1"}
        devices.append(device)
    flows: dict[str, Any] = {flow: {"class": case.kind, "versions": list(VERSIONS)} for flow in FLOWS}
    flows[NODE] = {"class": "customNode", "versions": ["n1"]}
    return {
        "switches": case.switches,
        "applications": [{"id": APPLICATION, "name": "plant", "flows": flows, "devices": devices}],
    }


def released(server: Server) -> dict[Row, str]:
    return {(row["device"], row["flow"]): row["released"] for row in server.control.rows() if row["released"]}


def command(*argv: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of one command in this process."""
    ended = run_here(*argv, "--format", "json")
    note(f"{argv}: {ended.code} {ended.err}")
    return ended.code, ended.document


@settings(max_examples=40)
@given(cases)
def test_apply_reaches_the_desired_state_and_moves_nothing_else(case: Case) -> None:
    note(case.manifest())
    with TemporaryDirectory() as folder, serve(fleet(case), clock=Clock(frozen_at=START)) as server:
        path = Path(folder, "plant.yaml")
        path.write_text(case.manifest(), encoding="utf-8")
        options = [str(path), "--allow-empty", "--calls", case.calls]
        before, desired = released(server), case.desired()
        after = {**before, **desired}
        moves = {row: (before.get(row), to) for row, to in desired.items() if before.get(row) != to}

        with mock.patch.dict(os.environ, LOSANT_API_URL=server.url, LOSANT_API_TOKEN=server.token):
            code, document = command("plan", *options, "--detailed-exitcode")
            assert code == (2 if moves else 0)
            (plan,) = document["plans"]
            changes = {(one["device_name"], one["flow_name"]): (one["from"], one["to"]) for one in plan["changes"]}
            assert changes == moves
            assert plan["summary"]["unmanaged"] == sum(row not in desired for row in _shown(server))

            code, document = command("apply", *options, "--yes")
            assert (code, document["error"]) == (0, None)
            assert released(server) == {row: to for row, to in after.items() if to}

            server.control.forget_requests()
            assert command("plan", *options, "--detailed-exitcode")[0] == 0
            assert command("apply", *options, "--yes")[0] == 0
            assert {request["method"] for request in server.control.requests()} == {"GET"}


def _shown(server: Server) -> set[Row]:
    """Rows with anything released or reported."""
    rows = server.control.rows()
    return {(row["device"], row["flow"]) for row in rows if row["released"] or row["reported"]}
