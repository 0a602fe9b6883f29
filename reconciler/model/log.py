"""What a device's deployment log says about one flow: its last release, and whether an error came after it.

`plan` and `status` both ask here, so they agree. The rule:

- A release of a flow is the `desired` entry that made a version its target. An entry that repeats the version of the
  release before it is none (the bundle was compiled again), and neither is one that names no flow (changed globals, for
  example); but for `clear`, which releases nothing for every flow.
- An error concerns the flow that its entry names; where it names none, as errors of embedded devices do, every flow.
- An error counts unless it is older than the flow's last release. At the same instant, or without a readable date, it
  is taken to be the later one: a failure that is shown once too often does less harm than one that is hidden.

The API documents no order of entries, and its dates may be of any form or missing.
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
    """Look through the log of a device."""
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
    """Whether an entry changes nothing; edge logs hold the version before, embedded ones do not."""
    if log.previous is not None:
        return log.previous == log.version
    return release is not None and release.version == log.version


def moment(log: LogEntry) -> datetime:
    """When it was written; without a readable date it comes before all others."""
    try:
        written = datetime.fromisoformat(log.date or "")
    except ValueError:
        return _NEVER
    return written if written.tzinfo else written.replace(tzinfo=UTC)
