"""The last release of a flow according to a device's deployment log, and whether an error followed it.

`plan` and `status` both use this module, so they agree. The rules:

- A release of a flow is a `desired` entry that made a version its target. An entry that repeats the version of the
  previous release is not a release (the bundle was recompiled), nor is one without a flow (changed globals, for
  example), except `clear`, which removes every flow.
- An error concerns the flow of its entry; without a flow, as in errors of embedded devices, it concerns every flow.
- An error counts unless it is older than the flow's last release. At the same instant, or without a readable date, it
  counts as later: showing an old failure does less harm than hiding a current one.

The API does not document the order of entries, and dates may be malformed or missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from reconciler.model.state import FlowId, LogEntry

_NEVER = datetime.min.replace(tzinfo=UTC)


class History(NamedTuple):
    """A flow's last release, and the newest error since."""

    release: LogEntry | None = None
    error: LogEntry | None = None


def history_of(logs: Sequence[LogEntry], flow_id: FlowId) -> History:
    """The history of a flow in a device's log."""
    if not logs:
        return History()
    release = _last_release(logs, flow_id)
    released_at = moment(release) if release else _NEVER
    errors = [log for log in logs if log.error is not None and log.flow_id in (None, flow_id)]
    since = [(at, log.error, log) for log in errors if (at := moment(log)) == _NEVER or at >= released_at]
    return History(release, max(since, key=itemgetter(0, 1))[2] if since else None)


def _last_release(logs: Sequence[LogEntry], flow_id: FlowId) -> LogEntry | None:
    targets = [log for log in logs if log.change == "desired" and (log.flow_id == flow_id or _clears(log))]
    release = None
    for log in sorted(targets, key=lambda log: (moment(log), log.version or "")):
        if not _repeats(log, release):
            release = log
    return release


def _clears(log: LogEntry) -> bool:
    return log.flow_id is None and log.update == "clear"


def _repeats(log: LogEntry, release: LogEntry | None) -> bool:
    """Whether an entry changes nothing; only edge logs contain the previous version."""
    if log.previous is not None:
        return log.previous == log.version
    return release is not None and release.version == log.version


def moment(log: LogEntry) -> datetime:
    """The time of an entry; without a readable date, earlier than any other."""
    try:
        written = datetime.fromisoformat(log.date or "")
    except ValueError:
        return _NEVER
    return written if written.tzinfo else written.replace(tzinfo=UTC)
