"""Plans and results on their way out: to stdout in the wished format, and to files; and saved ones back in."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.cli.session import Session
from reconciler.errors import ExitCode, Problem, ReconcilerError, UsageError
from reconciler.planner.plan import Plan
from reconciler.planner.serial import digest, document, parse_document
from reconciler.render import json as documents
from reconciler.render.json import dump, error_data
from reconciler.render.result import result_text
from reconciler.render.text import plan_text

_HINT = "save a plan with `plan --out`, a result with `apply --result`"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file held: plans, or else results."""

    plans: tuple[Plan, ...] | None = None
    results: tuple[Mapping[str, Any], ...] = ()


def write_plans(
    session: Session,
    command: str,
    plans: Sequence[Plan],
    *,
    fmt: str,
    max_bytes: int,
    error: ReconcilerError | None = None,
) -> None:
    """The plans to stdout, as text, Markdown or the one JSON document."""
    if fmt == "json":
        told = error_data(error.exit_code, error.problems) if error else None
        session.write(dump({**document(plans, command), "error": told}))
    elif fmt == "markdown":
        from reconciler.render.markdown import plan_markdown

        session.write(plan_markdown(plans, digest(plans), max_bytes=max_bytes))
    else:
        session.write(plan_text(plans, digest(plans), verbose=session.verbose, color=session.color))


def write_results(
    session: Session, command: str, results: Sequence[Mapping[str, Any]], *, fmt: str, max_bytes: int
) -> None:
    """The results of an apply to stdout."""
    if fmt == "json":
        session.write(dump(results_document(command, results, code=ExitCode.DONE, problems=())))
    elif fmt == "markdown":
        from reconciler.render.markdown import result_markdown

        session.write(result_markdown(results, max_bytes=max_bytes))
    else:
        session.write(result_text(results, color=session.color))


def results_document(
    command: str, results: Sequence[Mapping[str, Any]], *, code: ExitCode, problems: Iterable[Problem]
) -> dict[str, object]:
    """The JSON document of an apply. `error` is null when it ended with 0."""
    told = list(problems)
    error = error_data(code, told or [Problem(_OUTCOMES.get(code, "failed"))]) if code else None
    return documents.document(command, error=error, parts={"results": list(results)})


_OUTCOMES = {
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.NOT_CONFIRMED: "some call is not confirmed; see results",
    ExitCode.NOT_CONVERGED: "not every device runs what it should; see results",
}


def save_plan(path: str, plans: Sequence[Plan]) -> None:
    """Write a plan file whole or not at all."""
    save_text(path, dump(document(plans, "plan")) + "\n", what="--out")


def save_text(path: str, text: str, *, what: str) -> None:
    """Write a file whole or not at all: first beside it, then in its place. UsageError where that cannot be."""
    target = Path(path)
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(draft).chmod(0o644)
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "name a file in a folder that exists and can be written"
        raise UsageError(f"{what} {path} cannot be written: {reason}", hint=hint) from None


def load_plans(path: str) -> tuple[Plan, ...]:
    """The plans of a saved file, checked against the file's own digest."""
    return parse_document(_read(path), path=path)


def load_saved(path: str) -> Saved:
    """The plans or results of a saved file."""
    data = _read(path)
    if not isinstance(data, dict) or "results" not in data:
        return Saved(plans=parse_document(data, path=path))
    results = data["results"]
    try:
        result_text(results)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"{path} is not a result of apply", hint=_HINT) from None
    return Saved(results=tuple(results))


def _read(path: str) -> object:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise UsageError(f"{path} is neither a plan nor a result: it is not JSON", hint=_HINT) from None
