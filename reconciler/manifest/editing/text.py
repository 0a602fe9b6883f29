"""Puts a value, or an entry, into the text of a manifest.

An edit is one insertion or replacement, so all else stays: comments, order, quotes, line ends, byte order marks. What
is written looks like what stands beside it. Nothing here decides whether the outcome is the intended one: whoever edits
loads the new text and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.errors import Problem
from reconciler.manifest.document import canonical
from reconciler.manifest.editing.spans import Sort, Span, spans
from reconciler.manifest.syntax import NOT_YAML
from reconciler.manifest.tree import shown
from reconciler.model.state import Place

# What is the same text in YAML 1.1 and 1.2, in a block and in brackets; of numbers, dates and so on it may be any.
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+/@ -]*[A-Za-z0-9_.+/@-])?")
_NULLS = frozenset({"null", "Null", "NULL"})
_BY_HAND = "write it by hand"


class Editable(NamedTuple):
    """A manifest's text, its encoding, and the mark that stands before it."""

    text: str
    encoding: str
    mark: bytes

    @classmethod
    def of(cls, data: bytes) -> Editable:
        """A file that `syntax.parse` has accepted."""
        for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
            if data.startswith(mark):
                return cls(data[len(mark) :].decode(encoding), encoding, mark)
        return cls(data.decode("utf-8"), "utf-8", b"")

    def spliced(self, start: int, end: int, new: str) -> bytes:
        """The file with other text from `start` to `end`."""
        return self.mark + (self.text[:start] + new + self.text[end:]).encode(self.encoding)


def with_value(data: bytes, key: Place, value: str) -> bytes | Problem:
    """The file in which the entry whose key is at a place has another value, which is text."""
    file = Editable.of(data)
    found = next((pair for pair in _all_pairs(spans(file.text)) if (pair[0].line, pair[0].column) == key[1:]), None)
    if found is None or found[1].sort not in (Sort.SCALAR, Sort.ALIAS):
        return key.problem("this entry cannot be edited in place", _BY_HAND)
    old = found[1]
    if old.shared:
        hint = "write the aliases out, so that each place has its own value"
        return key.problem("an anchor shares this value with other places of the file", hint)
    if old.style in ("|", ">"):
        return key.problem("the value is written as a block, over several lines", "write it in one line")
    return file.spliced(old.start, old.end, written(value, old.style))


def with_entry(data: bytes, document: Place, path: Sequence[str], value: str) -> bytes | Problem:
    """The file in which a document says `value` at a path of keys, the last of which it does not have yet."""
    file = Editable.of(data)
    tops = spans(file.text)
    node = next((one for one in tops if (one.line, one.column) == document[1:] and one.sort is Sort.MAP), None)
    if node is None:
        return document.problem("this document cannot be edited", _BY_HAND)
    rest = list(path)
    while (below := _below(node, rest[0])) is not None:
        node = below
        rest.pop(0)
        if node.sort is not Sort.MAP or node.shared or not rest:
            place = Place(document.path, node.line, node.column)
            what = " of ".join(map(shown, reversed(path[: len(path) - len(rest)])))
            return place.problem(f"an anchor or alias stands in the way of an entry in {what}", _BY_HAND)
    if node.style == "{":
        return _in_brackets(file, node, rest, value)
    return _in_block(file, node, rest, value)


def written(text: str, style: str = "") -> str:
    """Text as a scalar in a style (a quote, or nothing), or quoted where it cannot be plain."""
    hidden = NOT_YAML.search(text)
    if style == '"' or hidden or "\n" in text or "\t" in text:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{NOT_YAML.sub(_escape, escaped)}"'
    if style == "'" or not _PLAIN.fullmatch(text) or text in _NULLS:
        return "'{}'".format(text.replace("'", "''"))
    return text


def _escape(char: re.Match[str]) -> str:
    code = ord(char[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _all_pairs(nodes: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.sort is Sort.MAP:
            yield from node.pairs()
        stack += node.children


def _below(node: Span, key: str) -> Span | None:
    """A map's value, where ids may be spelled in capitals."""
    pairs = [(one.text, value) for one, value in node.pairs()]
    return next((value for text, value in pairs if canonical(text) == canonical(key)), None)


def _in_brackets(file: Editable, node: Span, path: Sequence[str], value: str) -> bytes:
    entry = _flow(path, value, _quote(node))
    if not node.children:
        return file.spliced(node.start + 1, node.start + 1, entry)
    return file.spliced(node.children[-1].end, node.children[-1].end, f", {entry}")


def _in_block(file: Editable, node: Span, path: Sequence[str], value: str) -> bytes:
    """After the line on which the map's last entry ends, like its first one indented."""
    text = file.text
    last = node.last
    while last > 0 and text[last - 1] in " \t\r\n":  # the end of a value in block style is where the next node begins
        last -= 1
    at = next((index for index in range(last, len(text)) if text[index] in "\r\n"), len(text))
    indent = node.children[0].column - 1 if node.children else 0
    lines = _block(path, value, _quote(node))
    new_line = _new_line(text)
    return file.spliced(at, at, "".join(f"{new_line}{' ' * indent}{line}" for line in lines))


def _block(path: Sequence[str], value: str, quote: str) -> list[str]:
    """An entry of a block: sections and their items in lines of their own, what is below in brackets."""
    key, *rest = path
    if not rest:
        return [f"{written(key, quote)}: {written(value, quote)}"]
    if len(rest) == 1:
        return [f"{written(key, quote)}: {{{_flow(rest, value, quote)}}}"]
    return [f"{written(key, quote)}:", *(f"  {line}" for line in _block(rest, value, quote))]


def _flow(path: Sequence[str], value: str, quote: str) -> str:
    text = written(value, quote)
    for key in reversed(path[1:]):
        text = f"{{{written(key, quote)}: {text}}}"
    return f"{written(path[0], quote)}: {text}"


def _quote(node: Span) -> str:
    """Double quotes where the keys beside have them, as in JSON; else none but where they are needed."""
    return '"' if node.children and node.children[0].style == '"' else ""


def _new_line(text: str) -> str:
    found = re.search(r"\r\n|\r|\n", text)
    return found[0] if found else "\n"
