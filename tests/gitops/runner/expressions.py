"""GitHub's expression language, as far as our workflows use it: literals, contexts, indexing, operators, functions.

Rules from GitHub's reference: `&&` and `||` give an operand back; null, false, 0 and the empty string are false; texts
compare without case; a property that is not there is null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Contexts = Mapping[str, Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|'(?P<text>(?:[^']|'')*)'|(?P<name>[A-Za-z_][\w-]*)|(?P<mark>&&|\|\||==|!=|[!()\[\].,]))"
)
_HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class Secrets(dict[str, str]):
    """Secrets: names without case, as GitHub keeps them."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.upper(), default)


def render(text: Any, contexts: Contexts) -> Any:
    """A value of a workflow file with its expressions evaluated; a value that is one expression keeps its type."""
    if isinstance(text, dict):
        return {key: render(value, contexts) for key, value in text.items()}
    if not isinstance(text, str):
        return text
    whole = _HOLE.fullmatch(text.strip())
    if whole and "}}" not in whole[1]:
        return evaluate(whole[1], contexts)
    return _HOLE.sub(lambda match: as_text(evaluate(match[1], contexts)), text)


def condition(text: Any, contexts: Contexts) -> bool:
    """An `if:`; one without a status function holds only after success."""
    source = str(text)
    bare = _HOLE.sub(lambda match: match[1], source)
    if not re.search(r"\b(always|success|failure|cancelled)\(\)", bare):
        bare = f"success() && ({bare})"
    return truth(evaluate(bare, contexts))


def evaluate(source: str, contexts: Contexts) -> Any:
    parser = _Parser(source, contexts)
    value = parser.any_of()
    assert parser.next is None, f"{source!r} goes on after {parser.next!r}"
    return value


def truth(value: Any) -> bool:
    return value not in (None, False, 0, "")


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


class _Parser:
    def __init__(self, source: str, contexts: Contexts) -> None:
        self._tokens = self._split(source)
        self._contexts = contexts
        self.next: tuple[str, str] | None = None
        self._step()

    @staticmethod
    def _split(source: str) -> list[tuple[str, str]]:
        tokens, position = [], 0
        while source[position:].strip():
            match = _TOKEN.match(source, position)
            assert match, f"{source!r} cannot be read at {position}"
            assert match.lastgroup
            tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def _step(self) -> tuple[str, str] | None:
        taken, self.next = self.next, self._tokens.pop(0) if self._tokens else None
        return taken

    def _takes(self, mark: str) -> bool:
        if self.next != ("mark", mark):
            return False
        self._step()
        return True

    def any_of(self) -> Any:
        value = self._all_of()
        while self._takes("||"):
            other = self._all_of()
            value = value if truth(value) else other
        return value

    def _all_of(self) -> Any:
        value = self._compared()
        while self._takes("&&"):
            other = self._compared()
            value = other if truth(value) else value
        return value

    def _compared(self) -> Any:
        value = self._unary()
        for mark in ("==", "!="):
            if self._takes(mark):
                return _same(value, self._unary()) == (mark == "==")
        return value

    def _unary(self) -> Any:
        return not truth(self._unary()) if self._takes("!") else self._path()

    def _path(self) -> Any:
        value = self._atom()
        while True:
            if self._takes("."):
                value = _property(value, self._word())
            elif self._takes("["):
                value = _property(value, self.any_of())
                assert self._takes("]")
            else:
                return value

    def _word(self) -> str:
        taken = self._step()
        assert taken, "an expression ends too soon"
        assert taken[0] == "name"
        return taken[1]

    def _atom(self) -> Any:
        if self._takes("("):
            value = self.any_of()
            assert self._takes(")")
            return value
        taken = self._step()
        assert taken, "an expression ends too soon"
        kind, text = taken
        if kind == "number":
            return int(text)
        if kind == "text":
            return text.replace("''", "'")
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if self._takes("("):
            return self._call(text)
        assert text in self._contexts, f"there is no context {text}"
        return self._contexts[text]

    def _call(self, name: str) -> Any:
        arguments = []
        while not self._takes(")"):
            arguments.append(self.any_of())
            self._takes(",")
        return _functions(self._contexts)[name](*arguments)


def _functions(contexts: Contexts) -> dict[str, Callable[..., Any]]:
    status = contexts.get("status", "success")
    return {
        "always": lambda: True,
        "cancelled": lambda: status == "cancelled",
        "failure": lambda: status == "failure",
        "success": lambda: status == "success",
        "format": lambda text, *values: re.sub(r"\{(\d+)\}", lambda match: as_text(values[int(match[1])]), text),
        "fromJSON": json.loads,
        "toJSON": lambda value: json.dumps(value, indent=2),
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if type(one) is type(other):
        return bool(one == other)
    numbers = [_number(one), _number(other)]
    return numbers[0] is not None and numbers[0] == numbers[1]


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return 0
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _property(value: Any, key: Any) -> Any:
    if isinstance(value, Secrets):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if key < len(value) else None
    return value.get(key) if isinstance(value, Mapping) else None
