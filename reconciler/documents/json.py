"""The envelope that all JSON documents share, and reading and writing JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypedDict

from reconciler.documents.values import data
from reconciler.errors import Problem, told

FORMAT_VERSION: Final = "1"


class Failure(NamedTuple):
    """The reason for an exit code other than 0 and 2."""

    code: Literal[1, 3, 4, 5, 6, 7, 130]
    problems: tuple[Problem, ...]


class Document(TypedDict):
    """The keys that all documents begin with."""

    format_version: Literal["1"]
    error: Failure | None


def error_data(code: int, problems: Iterable[Problem]) -> dict[str, Any]:
    """`{"code", "problems": [{"path", "line", "column", "message", "hint"}]}`; unknown values are null.

    Of very many problems the last one says how many more there are.
    """
    return {"code": int(code), "problems": data(tuple(told(tuple(problems))))}


def document(command: str, *, error: Mapping[str, Any] | None = None, **parts: object) -> dict[str, Any]:
    """A whole document: version, command, error, then the command's own parts."""
    head = {"format_version": FORMAT_VERSION, "command": command, "error": error}
    return head | {key: data(part) for key, part in parts.items()}


def dump(data: object, *, ascii_only: bool = False) -> str:
    """Compact JSON on one line. Only lone surrogates, which UTF-8 cannot encode, are escaped."""
    text = json.dumps(data, ensure_ascii=ascii_only, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


class RepeatedKey(ValueError):
    """An object has a duplicate key; parsers disagree on which one counts."""


def load(text: str) -> object:
    """Parse JSON. Raises ValueError or RecursionError if the text is not valid JSON."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RepeatedKey
    return made
