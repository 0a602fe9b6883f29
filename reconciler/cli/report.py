"""Plans and results on their way out: to stdout in the wished format, and to files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError
from reconciler.planner.plan import Plan
from reconciler.planner.serial import digest, parse_document, to_data
from reconciler.render.json import document, dump, error_data
from reconciler.render.text import plan_text


def write_plans(session: Session, command: str, plans: Sequence[Plan], *, error: ReconcilerError | None = None) -> None:
    """The plans to stdout, as text or as the one JSON document."""
    if session.wants_json:
        session.write(dump(plans_document(command, plans, error=error)))
    else:
        session.write(plan_text(plans, digest(plans), verbose=session.verbose, color=session.color))


def plans_document(command: str, plans: Sequence[Plan], *, error: ReconcilerError | None = None) -> dict[str, object]:
    """The JSON document of plans, whose digest stands beside them."""
    told = error_data(error.exit_code, error.problems) if error else None
    return document(command, error=told, digest=digest(plans), lists={"plans": [to_data(plan) for plan in plans]})


def save_plan(path: str, plans: Sequence[Plan], *, error: ReconcilerError | None = None) -> None:
    """Write a plan file whole or not at all."""
    save_text(path, dump(plans_document("plan", plans, error=error)) + "\n", what="--out")


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
        raise UsageError(f"{what} {path} cannot be written: {reason}", hint="name a file in a folder that exists") from None


def load_plans(path: str) -> tuple[Plan, ...]:
    """The plans of a saved file, checked against the file's own digest. UsageError where there is no such file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a plan: it is not UTF-8 text", hint="save one with `plan --out`") from None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is not a plan: {error}", hint="save one with `plan --out`") from None
    return parse_document(data)
