"""YAML by our rules: text stays text, keys are unique, nothing runs away. Both parsers, same answers."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.syntax import fastest_parser, parse
from reconciler.manifest.tree import EMPTY, Map, shown
from reconciler.nesting import MAX_DEPTH


class RefusingParser(yaml.SafeLoader):
    """A parser with a limit of its own, which it meets while it looks ahead, as that of newer libyaml."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= 100:
            raise yaml.scanner.ScannerError("while going deeper", self.get_mark(), "no more of that", self.get_mark())
        super().fetch_flow_collection_start(token)


PARSERS = [pytest.param(fastest_parser(), id="fastest"), pytest.param(yaml.SafeLoader, id="pure")]
both_parsers = pytest.mark.parametrize("parser", PARSERS)
any_parser = pytest.mark.parametrize("parser", [*PARSERS, pytest.param(RefusingParser, id="refusing")])


def parsed(text: str | bytes, parser: Any) -> tuple[list[Any], list[str]]:
    data = text if isinstance(text, bytes) else text.encode()
    documents, problems = parse(data, "f.yaml", parser=parser)
    return documents, [str(problem) for problem in problems]


@both_parsers
@pytest.mark.parametrize(
    "scalar",
    ["1.10", "1.0", "2026-01-15", "2019-03-26 10:33:32", "012", "1_000", "1:30", "on", "off", "yes", "no", "y", "true",
     "False", "0x1f", "1e3", ".inf", ".nan", "0o17", "0b1", "=", "+1", "123456789012345678901234", "absent"],
)  # fmt: skip
def test_scalars_are_the_text_in_the_file(scalar: str, parser: Any) -> None:
    documents, problems = parsed(f"key: {scalar}\n{scalar}: [{scalar}]\n", parser)
    assert problems == []
    assert documents == [{"key": scalar, scalar: [scalar]}]


@both_parsers
@pytest.mark.parametrize("scalar", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_empty_and_quoted_nothing_is_text(scalar: str, parser: Any) -> None:
    documents, problems = parsed(f'a: {scalar}\nb: "{scalar}"\nc: [ x, {scalar or "~"} ]\n', parser)
    assert problems == []
    assert documents[0]["a"] is EMPTY
    assert documents[0]["b"] == scalar
    assert documents[0]["c"][1] is EMPTY


@both_parsers
def test_marks_are_those_of_keys_and_values(parser: Any) -> None:
    [tree], _ = parsed("a: 1\nbb:\n  - x\n  - {c: d}\n", parser)
    assert isinstance(tree, Map)
    assert (tree.key_marks["bb"].line, tree.key_marks["bb"].column) == (1, 0)
    assert (tree.value_marks["bb"].line, tree.value_marks["bb"].column) == (2, 2)
    inner = tree["bb"][1]
    assert (inner.value_marks["c"].line, inner.value_marks["c"].column) == (3, 8)
    tree.drop("a")
    assert (tree.key_marks["bb"].line, list(tree)) == (1, ["bb"])
    tree["bb"].drop(0)
    assert (tree["bb"].marks[0].line, len(tree["bb"])) == (3, 1)


@both_parsers
def test_every_duplicate_key_names_the_line_of_the_first(parser: Any) -> None:
    documents, problems = parsed("a: 1\nb: {c: 2, c: {d: 3, d: 4}}\na: 5\n", parser)
    assert sorted(problems) == [
        'f.yaml:2:11: duplicate key "c", first at line 2 (keep one of them)',
        'f.yaml:2:21: duplicate key "d", first at line 2 (keep one of them)',
        'f.yaml:3:1: duplicate key "a", first at line 1 (keep one of them)',
    ]
    assert documents == [{"a": "1", "b": {"c": "2"}}]


@both_parsers
def test_merge_keys_are_refused_and_the_word_is_not(parser: Any) -> None:
    _, problems = parsed("<<: {a: b}\n", parser)
    assert problems == ["f.yaml:1:1: merge keys (<<) are not supported (use a group, `extends` or a whole alias)"]
    documents, problems = parsed('"<<": a\nb: <<\n', parser)
    assert (documents, problems) == ([{"<<": "a", "b": "<<"}], [])


@both_parsers
@pytest.mark.parametrize("tag", ["!!int", "!!python/name:os.system", "!local", "!!set", "!<tag:example.com,2026:x>"])
def test_tags_are_refused(tag: str, parser: Any) -> None:
    for text in (f"a: {tag} 1\n", f"a: {tag} [b]\n", f"a: {tag} {{b: c}}\n", f"{tag} a: b\n"):
        _, problems = parsed(text, parser)
        assert len(problems) == 1
        assert "is not allowed (remove it: every value is text)" in problems[0]


@both_parsers
def test_the_tags_that_say_what_is_so_anyway_are_fine(parser: Any) -> None:
    documents, problems = parsed("!!map {a: !!str 1, b: !!seq [! x], c: !!str }\n", parser)
    assert (documents, problems) == ([{"a": "1", "b": ["x"], "c": ""}], [])


@both_parsers
def test_aliases_stand_for_whole_parts(parser: Any) -> None:
    documents, problems = parsed("a: &a {x: &x 1}\nb: *a\n*x : [*x, *a]\n", parser)
    assert (documents, problems) == ([{"a": {"x": "1"}, "b": {"x": "1"}, "1": ["1", {"x": "1"}]}], [])


@both_parsers
def test_aliases_end_with_their_document(parser: Any) -> None:
    _, problems = parsed("a: &a 1\n---\nb: *a\n", parser)
    assert problems == ["f.yaml:3:4: alias *a has no anchor (write &a before it)"]


@both_parsers
@pytest.mark.parametrize("text", ["&a [*a]", "&a {k: *a}", "&a {k: {l: [*a]}}", "{k: &a [&b [*a, *b]]}"])
def test_recursive_aliases_are_refused(text: str, parser: Any) -> None:
    _, problems = parsed(text, parser)
    assert problems
    assert all("contains itself" in problem for problem in problems)


@both_parsers
def test_aliases_do_not_expand_without_bound(parser: Any) -> None:
    lines = ["- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    _, problems = parsed("\n".join(lines), parser)
    assert len(problems) == 1
    assert "aliases expand to more than 1,000,000 nodes" in problems[0]


@both_parsers
def test_many_aliases_of_one_small_part_are_no_bomb(parser: Any) -> None:
    text = "flows: &f {a: v1, b: v2}\n" + "".join(f"d{n}: *f\n" for n in range(5_000))
    [tree], problems = parsed(text, parser)
    assert problems == []
    assert len(tree) == 5_001


DEEP = "nested deeper than 50 levels (a manifest needs no more than ten)"


@any_parser
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 100_000, "1:51"),
        ("- " * 100_000, "1:101"),
        ("{a: " * 100_000, "1:201"),
        ("? - " * 100_000, "1:101"),
        ("a: b\r\n---\r\nc: [é, [], '[[[[',\r\n" + " [" * 1_000, "4:98"),
        ("- " * 40 + "[" * 1_000, "1:91"),
        ("[" * 300 + "]" * 300, "1:51"),
        ("[" * 1_000 + "}", "1:51"),
        ("a" + "]" * 1_000 + ": " + "[" * 2_000, "1:1053"),
        ("['" + "]" * 990 + "', " + "[" * 2_000, "1:1045"),
    ],
)
def test_depth_is_bounded_before_any_stack_is(text: str, place: str, parser: Any) -> None:
    """By our own rule, whatever the library does with such a file."""
    _, problems = parsed(text, parser)
    assert problems == [f"f.yaml:{place}: {DEEP}"]


