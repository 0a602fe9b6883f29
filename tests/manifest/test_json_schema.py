"""The published JSON Schema and our own loader agree about every file of the corpus, but for what no schema can say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, meta

from reconciler.manifest.json_schema import manifest_schema
from reconciler.manifest.load import validate
from reconciler.manifest.syntax import parse
from reconciler.manifest.tree import EMPTY, Map, Seq
from reconciler.model.rules import Source
from reconciler.model.text import encoding_of
from tests.manifest.test_cases import CASES

SCHEMA = manifest_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

# What takes more than the shape of one document to see.
SEMANTIC = {
    "bases-only": "an application is needed somewhere, not in every document",
    "conflict-devices.yaml": "an alias and an id may be one flow",
    "conflict-groups.yaml": "two places",
    "conflict-pins.yaml": "two places",
    "dates.yaml": "days that no calendar has (2026-02-30); the others of the file are refused",
    "duplicate-id.yaml": "two places",
    "duplicates-across-files": "two files",
    "base-changed": "two files",
    "names-differ": "two files",
    "extends-absolute.yaml": "where a path leads",
    "extends-circle": "several files",
    "extends-documents": "two files",
    "extends-folder.yaml": "what a path leads to",
    "extends-itself.yaml": "where a path leads",
    "extends-missing.yaml": "what a path leads to",
    "extends-no-base": "two files",
    "extends-outside.yaml": "where a path leads",
    "groups-incomplete.yaml": "a base may have the rest",
    "rollouts-base-changed": "two files",
    "rollouts-meaning.yaml": "what waves hold, and what a base may have",
    "rollouts-no-policies.yaml": "another document may have it",
    "rollouts-two-places": "two files",
    "query.yaml": "whether text is JSON; the others of the file are refused",
}


class Yaml12(yaml.SafeLoader):
    """What an editor's YAML 1.2 core schema makes of a file."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


for tag, pattern, first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
Yaml12.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
Yaml12.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def files(*kinds: str) -> list[Path]:
    found = [path for kind in kinds for path in sorted((CASES / kind).rglob("*.y*ml"))]
    assert len(found) > 20
    return found


def name(path: Path) -> str:
    return path.relative_to(CASES).as_posix()


def plain(tree: Any) -> Any:
    match tree:
        case Map():
            return {key: plain(value) for key, value in tree.items()}
        case Seq():
            return [plain(value) for value in tree]
    return None if tree is EMPTY else tree


def typed(path: Path) -> list[Any]:
    """The documents of a file as an editor sees them. Keys are text, as in JSON."""
    documents = yaml.load_all((data := path.read_bytes()).decode(encoding_of(data)), Yaml12)
    return [json.loads(json.dumps(document)) for document in documents]


def accepted(instance: Any) -> bool:
    return VALIDATOR.is_valid(instance)


