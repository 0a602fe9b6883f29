"""Whatever is in a file: rules or problems with places; never a traceback, a hang or silence.

The run here is small. `RECONCILER_FUZZ=20000 pytest tests/manifest/test_fuzz.py` is the large one, for outside CI.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import Problem
from reconciler.manifest.comparing.symbolic import resolve_symbolically
from reconciler.manifest.files import DiskFiles, File
from reconciler.manifest.json_schema import manifest_schema
from reconciler.manifest.load import Loaded, load
from reconciler.render.inert import inert
from tests.manifest.test_cases import CASES

RUNS = int(os.environ.get("RECONCILER_FUZZ", "400"))


class OneFile(DiskFiles):
    """A file that is only bytes; whatever it extends is itself."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    def expand(self, path: str) -> tuple[list[File], list[Problem]]:
        return [File(path, path)], []

    def read(self, file: File) -> bytes | Problem:
        return self.data

    def beside(self, file: File, relative: str) -> File | Problem:
        return File(relative, relative)


def check(data: bytes) -> Loaded:
    """Load, and hold what must hold for any input."""
    loaded = load(["f.yaml"], OneFile(data))
    for rules in loaded.rules:
        for problem in resolve_symbolically(rules).resolution.problems:
            assert problem.line
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for problem in loaded.problems:
        assert problem.message
        assert problem.path
        assert problem.line is not None
        assert 1 <= problem.line <= lines + 1, (problem, lines)
        assert problem.column is not None
        assert problem.column >= 1
        assert "\n" not in inert(str(problem))
    assert loaded.rules or loaded.problems or b"apiVersion" in data  # a base says nothing, but never silently nothing
    return loaded


CORPUS = [path.read_bytes() for path in sorted(CASES.rglob("*.y*ml"))]
TOKENS = [
    b"\t", b"\r\n", b"\r", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b": ", b"- ", b"? ", b"{",
    b"}", b"[", b"]", b",", b"'", b'"', b"#", b"@", b"`", b"&a ", b"*a", b"<<: *a\n", b"!!int ", b"!x ", b"---\n",
    b"...\n", b"%YAML 1.2\n", b"|\n", b">-\n", b"null", b"~", b"\\x", b"develop", b"absent", b"devices:\n",
    b"extends: a.yaml\n", b"apiVersion: reconciler/v1\n", b"1e999", b"9" * 30, b"{query: {a: 1e999}}",
    b"select: {query: ",
]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A real file with some of it cut, doubled, moved, replaced, or spliced with another."""
    data = bytearray(rng.choice(CORPUS))
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randint(0, len(data)), rng.randint(0, 30)
        match rng.randrange(7):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = rng.choice(TOKENS)
            case 2:
                data[at : at + length] = rng.choice(TOKENS)
            case 3:
                data[at:at] = data[at : at + length] * rng.randint(1, 20)
            case 4 if data:
                data[at % len(data)] = rng.randrange(256)
            case 5:
                other = rng.choice(CORPUS)
                data[at:at] = other[rng.randint(0, len(other)) :]
            case _:
                lines = bytes(data).splitlines(keepends=True)
                rng.shuffle(lines)
                data = bytearray(b"".join(lines))
    return bytes(data)


@pytest.mark.parametrize("part", range(4))
def test_mutated_files(part: int) -> None:
    rng = random.Random(f"manifests {part}")
    for _ in range(RUNS // 4):
        data = mutated(rng)
        try:
            check(data)
        except BaseException:
            print(data)
            raise


def test_both_parsers_take_and_refuse_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they take a file they read the same from it. Where PyYAML's two parsers differ, both are safe."""
    rng = random.Random("both")
    agreed = 0
    for _ in range(RUNS // 4):
        data = mutated(rng)
        print(data)
        fast = check(data)
        with monkeypatch.context() as patch:
            patch.setattr("reconciler.manifest.syntax.fastest_parser", lambda: yaml.SafeLoader)
            pure = check(data)
        if not any("not valid YAML" in problem.message for problem in (*fast.problems, *pure.problems)):
            assert fast == pure
            agreed += 1
    assert agreed > RUNS // 20


text = st.text(max_size=10)
keys = st.sampled_from([*manifest_schema()["properties"], "select", "flows", "exclude", "query", "until", "percent"])
trees = st.recursive(
    st.one_of(text, st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.binary(max_size=5)),
    lambda inner: st.dictionaries(st.one_of(keys, text), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=15,
)


@given(st.dictionaries(keys, trees, max_size=6))
@settings(max_examples=max(50, RUNS // 8), suppress_health_check=[HealthCheck.too_slow])
def test_any_tree_that_yaml_can_write(tree: dict[str, Any]) -> None:
    document = {"apiVersion": "reconciler/v1", "application": "575ec8687ae143cd83dc4a97", **tree}
    check(yaml.safe_dump(document).encode())


@given(st.binary(max_size=200))
@settings(max_examples=max(50, RUNS // 8))
def test_any_bytes(data: bytes) -> None:
    check(data)


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len([path for path in CASES.glob("*/*") if path.suffix != ".expect"]) >= 60
    assert not list(Path(CASES).rglob("*.orig"))