brackets = st.text(alphabet="[]{},", max_size=40)
LINES = ["k{}x{}: v{}\n", "k{}: '{}'\n", 'k{}: "{}" # {}\n', "k{}: |\n  {}\n# {}\n", "k{}: [a, '{}', {{b: c}}]\n"]
OPENINGS = ["[", "[ x, ", "[ '{}', ", "{{a: ", "{{'{}': ", '{{"{}": b, c: ', "[ # {}\n "]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), brackets), max_size=4),
    brackets,
    st.lists(st.tuples(st.sampled_from(OPENINGS), brackets, st.integers(1, 60)), min_size=1, max_size=4),
)
def test_what_is_too_deep_is_so_for_every_parser_at_the_same_place(
    lines: list[tuple[str, str]], key: str, openings: list[tuple[str, str, int]]
) -> None:
    """Whatever brackets are in keys, scalars and comments around those that count."""
    text = "".join(line.format(number, inside, inside) for number, (line, inside) in enumerate(lines)) + f"z{key}: "
    level = 1
    expected = "not valid YAML: "
    for opening, inside, count in openings:
        for _ in range(count):
            level += 1
            if level == MAX_DEPTH + 1:
                before = text.rpartition("\n")
                expected = f"f.yaml:{text.count(chr(10)) + 1}:{len(before[2]) + 1}: {DEEP}"
            text += opening.format(inside[:4])
    for parser in (fastest_parser(), yaml.SafeLoader, RefusingParser):
        _, problems = parsed(text, parser)
        assert [problem for problem in problems if expected in problem], (parser, problems)


@any_parser
def test_what_was_wrong_before_it_got_too_deep_is_told_too(parser: Any) -> None:
    documents, problems = parsed("a: b\n---\n- {c: d, c: e}\n- [!x y, " + "[" * 1_000, parser)
    assert documents == [{"a": "b"}]
    assert [problem.split(": ")[0] for problem in problems] == ["f.yaml:3:10", "f.yaml:4:4", "f.yaml:4:58"]
    assert problems[-1].endswith(DEEP)