def test_the_schema_is_a_schema() -> None:
    meta.validate(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("path", files("valid", "unknown"), ids=name)
def test_what_the_loader_takes_the_schema_takes(path: Path) -> None:
    trees, problems = parse(path.read_bytes(), path.name)
    assert problems == []
    for instance in [*map(plain, trees), *typed(path)]:
        if instance is not None:
            VALIDATOR.validate(instance)


def comparable() -> list[Path]:
    """Invalid files whose YAML is sound, so that a schema gets to see them, and that are wrong in their shape."""
    shaped = [path for path in files("invalid") if path.relative_to(CASES / "invalid").parts[0] not in SEMANTIC]
    return [path for path in shaped if not parse(path.read_bytes(), path.name)[1]]


@pytest.mark.parametrize("path", comparable(), ids=name)
def test_what_the_loader_refuses_the_schema_refuses(path: Path) -> None:
    trees, _ = parse(path.read_bytes(), path.name)
    documents = [tree for tree in trees if tree is not EMPTY]
    by_schema = [not accepted(plain(tree)) for tree in documents]
    refused = [bool(validate(tree, path.name, Source("", ""))[1]) for tree in documents]
    assert by_schema == refused
    assert [not accepted(instance) for instance in typed(path) if instance is not None] == refused


def test_the_list_of_what_only_the_loader_sees_holds_nothing_else() -> None:
    for case in SEMANTIC:
        path = CASES / "invalid" / case
        assert path.exists()
        found = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        verdicts = [accepted(plain(tree)) for one in found for tree in parse(one.read_bytes(), one.name)[0]]
        assert any(verdicts) or case in {"dates.yaml", "query.yaml"}


# Words of problems that take more than a schema to see.
BEYOND = ("must be JSON", "YYYY-MM-DD", "no time zone", "no more than the", "picks no device")
scalars = st.sampled_from(
    ["a", "v1", "develop", "1", "-1", "10.5", "true", "false", "2026-01-01", "embedded", "", "absent", "devices",
     "575ec8687ae143cd83dc4a97", "removal", "100", "1e3", "reconciler/v1", "none", "24h", "0s", "10%", "0%", "mon-fri",
     "fri", "05:00", "24:00", "UTC"]
)  # fmt: skip
keys = st.sampled_from(
    [*SCHEMA["properties"], "select", "device", "flow", "reason", "until", "forbid", "removals", "changes", "count",
     "percent", "tags", "all", "exclude", "priority", "salt", "id", "name", "x", "rollout", "policy", "up_to", "waves",
     "gate", "converged", "soak", "sample", "patience", "budget", "by", "unavailable", "window", "days", "from", "to",
     "zone"]
)  # fmt: skip
nodes = st.recursive(
    scalars, lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=2), max_leaves=12
)


@given(st.dictionaries(keys, nodes, max_size=4))
@settings(max_examples=300)
def test_any_document_is_judged_alike(document: dict[str, Any]) -> None:
    document = {"apiVersion": "reconciler/v1", **document}
    [tree], problems = parse(yaml.safe_dump(document).encode(), "f")
    assert problems == []
    by_schema = accepted(plain(tree))
    _, problems = validate(tree, "f", Source("f", ""))
    if not any(word in problem.message for problem in problems for word in BEYOND):
        assert by_schema == (not problems)


def policies() -> st.SearchStrategy[dict[str, Any]]:
    """Policies of which each key is sound or nearly so."""
    texts = st.sampled_from(["a", "mon", "sun-tue", "monday", "0", "00", "1", "100", "0.5", "0%", "0.0%", "100%", "7d",
                             "00s", "99999h", "100000h", "00:00", "23:59", "24:00", "UTC", "none", ""])  # fmt: skip
    lists = texts | st.lists(texts, max_size=2)
    waves = st.lists(st.fixed_dictionaries({}, optional={"percent": texts, "devices": lists}), max_size=3)
    inner = {
        "waves": waves,
        "gate": st.dictionaries(st.sampled_from(["converged", "soak", "sample"]), texts, max_size=2),
        "patience": texts,
        "budget": st.fixed_dictionaries({}, optional={"by": lists, "unavailable": texts}),
        "window": st.fixed_dictionaries({}, optional={"days": lists, "from": texts, "to": texts, "zone": texts}),
    }
    return st.fixed_dictionaries({}, optional=inner)


@given(st.dictionaries(st.sampled_from(["careful", "none"]), policies(), max_size=2))
@settings(max_examples=300)
def test_any_policy_is_judged_alike(written: dict[str, Any]) -> None:
    document = {"apiVersion": "reconciler/v1", "rollouts": written}
    [tree], _ = parse(yaml.safe_dump(document).encode(), "f")
    by_schema = accepted(plain(tree))
    _, problems = validate(tree, "f", Source("f", ""))
    if not any(word in problem.message for problem in problems for word in BEYOND):
        assert by_schema == (not problems)


def test_the_schema_beside_the_manifests_is_the_one_that_is_printed() -> None:
    path = Path(__file__).parents[2] / "manifests" / "schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == SCHEMA
