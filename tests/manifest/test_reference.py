"""The reference beside the manifests: each example is run, each key has one, each refusal is word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.errors import ManifestError
from reconciler.manifest.comparing.symbolic import resolve_symbolically
from reconciler.manifest.json_schema import manifest_schema
from reconciler.manifest.load import load_manifests
from reconciler.manifest.syntax import parse
from reconciler.manifest.tree import Map, Seq

FOLDER = Path(__file__).parents[2] / "manifests"
REFERENCE = FOLDER / "README.md"
HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"


class Example(NamedTuple):
    """A block of YAML and the refusal in the block of text right after it, if there is one. `line` is its place."""

    line: int
    text: str
    refusal: str | None


def examples() -> list[Example]:
    text = REFERENCE.read_text(encoding="utf-8")
    found = re.finditer(r"```yaml\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", text, re.DOTALL)
    return [Example(text.count("\n", 0, block.start()) + 2, block[1], block[2]) for block in found]


def whole(text: str) -> str:
    """An example as a file: parts of a document get its head."""
    return text if text.startswith("apiVersion") else HEAD + text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    [base] = [one.text for one in examples() if one.text.startswith("apiVersion: reconciler/v1\ngroups")]
    Path("base.yaml").write_text(base)
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("example", examples(), ids=lambda example: f"line {example.line}")
def test_every_example_does_what_the_page_says(example: Example) -> None:
    Path("m.yaml").write_text(whole(example.text))
    told = ""
    try:
        rules = load_manifests(["m.yaml"])
        problems = [problem for one in rules for problem in resolve_symbolically(one).resolution.problems]
    except ManifestError as error:
        problems = list(error.problems)
        if "application" not in whole(example.text):
            problems = []  # the base: it is no manifest of its own
    told = "".join(f"{problem}\n" for problem in problems)
    assert told == (example.refusal or "")


def keys_of(tree: Any) -> Iterator[str]:
    if isinstance(tree, Map):
        for key, value in tree.items():
            yield key
            yield from keys_of(value)
    elif isinstance(tree, Seq):
        for value in tree:
            yield from keys_of(value)


def test_every_key_of_the_schema_has_an_example() -> None:
    shown = set()
    for example in examples():
        if example.refusal is None:
            for tree in parse(whole(example.text).encode(), "m.yaml")[0]:
                shown |= set(keys_of(tree))
    schema = manifest_schema()
    keys = set(schema["properties"])
    for part in schema["$defs"].values():
        keys |= set(part["properties"])
    assert keys <= shown


def test_every_link_in_the_page_leads_somewhere() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.removeprefix("#") in anchors if target.startswith("#") else (FOLDER / target).exists()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_the_manifests_of_this_repository_are_sound(path: Path) -> None:
    [rules] = load_manifests([path])
    assert resolve_symbolically(rules).resolution.problems == ()
