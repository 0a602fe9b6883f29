"""`reconciler applications`: rows for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import run_here

PLANT, OTHER = "575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a98"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("manifests").mkdir()
    Path("manifests/b.yaml").write_text(
        f"apiVersion: reconciler/v1\napplication: {OTHER}\nkind: edge\nextends: base.yaml\n"
    )
    Path("manifests/base.yaml").write_text("apiVersion: reconciler/v1\n")
    Path("manifests/a.yaml").write_text(
        f"apiVersion: reconciler/v1\napplication: {{id: {PLANT}, name: plant}}\n---\n"
        f"apiVersion: reconciler/v1\napplication: {OTHER}\n"
    )


ROWS = [
    {"application": PLANT, "name": "plant", "kind": "embedded", "paths": ["manifests/a.yaml"]},
    {"application": OTHER, "name": None, "kind": "edge", "paths": ["manifests/b.yaml", "manifests/base.yaml"]},
    {"application": OTHER, "name": None, "kind": "embedded", "paths": ["manifests/a.yaml"]},
]


def test_text() -> None:
    ended = run_here("applications")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"{PLANT} (plant) embedded: manifests/a.yaml",
        f"{OTHER} edge: manifests/b.yaml, manifests/base.yaml",
        f"{OTHER} embedded: manifests/a.yaml",
    ]


def test_json() -> None:
    ended = run_here("applications", "--format", "json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document == {"format_version": "1", "command": "applications", "error": None, "applications": ROWS}


def test_problems_are_an_error_in_json_too() -> None:
    ended = run_here("applications", "nowhere", "--format", "json")
    assert ended.code == 1
    document = json.loads(ended.out)
    assert document["error"]["problems"][0]["message"] == "no such file or directory"
    assert document["applications"] == []
