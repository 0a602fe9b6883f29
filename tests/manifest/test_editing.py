"""Edits of a manifest's text: every other byte stays, and loading gives the same but for the one value."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Problem
from reconciler.manifest.editing.text import with_entry, with_value, written
from reconciler.manifest.syntax import parse
from reconciler.model.state import Place

# --- manifests in every style, put together from pieces, so that the place of each value is known --------------------

NAMES = st.sampled_from(
    [
        "leeds",
        "a b",
        "Ünï",
        "x: y",
        "# no",
        "it's",
        'say "so"',
        "😀",
        "1.10",
        "true",
        "-",
        "~x",
        "{b}",
        "a,b",
        "&a",
        "!b",
    ]
)
VERSIONS = st.sampled_from(
    ["v1.2.3", "1.10", "012", "no", "v 1 # x", "it's", 'a"b', "ü😀", "absent", "null", "a: b", "\\n"]
)
COMMENTS = st.sampled_from(["", "  # why", " # 'quoted: \"{[", " #"])
ENCODINGS = ((b"", "utf-8"), (b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class Written(NamedTuple):
    """A manifest as pieces, and which of them are values: index of the piece -> path of its keys."""

    pieces: list[str]
    values: dict[int, tuple[str, ...]]
    mark: bytes
    encoding: str

    def bytes_of(self, pieces: Sequence[str]) -> bytes:
        return "".join(pieces).encode(self.encoding)

    @property
    def data(self) -> bytes:
        return self.mark + self.bytes_of(self.pieces)


@st.composite
def manifests(draw: st.DrawFn) -> Written:  # noqa: C901 - each way to write it is one branch
    new_line = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    pieces: list[str] = [draw(st.sampled_from(["", "# head", "---"])) + new_line, "apiVersion: reconciler/v1"]
    values: dict[int, tuple[str, ...]] = {}

    def scalar(text: str) -> str:
        return written(text, draw(st.sampled_from(["", "'", '"'])))

    def line(text: str, indent: int = 0) -> None:
        pieces.append(f"{draw(COMMENTS)}{new_line}{draw(st.sampled_from(['', new_line, '  # line' + new_line]))}")
        pieces.append(" " * indent + text)

    def flows(path: tuple[str, ...], indent: int) -> None:
        """A map from flows to versions, after its key."""
        names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        in_brackets = draw(st.booleans())
        for count, name in enumerate(names):
            version = draw(VERSIONS)
            if in_brackets:
                pieces.append((" {" if count == 0 else draw(st.sampled_from([", ", ",  "]))) + f"{scalar(name)}: ")
            else:
                line(f"{scalar(name)}: ", indent)
            values[len(pieces)] = (*path, name)
            pieces.append(scalar(version))
        if in_brackets:
            pieces.append(draw(st.sampled_from(["}", " }", ",}"])))

    step = draw(st.sampled_from([1, 2, 4]))
    for section in draw(st.permutations(["groups", "devices", "kind"]))[: draw(st.integers(1, 3))]:
        if section == "kind":
            line("kind: embedded")
            continue
        line(f"{section}:")
        for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)):
            line(f"{scalar(name)}:", step)
            if section == "groups":
                line("select: {all: true}", 2 * step)
                line("flows:", 2 * step)
                flows((section, name, "flows"), 3 * step)
            else:
                flows((section, name), 2 * step)
    pieces.append(draw(st.sampled_from(["", new_line, f"{new_line}# end", f"{new_line}...{new_line}"])))
    mark, encoding = draw(st.sampled_from(ENCODINGS))
    return Written(pieces, values, mark, encoding)


def tree_of(data: bytes) -> Any:
    (tree,), problems = parse(data, "m.yaml")
    assert not problems, (problems, data)
    return tree


def key_place(tree: Any, path: Sequence[str]) -> Place:
    for key in path[:-1]:
        tree = tree[key]
    mark = tree.key_marks[path[-1]]
    return Place("m.yaml", mark.line + 1, mark.column + 1)


def with_said(tree: Any, path: Sequence[str], value: str) -> Any:
    """A tree as plain data, with a value at a path, whose maps are made where there are none."""
    plain = plain_of(tree)
    node = plain
    for key in path[:-1]:
        node = node.setdefault(key, {})
    node[path[-1]] = value
    return plain


def plain_of(node: Any) -> Any:
    return {key: plain_of(value) for key, value in node.items()} if isinstance(node, dict) else copy.copy(node)


@given(st.data())
def test_a_value_is_replaced_and_every_other_byte_stays(data: st.DataObject) -> None:
    manifest = data.draw(manifests().filter(lambda one: bool(one.values)))
    index, path = data.draw(st.sampled_from(sorted(manifest.values.items())))
    value = data.draw(VERSIONS)
    before = tree_of(manifest.data)
    new = with_value(manifest.data, key_place(before, path), value)
    assert isinstance(new, bytes)
    head = manifest.mark + manifest.bytes_of(manifest.pieces[:index])
    tail = manifest.bytes_of(manifest.pieces[index + 1 :])
    assert new.startswith(head)
    assert new[len(head) :].endswith(tail)
    assert plain_of(tree_of(new)) == with_said(before, path, value)
    quote = manifest.pieces[index][0]
    if quote in "'\"":
        assert new[len(head) :].decode(manifest.encoding).startswith(quote)


@given(st.data())
def test_an_entry_is_one_insertion(data: st.DataObject) -> None:
    manifest = data.draw(manifests())
    before = tree_of(manifest.data)
    section = data.draw(st.sampled_from(["groups", "devices"]))
    known = list(before.get(section, {}))
    name = data.draw(st.sampled_from(known) | NAMES if known else NAMES)
    path = (section, name, "flows", "added") if section == "groups" else (section, name, "added")
    value = data.draw(VERSIONS)
    new = with_entry(manifest.data, Place("m.yaml", before.mark.line + 1, 1), path, value)
    assert isinstance(new, bytes)
    assert plain_of(tree_of(new)) == with_said(before, path, value)
    old, size = manifest.data, len(new) - len(manifest.data)
    at = next((index for index, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(old))
    assert any(old == new[:index] + new[index + size :] for index in range(max(0, at - size), at + 1))


@pytest.mark.parametrize("text", ["v1", "it's", "~", "null", "", "a\nb", "\u2028", "\x00", "a #b", "- a", "...", " x "])
@pytest.mark.parametrize("style", ["", "'", '"'])
@pytest.mark.parametrize("around", ["k: {}\n", "{{k: {}, l: x}}\n", "? {}\n: v\n"])
def test_what_is_written_is_read_as_it_was(text: str, style: str, around: str) -> None:
    tree = tree_of(around.format(written(text, style)).encode()) if text or "?" not in around else {"": "v"}
    assert text in (*tree.keys(), *tree.values())


SHARED = """\
apiVersion: reconciler/v1
groups:
  leeds: {select: {all: true}, flows: &flows {telemetry: v1}}
  york: {select: {all: true}, flows: *flows}
  hull: {select: {all: true}, flows: {telemetry: &version v1}}
  bath: {select: {all: true}, flows: {telemetry: *version}}
  kent: {select: {all: true}, flows: {telemetry: &alone v1}}
  ryde: {select: {all: true}, flows: {telemetry: !!str v1}}
  deal:
    select: {all: true}
    flows:
      telemetry: |-
        v1
