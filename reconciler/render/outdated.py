"""Renders declared versions beside the newest ones, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.model.text import counted
from reconciler.model.versions import DeclaredVersion
from reconciler.render.inert import EXAMPLES, Paint, inert, left_out, painter, title, with_id, wrapped


def outdated_text(versions: Sequence[DeclaredVersion], *, color: bool = False) -> str:
    """The versions under their application and flow, then a line with the total."""
    paint = painter(color=color)
    lines: list[str] = []
    for (application, kind), of_application in groupby(versions, key=lambda one: (one.application, one.kind)):
        lines.append(paint(title(application, kind), "bold"))
        for _, of_flow in groupby(of_application, key=lambda one: one.flow_id):
            lines += _flow([*of_flow], paint)
        lines.append("")
    behind = sum(one.outdated for one in versions)
    verdict = f"{behind:,} of {counted(len(versions), 'declared version')} outdated."
    return "\n".join([*lines, verdict if behind else paint("Nothing is outdated.", "green"), ""])


def _flow(versions: Sequence[DeclaredVersion], paint: Paint) -> Iterator[str]:
    first = versions[0]
    newest = f"{inert(first.newest)}, {inert(first.newest_created or '')}" if first.newest else "none"
    yield ""
    yield f"  flow {with_id(first.flow_name, first.flow_id)}"
    yield from wrapped(f"newest: {newest}", indent=4)
    for one in versions:
        state = paint("outdated", "yellow") if one.outdated else "newest"
        yield f"    {inert(one.version)}  {inert(one.created or 'no such version')}  {state}"
        for declaration in one.declared_by[:EXAMPLES]:
            yield f"        {inert(declaration.rule)}  {inert(str(declaration.place))}"
        yield from left_out(len(one.declared_by) - EXAMPLES, "place", indent=8)
