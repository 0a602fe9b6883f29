"""The bar of a flow: how many rows stand at each version, and how far they got.

Forms tell the states apart, and colours help: filled is reported, patterned is released and not yet reported, hollow
is only desired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from reconciler.model.health import FlowStatus, Standing, VersionStatus
from reconciler.render.inert import inert, words

_THINNEST: Final = 0.8  # percent of the bar: a single row of 100,000 can be seen
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
    parts = [
        (line, standing, number) for line in flow.versions for standing in Standing if (number := count(line, standing))
    ]
    total = sum(number for _, _, number in parts) or 1
    wide = [max(100 * number / total, _THINNEST) for _, _, number in parts]
    scale = 100 / (sum(wide) or 1)
    segments, labels = [], []
    x = 0.0
    for at, (line, standing, number) in enumerate(parts):
        width = wide[at] * scale
        says = f"{name(line)}: {number:,} {words(standing)}"
        segments.append(Segment(standing, _percent(x), _percent(width), says))
        if at == 0 or parts[at - 1][0] is not line:
            whole = scale * sum(w for w, (other, _, _) in zip(wide, parts, strict=True) if other is line)
            text = inert(name(line), limit=24)
            if whole >= _LABELLED * max(1, len(text) / 4):
                labels.append(Label(text, _percent(x)))
        x += width
    return Bar(tuple(segments), tuple(labels), "; ".join(_described(flow.versions)) or "no rows")


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


def _percent(value: float) -> str:
    return f"{value:.2f}%"
