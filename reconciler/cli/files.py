"""Plans and results in files: written whole, read back and checked."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reconciler.errors import Problem, UsageError, cannot_write
from reconciler.model.plan import Plan
from reconciler.planner.serial import document, parse_document
from reconciler.render.json import dump

_HINT = "save a plan with `plan --out`, a result with `apply --result`"


def save_plan(path: str, plans: Sequence[Plan]) -> None:
    """Write a plan file whole or not at all."""
    save_text(path, dump(document(plans, "plan")) + "\n", what="--out")


def save_text(path: str, text: str, *, what: str) -> None:
    """Write a file whole or not at all: first beside it, then in its place. UsageError where that cannot be.

    What is no plain file, such as a pipe, is written to as it is.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_text(text, encoding="utf-8")
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise cannot_write(what, path, error) from None


def keep_inputs(what: str, path: str | None, inputs: Iterable[str]) -> None:
    """UsageError where an option names a file that this very run reads."""
    if path is not None and os.path.realpath(path) in map(os.path.realpath, inputs):
        raise UsageError(f"{what} {path} would overwrite a file that is read", hint="name another file")


class ResultFile:
    """`--result`: opened before anything is sent, written once at the end, whatever that was."""

    def __init__(self, path: str) -> None:
        """Open it; UsageError where that cannot be."""
        self._path = path
        try:
            self._file: IO[str] = open(path, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - `write` closes it
        except (OSError, ValueError) as error:
            raise cannot_write("--result", path, error) from None

    def write(self, data: Mapping[str, object]) -> None:
        """Write the document. UsageError where that fails, as on a full disk."""
        try:
            with self._file:
                self._file.write(dump(data) + "\n")
        except OSError as error:
            raise UsageError(f"--result {self._path} could not be written: {error.strerror or error}") from None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file held: plans, or else results with how their run ended."""

    plans: tuple[Plan, ...] | None = None
    results: tuple[Mapping[str, Any], ...] = ()
    code: int = 0
    problems: tuple[Problem, ...] = ()


def load_plans(path: str) -> tuple[Plan, ...]:
    """The plans of a saved file, checked against the file's own digest."""
    return parse_document(_read(path), path=path)


def load_saved(path: str) -> Saved:
    """The plans or results of a saved file."""
    data = _read(path)
    if not isinstance(data, dict) or "results" not in data:
        return Saved(plans=parse_document(data, path=path))

    from pydantic import ValidationError

    from reconciler.documents import ResultDocument

    try:
        result = ResultDocument.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path} is no result of apply: {where}: {first['msg']}", hint=_HINT) from None
    if result.error is None:
        return Saved(results=tuple(data["results"]))
    problems = tuple(Problem(**problem.model_dump()) for problem in result.error.problems)
    return Saved(results=tuple(data["results"]), code=result.error.code, problems=problems)


class _RepeatedKey(ValueError):
    """A key comes twice in one object, and readers differ in which they take."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _RepeatedKey
    return made


def _read(path: str) -> object:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint=_HINT) from None
    except _RepeatedKey:
        raise UsageError(
            f"{path} holds a key twice in one object: the file was edited or damaged", hint=_HINT
        ) from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise UsageError(f"{path} is neither a plan nor a result: it is not JSON", hint=_HINT) from None
