"""`reconciler schema` prints what editors can follow."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema_rs import meta

from tests.support.cli import run_here


def test_the_schema_of_the_manifest() -> None:
    ended = run_here("schema")
    assert ended.code == 0
    schema = json.loads(ended.out)
    meta.validate(schema)
    assert schema["properties"]["prune"]["description"]
    assert schema["$id"] == "urn:reconciler:manifest:v1"


def test_it_is_the_file_that_the_manifests_of_this_repository_point_to() -> None:
    ended = run_here("schema")
    assert ended.code == 0
    path = Path(__file__).parents[2] / "manifests" / "schema.json"
    assert ended.out == path.read_text(encoding="utf-8")
    for manifest in path.parent.glob("*.yaml"):
        first = manifest.read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=schema.json", manifest


def test_the_schema_of_the_output_documents() -> None:
    ended = run_here("schema", "--output")
    assert ended.code == 0
    meta.validate(json.loads(ended.out))
