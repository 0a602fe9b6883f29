"""The bar of a flow: how many rows stand at each version, and how far they got.

Forms tell the states apart, and colours help: filled is reported, patterned is released and not yet reported, hollow
is only desired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from reconciler.model.health import FlowStatus, Standing, VersionStatus
from reconciler.render.inert import inert, words

_THINNEST: Final = 1.6  # percent of the bar: a single row of 100,000 can be seen
_LABELLED: Final = 7.0  # percent of the bar for each four characters of a label


class Segment(NamedTuple):
    """A part of a bar: its form, place and width in percent, and what it says."""

    form: str
    x: str
    width: str
    says: str


class Label(NamedTuple):
    """The name of a version under its part of the bar."""

    text: str
    x: str


class Bar(NamedTuple):
    """A bar, its labels, and all of it in words."""

    segments: tuple[Segment, ...]
    labels: tuple[Label, ...]
    described: str


def bar(flow: FlowStatus) -> Bar:
    """The bar of a flow."""
    parts = [(line, one, count(line, one)) for line in flow.versions for one in Standing if count(line, one)]
    made = segments([(one, number, f"{name(line)}: {number:,} {words(one)}") for line, one, number in parts])
    placed: dict[str, list[Segment]] = {}
    for (line, _, _), segment in zip(parts, made, strict=True):
        placed.setdefault(name(line), []).append(segment)
    labels = [Label(text, of_it[0].x) for text, of_it in placed.items() if _has_room(text, of_it)]
    return Bar(made, tuple(labels), "; ".join(_described(flow.versions)) or "no rows")


def segments(parts: Sequence[tuple[str, int, str]]) -> tuple[Segment, ...]:
    """The segments of a bar, given form, number and words of each; those of no number are left out."""
    shown = [part for part in parts if part[1]]
    total = sum(number for _, number, _ in shown)
    wide = [max(100 * number / total, _THINNEST) for _, number, _ in shown]
    ends = [100 * end / sum(wide) for end in accumulate(wide)]
    starts = [0.0, *ends]
    return tuple(
        Segment(form, f"{start:.2f}%", f"{end - start:.2f}%", says)
        for (form, _, says), start, end in zip(shown, starts, ends, strict=False)
    )


def _has_room(text: str, of_it: Sequence[Segment]) -> bool:
    width = sum(float(one.width.rstrip("%")) for one in of_it)
    return width >= _LABELLED * max(4, len(inert(text))) / 4


def count(line: VersionStatus, standing: Standing) -> int:
    """The number of rows of a version in a state."""
    number: int = getattr(line, standing)
    return number


def name(line: VersionStatus) -> str:
    """The version of a line; rows that should be absent have none."""
    return "absent" if line.version is None else line.version


def _described(lines: Sequence[VersionStatus]) -> Iterator[str]:
    for line in lines[:20]:
        counts = [f"{count(line, one):,} {words(one)}" for one in Standing if count(line, one)]
        yield f"{inert(name(line), limit=60)}: {', '.join(counts)}"
    if len(lines) > 20:
        yield f"and {len(lines) - 20:,} more versions"
