"""The published schema of the JSON documents, against documents that the commands really write."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from reconciler.documents.json_schema import output_schema
from reconciler.simulator import Server, serve
from tests.support.cli import run_installed

FLEET = """
take_up_s: 0
applications:
  - id: 5f0c8a1b2d3e4f5061728394
    name: shop
    flows: {telemetry: [v1, v2], alarms: [v1]}
    devices:
      - {name: a, tags: {site: x}, deployed: {telemetry: v1, alarms: v1}}
      - {name: b, tags: {site: x}, connected: false, deployed: {telemetry: {released: v2, reported: v1}}}
"""
MANIFEST = """
apiVersion: reconciler/v1
application: {id: 5f0c8a1b2d3e4f5061728394, name: shop}
groups:
  all: {select: {all: true}, flows: {telemetry: v2}}
limits: {removals: {count: 0, percent: 0}}
"""


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = output_schema()
    meta.validate(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(FLEET) as running:
        yield running


def written(server: Server, folder: Path, *argv: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the one document on stdout."""
    (folder / "shop.yaml").write_text(MANIFEST)
    (folder / "removal.yaml").write_text(MANIFEST + "devices: {a: {alarms: absent}}\n")
    env = {**os.environ, "LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": server.token}
    ended = run_installed(*argv, "--format", "json", cwd=folder, env=env)
    return ended.code, ended.document


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["plan", "shop.yaml"], 0),
        (["plan", "removal.yaml"], 3),
        (["plan", "nowhere.yaml"], 1),
        (["plan", "--misspelt"], 1),
        (["apply", "shop.yaml", "--yes"], 0),
        (["apply", "shop.yaml", "--yes", "--wait"], 0),
        (["apply", "shop.yaml", "--dry-run"], 0),
        (["apply", "shop.yaml"], 1),
        (["apply", "removal.yaml", "--yes"], 3),
        (["apply", "shop.yaml", "--yes", "--expect-digest", f"sha256:{'0' * 64}"], 4),
        (["validate", "shop.yaml"], 0),
        (["validate", "nowhere.yaml"], 1),
        (["applications", "shop.yaml"], 0),
    ],
)
def test_documents_fit(
    argv: list[str], code: int, validator: Draft202012Validator, server: Server, tmp_path: Path
) -> None:
    returned, document = written(server, tmp_path, *argv)
    assert returned == code
    validator.validate(document)
    assert (document["error"] is None) == (code == 0)
    if document["error"]:
        assert document["error"]["code"] == code


def test_a_document_with_an_unknown_key_does_not_fit(
    validator: Draft202012Validator, server: Server, tmp_path: Path
) -> None:
    _, document = written(server, tmp_path, "plan", "shop.yaml")
    document["plans"][0]["surprise"] = 1
    assert not validator.is_valid(document)
