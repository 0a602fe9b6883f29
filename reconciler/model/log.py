"""The last release of a flow according to a device's deployment log, and whether an error followed it.

Plans, `status`, waits and rollouts all use this module, so they agree. The rules:

- A release of a flow is a `desired` entry that made a version its target. An entry that repeats the version of the
  previous release is not a release (the bundle was recompiled), nor is one without a flow (changed globals, for
  example), except `clear`, which removes every flow.
- An error concerns the flow of its entry; without a flow, as in errors of embedded devices, it concerns every flow.
- An error counts unless it is older than the flow's last release. At the same instant, or without a readable date, it
  counts as later: showing an old failure does less harm than hiding a current one. A success at the same instant, or
  without a readable date, counts as earlier.

The API does not document the order of entries, and dates may be malformed or missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias, TypeVar

from reconciler.model.state import FlowId, LogEntry, LogLine

Line: TypeAlias = LogEntry | LogLine
AnyLine = TypeVar("AnyLine", LogEntry, LogLine)
UNDATED = float("-inf")  # before everything else
LATEST = float("inf")


class History(NamedTuple):
    """A flow's last release, and the newest error since."""

    release: LogEntry | None = None
    error: LogEntry | None = None


NO_HISTORY = History()


class DeviceLog:
    """The log of a device, for the history of each of its flows: it is put in order once, and only if it is asked."""

    __slots__ = ("_entries", "_lines")

    def __init__(self, entries: Sequence[LogEntry]) -> None:
        self._entries = entries
        self._lines: list[LogEntry] | None = None

    def history_of(self, flow_id: FlowId) -> History:
        """The history of a flow."""
        if not self._entries:
            return NO_HISTORY
        if self._lines is None:
            self._lines = [line for _, line in in_order((unix_time(log.date), log) for log in self._entries)]
        lines = self._lines
        release = last_release(lines, flow_id)
        error = last_error(lines, (flow_id,), release)
        return History(None if release is None else lines[release], None if error is None else lines[error])


def history_of(logs: Sequence[LogEntry], flow_id: FlowId) -> History:
    """The history of a flow in a device's log."""
    return DeviceLog(logs).history_of(flow_id)


def in_order(dated: Iterable[tuple[float, AnyLine]]) -> list[tuple[float, AnyLine]]:
    """Lines with their Unix times (`UNDATED`: none), oldest first, so that "later" means "after" in the list.

    At the same instant successes come first, then releases, then errors; errors without a date come last.
    """
    return sorted([(placed(at, line), line) for at, line in dated], key=lambda pair: (pair[0], rank(pair[1])))


def placed(at: float, line: Line) -> float:
    """The Unix time by which a line is put in order."""
    return LATEST if at == UNDATED and line.error is not None else at


def rank(line: Line) -> tuple[int, str]:
    """What puts lines of the same instant in order."""
    return 2 if line.error is not None else 1 if line.change == "desired" else 0, line.error or line.version or ""


def last_release(lines: Sequence[Line], flow_id: FlowId) -> int | None:
    """The index of the last release of a flow among lines in order; None if there is none."""
    last: int | None = None
    for index, line in enumerate(lines):
        if names(line, flow_id) and not _repeats(line, None if last is None else lines[last]):
            last = index
    return last


def names(line: Line, flow_id: FlowId) -> bool:
    """Whether a line says which version of a flow is released, be it a release or a repetition."""
    return line.change == "desired" and (line.flow_id == flow_id or (line.flow_id is None and line.update == "clear"))


def last_error(lines: Sequence[Line], flow_ids: Iterable[FlowId], after: int | None) -> int | None:
    """The index of the newest error of some flows that is later than the line `after` (None: than the first)."""
    concerned = {None, *flow_ids}
    for index in range(len(lines) - 1, -1 if after is None else after, -1):
        if lines[index].error is not None and lines[index].flow_id in concerned:
            return index
    return None


def _repeats(line: Line, release: Line | None) -> bool:
    """Whether an entry changes nothing; only edge logs contain the previous version."""
    if line.previous is not None:
        return line.previous == line.version
    return release is not None and release.version == line.version


def unix_time(date: str | None) -> float:
    """The Unix time of an RFC 3339 date, in UTC if it names no zone; `UNDATED` if it cannot be read."""
    try:
        written = datetime.fromisoformat(date or "")
        return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return UNDATED
