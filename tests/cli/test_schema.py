"""`reconciler schema` prints what editors can follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.cli.app import run


def test_the_schema_of_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["prune"]["description"]


def test_it_is_the_file_that_the_manifests_of_this_repository_point_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    path = Path(__file__).parents[2] / "manifests" / "schema.json"
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")
    for manifest in path.parent.glob("*.yaml"):
        first = manifest.read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=schema.json", manifest


def test_the_schema_of_the_output_documents(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "--output"]) == 0
    Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))
