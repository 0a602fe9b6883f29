"""What the log of a record says of some rows, as indexes of its lines; when they were written is not asked here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from reconciler.model.log import last_error, last_release, names
from reconciler.model.rollout import Rows
from reconciler.model.state import FlowId, LogLine, Version

_UNKNOWN: Final = "\0"  # no version has this name


class Marks(NamedTuple):
    """What the lines of a record say of some rows, by the index of the line; None: no such line.

    `own`: the lines of the record. `release`: the last release of any of the rows. `error`: the newest error since the
    release. `run`: the unbroken run of what is reported now, oldest first.
    """

    own: Sequence[int]
    release: int | None
    error: int | None
    run: Sequence[int]


def marks_of(lines: Sequence[LogLine], rows: Rows, bundle: str | None, only: FlowId | None) -> Marks:
    """`only`: the flow of an edge record; other lines are those of other records."""
    own: Sequence[int] = range(len(lines))
    if only is not None:
        own = [index for index in own if lines[index].flow_id == only]
    release = max([index for one in rows if (index := last_release(lines, one)) is not None], default=None)
    run: list[int] = []
    for index in reversed(own):
        line = lines[index]
        if index <= (-1 if release is None else release):
            break
        if line.change != "current" or line.error is not None:
            continue
        by_version = only is not None and bundle is None
        if not (line.version == rows[only] if by_version and only else line.bundle == bundle is not None):
            break
        run.append(index)
    return Marks(own, release, last_error(lines, rows, release), run[::-1])


def run_before(
    lines: Sequence[LogLine], flow_id: FlowId, released: Version | None, target: Version | None, *, is_edge: bool
) -> tuple[int, int] | None:
    """The lines between which the log shows `target` running right before `released` became the released version."""
    release = last_release(lines, flow_id)
    if release is None or lines[release].version != released:
        return None
    versions = None if is_edge else _versions_by_bundle(lines, flow_id)
    begin = None
    for index in range(release - 1, -1, -1):
        line = lines[index]
        if line.change != "current" or line.error is not None or (is_edge and line.flow_id != flow_id):
            continue
        ran = line.version if versions is None else versions.get(line.bundle, _UNKNOWN)
        if ran != target:
            break
        begin = index
    return None if begin is None else (begin, release)


def _versions_by_bundle(lines: Sequence[LogLine], flow_id: FlowId) -> dict[str | None, Version | None]:
    """The version of a flow in each bundle of a log; embedded reports name bundles only."""
    naming = [line for line in lines if names(line, flow_id)]
    version: Version | None = None if naming and naming[0].update == "newFlow" else _UNKNOWN
    found: dict[str | None, Version | None] = {None: _UNKNOWN}
    for line in lines:
        if line.change != "desired":
            continue
        if names(line, flow_id):
            version = line.version
        if line.bundle is not None:
            found[line.bundle] = version if found.get(line.bundle, version) == version else _UNKNOWN
    return found
