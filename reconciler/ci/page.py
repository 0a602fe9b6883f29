"""One page for the plans of all applications that never grows past what a forge takes for a comment or an issue.

What matters goes first: what failed, then what would change. Applications without changes are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.ci.command import show
from reconciler.ci.reports import SUMMED, Report
from reconciler.errors import Problem
from reconciler.render.page import code

_LEAST = 1_000  # the smallest page that `reconciler show` makes
_CLOSING = 300  # bytes kept for the line about what was left out
_ROWS_SHARE = 4  # at most a quarter of the page is the table of applications


def verdict(reports: Sequence[Report]) -> str:
    """The first line that people read."""
    failed = sum(not one.planned for one in reports)
    refused = sum(one.code == 3 for one in reports)
    ends = [f"{failed} without a plan" if failed else "", f"{refused} refused" if refused else ""]
    ending = "".join(f" {end}." for end in ends if end)
    total = {name: sum(one.summary.get(name, 0) for one in reports) for name in SUMMED}
    if not any(total.values()):
        return ("No changes." if failed < len(reports) else "No plan.") + ending
    return f"Plan: {total['add']} to add, {total['update']} to change, {total['remove']} to destroy.{ending}"


def body(reports: Sequence[Report], *, max_bytes: int) -> str:
    """The verdict, a table if there are several applications, and as many plans in full as fit."""
    telling = sorted((one for one in reports if one.changes or one.code), key=lambda one: (one.planned, one.code != 3))
    parts = [f"**{verdict(reports)}**"]
    if len(reports) > 1:
        parts.append(_table(reports, telling, max_bytes // _ROWS_SHARE))
    left = max_bytes - sum(_size(part) + 2 for part in parts) - _CLOSING
    share = max(_LEAST, left // max(1, len(telling)))
    omitted = 0
    for one in telling:
        text = show(one.folder / "plan.json", commit=one.commit, max_bytes=share) if one.planned else _failure(one)
        if _size(text) + 2 > left:
            omitted += 1
            continue
        parts.append(text)
        left -= _size(text) + 2
    if omitted:
        parts.append(
            f"Left out to stay under the size limit: {omitted:,} applications. Each job shows its own in full."
        )
    return "\n\n".join(parts) + "\n"


def _failure(one: Report) -> str:
    lines = [f"- {_problem(problem)}" for problem in one.problems[:20]]
    return "\n".join([f"### {code(one.name)} {one.kind}: no plan", "", *lines])


def _problem(problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    return (f"{code(problem.place)}: " if problem.place else "") + code(problem.message + hint)


def _table(reports: Sequence[Report], telling: Sequence[Report], max_bytes: int) -> str:
    lines = ["| application | kind | add | change | destroy | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    left = max_bytes - sum(_size(line) + 1 for line in lines) - 200
    for number, one in enumerate(telling):
        remark = "no plan" if not one.planned else "refused" if one.code == 3 else ""
        counts = " | ".join(f"{one.summary[name]:,}" if one.planned else "" for name in ("add", "update", "remove"))
        row = f"| {code(one.name)} | {one.kind} | {counts} | {remark} |"
        if _size(row) + 1 > left:
            lines += ["", f"And {len(telling) - number:,} more applications."]
            break
        left -= _size(row) + 1
        lines.append(row)
    quiet = len(reports) - len(telling)
    if not telling:
        return f"{quiet:,} applications, all in sync."
    return "\n".join([*lines, *(["", f"{quiet:,} more without changes."] if quiet else [])])


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