@any_parser
@pytest.mark.parametrize("text", ['a: "' + "[" * 1_000, "a: '" + "[{" * 80 + "\nb: c\n", "a: }" + "[" * 1_000])
def test_brackets_that_are_no_levels_are_not_deep(text: str, parser: Any) -> None:
    _, [problem] = parsed(text, parser)
    assert "not valid YAML: " in problem


@both_parsers
def test_the_deepest_that_is_allowed_is_allowed(parser: Any) -> None:
    assert parsed("[" * MAX_DEPTH + "]" * MAX_DEPTH, parser)[1] == []
    assert len(parsed("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), parser)[1]) == 1


@both_parsers
def test_a_query_keeps_the_types_of_json(parser: Any) -> None:
    text = 'select: {query: {a: 1, b: "1", c: true, d: [null, 1.5, -2, 1e3, 012, yes, ~]}}\nquery: {a: 1}\n'
    [tree], _ = parsed(text, parser)
    assert tree["select"]["query"] == {"a": 1, "b": "1", "c": True, "d": [None, 1.5, -2, 1000.0, "012", "yes", None]}
    assert tree["query"] == {"a": "1"}


@both_parsers
def test_documents_before_a_syntax_error_are_kept(parser: Any) -> None:
    documents, problems = parsed("a: b\n---\nc: [\n", parser)
    assert documents == [{"a": "b"}]
    assert len(problems) == 1


@both_parsers
@pytest.mark.parametrize(
    ("text", "place"),
    [("a: b: c", "1:5"), ("a: }", "1:4"), ("b: 1\r\na: @x", "2:4"), ("- a\nb: c", "2:1"), ("a: b\n c: d", "2:3")],
)
def test_what_is_no_yaml_is_placed(text: str, place: str, parser: Any) -> None:
    """The rest of the message is the library's."""
    _, [problem] = parsed(text, parser)
    assert problem.startswith(f"f.yaml:{place}: not valid YAML: ")
    assert len(problem) > len(f"f.yaml:{place}: not valid YAML: ")


@both_parsers
def test_a_tab_that_indents_is_told(parser: Any) -> None:
    _, [problem] = parsed("a:\n\t- b", parser)
    assert problem.startswith("f.yaml:2:1: not valid YAML: ")
    assert problem.endswith(" (indent with spaces, not with tabs)")


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"a: \xe9\n", "1:4", "byte 0xe9 is not UTF-8"),
        (b"a: b\r\nc: \xff\n", "2:4", "byte 0xff is not UTF-8"),
        ("é: \x07".encode(), "1:4", "character U+0007 is not allowed"),
        (b"a: \x00", "1:4", "character U+0000 is not allowed"),
        ("a: b\nc: \ufeff".encode(), "2:4", "character U+FEFF is not allowed"),
        ("a: b".encode("utf-32"), "1:1", "not UTF-8 but UTF-32"),
        (b"\xff\xfea\0:\0\n\0b\0\0\xdc", "2:2", "byte 0x00 is not UTF-16"),
        ("a: b\nc: \x07".encode("utf-16"), "2:4", "character U+0007 is not allowed"),
    ],
)
def test_what_is_no_text_is_placed(data: bytes, place: str, words: str) -> None:
    _, [problem] = parsed(data, None)
    assert problem.startswith(f"f.yaml:{place}: ")
    assert words in problem


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_an_editor_or_a_shell_saved_is_read(encoding: str, newline: str) -> None:
    text = newline.join(["a: b", "c: pompe \u00e9", "c: d", ""])
    data = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-sig" else text.encode(encoding)
    [tree], [problem] = parsed(data, None)
    assert tree == {"a": "b", "c": "pompe \u00e9"}
    assert problem.startswith('f.yaml:3:1: duplicate key "c"')


def test_shown_text_is_cut_and_escaped() -> None:
    assert shown('a"\n') == '"a\\"\\n"'
    assert len(shown("x" * 1000)) == 82


plain = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain.filter(bool), inner, max_size=4)
)


@given(trees)
def test_what_yaml_writes_is_read_back(tree: Any) -> None:
    """PyYAML quotes whatever it would take for something else, so text comes back as text."""
    text = yaml.safe_dump(tree, allow_unicode=True)
    [found], problems = parse(text.encode(), "f")
    assert problems == []
    assert found == tree


def test_recursion_limit_does_not_matter() -> None:
    limit = sys.getrecursionlimit()
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    try:
        sys.setrecursionlimit(150)
        assert parse(text.encode(), "f")[1] == []
    finally:
        sys.setrecursionlimit(limit)


def test_without_libyaml_the_pure_parser_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert fastest_parser() is yaml.SafeLoader
    assert parse(b"a: 1.10", "f") == ([{"a": "1.10"}], [])
