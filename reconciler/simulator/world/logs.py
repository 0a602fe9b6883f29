"""The log that every deployment record keeps: who changed what, and what the device said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import World


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed something: `sourceType` (apiToken, user, device) and `sourceId` of a log entry."""

    type: str
    id: str


def log_head(author: Author, at_ms: int, change_type: str) -> dict[str, Any]:
    """The fields that all log entries share; `change_type` is desired or current."""
    return {"sourceType": author.type, "sourceId": author.id, "date": rfc3339(at_ms), "changeType": change_type}


def write_logs(world: World, entries: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Append (record id, entry) to the logs of records."""
    world.db.executemany(
        "insert into logs (record_id, entry) values (?, ?)", [(own, json.dumps(entry)) for own, entry in entries]
    )
