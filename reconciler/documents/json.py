"""JSON itself: the envelope that all documents share, and text to data and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from reconciler.errors import ExitCode, Problem

if TYPE_CHECKING:  # a run that only fails needs no models
    from reconciler.documents.parts import ErrorPart, ProblemPart

FORMAT_VERSION: Final = "1"


def error_data(code: ExitCode, problems: Iterable[Problem]) -> ErrorPart:
    """`{"code", "problems": [{"path", "line", "column", "message", "hint"}]}`."""
    return {"code": int(code), "problems": [problem_data(problem) for problem in problems]}  # type: ignore[typeddict-item]


def problem_data(problem: Problem) -> ProblemPart:
    """One problem; absent parts are null."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def document(
    command: str,
    *,
    error: Mapping[str, object] | None = None,
    parts: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """A whole document: version, command, error, then the command's own parts, one list among them."""
    return {"format_version": FORMAT_VERSION, "command": command, "error": error, **(parts or {})}


def dump(data: object, *, ascii_only: bool = False) -> str:
    """Compact JSON on one line. Characters stay as they are, but lone surrogates, which no file could hold."""
    text = json.dumps(data, ensure_ascii=ascii_only, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode("utf-8") if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


class RepeatedKey(ValueError):
    """A key comes twice in one object, and readers differ in which they take."""


def load(text: str) -> object:
    """JSON to data. ValueError, or RecursionError, where it is none."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RepeatedKey
    return made
