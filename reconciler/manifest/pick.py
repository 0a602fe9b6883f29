"""`--application` and `--kind`: which of the applications that paths hold a command is about."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import UsageError
from reconciler.planner.rules import Rules


def pick(held: Sequence[Rules], *, application: str | None = None, kind: str | None = None) -> tuple[Rules, ...]:
    """The rules for an application, by id or by the name that a manifest gives it, and a kind.

    Raises:
        UsageError: nothing fits, or the name fits several applications.
    """
    chosen = tuple(rules for rules in held if _fits(rules, application) and kind in (None, str(rules.kind)))
    if not chosen:
        listed = ", ".join(sorted({f"{_called(rules)} ({rules.kind})" for rules in held})) or "none"
        raise UsageError("no manifest here is for that application and kind", hint=f"there are: {listed}")
    ids = sorted({rules.application.id for rules in chosen})
    if application is not None and len(ids) > 1:
        raise UsageError(f"{application!r} names several applications", hint=f"pass an id: {', '.join(ids)}")
    return chosen


def _fits(rules: Rules, application: str | None) -> bool:
    ref = rules.application
    return application is None or application.lower() == ref.id or application == ref.name


def _called(rules: Rules) -> str:
    ref = rules.application
    return f"{ref.name} {ref.id}" if ref.name else ref.id
