"""The README of the simulator tells the truth: its examples run, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import reconciler.simulator
from reconciler.simulator import Switches, parse_fleet
from reconciler.simulator.faults import When
from reconciler.simulator.http.commands import COMMANDS
from reconciler.simulator.world.fleet import Application, Device, Fleet, Flow, Token
from tests.simulator.wire import FAULT, Api

README = Path(reconciler.simulator.__file__).with_name("README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def table(heading: str) -> dict[str, list[str]]:
    """The first table below a heading: its first cell, without backticks, to the others."""
    text = README.partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert lines is not None, heading
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines[0].splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


@pytest.mark.parametrize("fleet", blocks("yaml"))
def test_a_fleet_of_the_readme_starts(start: Any, fleet: str) -> None:
    api: Api = start(fleet)

    assert api.get("/devices", perPage=1)["totalCount"] >= 5


@pytest.mark.parametrize("code", blocks("python"))
def test_code_of_the_readme_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("fault", re.findall(r"`(\{kind: [^`]*\})`", README))
def test_a_fault_of_the_readme_is_one(fault: str) -> None:
    FAULT.validate_python(yaml.safe_load(fault))


def test_there_are_examples() -> None:
    assert (len(blocks("yaml")), len(blocks("python"))) == (2, 3)


def test_the_long_example_uses_every_key() -> None:
    fleet = parse_fleet(blocks("yaml")[1])
    used: set[tuple[type, str]] = set()
    for part in (
        fleet,
        *fleet.applications,
        *(x for a in fleet.applications for x in (*a.flows, *a.devices, *a.tokens)),
    ):
        used |= {(type(part), name) for name in part.model_fields_set}
    left_out = {(Device, name) for name in ("id", "count", "start", "description", "parent")} | {(Flow, "enabled")}
    every = {(model, name) for model in (Fleet, Application, Flow, Device, Token) for name in model.model_fields}

    assert every - used == left_out


def test_every_key_of_a_fleet_is_in_a_table() -> None:
    for model in (Fleet, Application, Flow, Device, Token):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in README, (model, name)


def test_the_table_of_switches() -> None:
    rows = table("## Switches")

    assert list(rows) == list(Switches.model_fields)
    for name, field in Switches.model_fields.items():
        default = "null" if field.default is None else str(field.default)
        assert rows[name][0].startswith(f"`{default}`"), name
        assert rows[name][1], f"{name} has no meaning in words"
        for value in getattr(field.annotation, "__args__", ()):
            if isinstance(value, str):
                assert f"`{value}`" in rows[name][0]


def test_the_table_of_faults() -> None:
    rows = table("## Faults")
    kinds = {kind.strip(" `"): cells for key, cells in rows.items() for kind in key.split(",")}
    schemas = FAULT.json_schema()["$defs"]
    described = {one["properties"]["kind"]["const"]: one for one in schemas.values() if "kind" in one["properties"]}

    assert set(kinds) == set(described)
    for kind, schema in described.items():
        settings = set(re.findall(r"`(\w+)`", kinds[kind][0]))
        assert settings == set(schema["properties"]) - {"kind", "when"}, kind
    for name in When.model_fields:
        assert f"`{name}`" in README


def test_the_table_of_commands() -> None:
    named = set(re.findall(r"`(\w+)\(", README.partition("## Control")[2].partition("## Switches")[0]))

    assert named == set(COMMANDS)