"""


@pytest.mark.parametrize(
    ("group", "problem"), [("leeds", "an anchor"), ("york", "an anchor"), ("hull", "an anchor"), ("deal", "a block")]
)
def test_a_value_that_other_places_share_is_refused(group: str, problem: str) -> None:
    tree = tree_of(SHARED.encode())
    found = with_value(SHARED.encode(), key_place(tree, ["groups", group, "flows", "telemetry"]), "v2")
    assert isinstance(found, Problem)
    assert problem in found.message
    assert found.line is not None
    assert found.hint


@pytest.mark.parametrize(
    ("group", "old", "new"),
    [("bath", "*version", "v2"), ("kent", "&alone v1", "&alone v2"), ("ryde", "!!str v1", "!!str v2")],
)
def test_an_alias_an_anchor_of_its_own_and_a_tag_are_one_place(group: str, old: str, new: str) -> None:
    place = key_place(tree_of(SHARED.encode()), ["groups", group, "flows", "telemetry"])
    assert with_value(SHARED.encode(), place, "v2") == SHARED.replace(f"{old}}}", f"{new}}}").encode()


def test_no_entry_is_added_to_what_an_alias_repeats() -> None:
    for group in ("leeds", "york"):
        found = with_entry(SHARED.encode(), Place("m.yaml", 1, 1), ["groups", group, "flows", "alarms"], "v2")
        assert isinstance(found, Problem)
        assert "alias" in found.message


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("a: b", ["groups", "g", "flows", "f"], "a: b\ngroups:\n  g:\n    flows: {f: v1}"),
        ("a: b\n# end\n", ["devices", "d", "f"], "a: b\ndevices:\n  d: {f: v1}\n# end\n"),
        ('{"devices": {"d": {"f": "v0"}}}', ["devices", "d", "g"], '{"devices": {"d": {"f": "v0", "g": "v1"}}}'),
        ("devices: {}\n", ["devices", "d", "f"], "devices: {d: {f: v1}}\n"),
        ("d:\n    e: {\n      f: v0, # x\n    }\n", ["d", "e", "g"], "d:\n    e: {\n      f: v0, g: v1, # x\n    }\n"),
        ("d:\n  e:\n   f: >-\n     v0\n\nk: l\n", ["d", "e", "g"], "d:\n  e:\n   f: >-\n     v0\n   g: v1\n\nk: l\n"),
        ("d:\r\n  e:\r\n    f: v0 # x\r\n", ["d", "h", "g"], "d:\r\n  e:\r\n    f: v0 # x\r\n  h: {g: v1}\r\n"),
    ],
)  # fmt: skip
def test_an_entry_looks_like_what_is_beside_it(text: str, path: list[str], expected: str) -> None:
    assert with_entry(text.encode(), Place("m.yaml", 1, 1), path, "v1") == expected.encode()
