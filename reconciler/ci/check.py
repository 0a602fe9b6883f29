"""The checks without a token: errors in the manifests, and how a pull request changes the desired state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.ci.provider import Provider, Trigger
from reconciler.ci.related import outside
from reconciler.errors import ManifestError, Problem
from reconciler.model.plan import Gone
from reconciler.model.state import Place
from reconciler.operations.applications import validate
from reconciler.operations.diff import diff as compare
from reconciler.render.differences import differences_markdown
from reconciler.render.inert import inert
from reconciler.render.page import code

_SUMMARY_BYTES, _COMMENT_BYTES = 60_000, 15_000  # the comment needs room for the plans


def step(provider: Provider, *, path: str, diff: Path) -> int:
    """Validate, then write the diff to the summary and to a file for the comment. Raises ManifestError."""
    checked = validate([path])
    provider.annotate("warning", [one.problem for one in checked.warnings])
    if provider.filtered:
        provider.annotate("warning", [_unseen(provider, *one) for one in outside(path, checked.rules)])
    provider.log(f"{len(checked.rules)} applications, no problems")
    run = provider.run()
    if run.trigger is Trigger.REVIEW:
        provider.annotate("warning", [one.problem for one in lost(path, run.base)])
        shown = difference(path, run.base, max_bytes=_SUMMARY_BYTES)
        provider.summary(f"### What changes in the desired state\n\n{shown}")
        diff.parent.mkdir(parents=True, exist_ok=True)
        diff.write_text(difference(path, run.base, max_bytes=_COMMENT_BYTES).rstrip("\n") + "\n", encoding="utf-8")
    return 0


def _unseen(provider: Provider, file: str, place: Place) -> Problem:
    message = f"this is read from {inert(file)}, where a change by itself starts no run unless the path filters know it"
    return Problem(message, place.path, place.line, place.column, hint=f"add it to {provider.filtered}")


def lost(path: str, base: str) -> Sequence[Gone]:
    """What is gone from the manifests, so that no job plans it any more and nobody would notice."""
    try:
        return compare(base, None, path=path).gone
    except ManifestError:
        return ()


def difference(path: str, base: str, *, max_bytes: int) -> str:
    """The diff as Markdown. Unreadable manifests of the base are not an error of the pull request.

    Raises:
        UsageError: git cannot tell what the base is, or this clone does not have it.
    """
    try:
        found = compare(base, None, path=path)
    except ManifestError as error:
        reason = code(error.problems[0].message, limit=200)
        return f"The manifests of the base cannot be compared, so there is no diff: {reason}."
    if found.missing:
        return "The base has no manifests there: everything is new."
    gone, approvals = found.gone, found.approvals
    return differences_markdown(found.differences, base, None, gone=gone, warnings=approvals, max_bytes=max_bytes)
