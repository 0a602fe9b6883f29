"""Deployment records: the two kinds, and the log that each record keeps of who changed what and what was reported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import World


class Kind(StrEnum):
    """The two resources of the API that deploy workflows."""

    EMBEDDED = "embedded"
    EDGE = "edge"

    @property
    def device_class(self) -> str:
        """The only class of devices that takes these deployments."""
        return "embedded" if self is Kind.EMBEDDED else "edgeCompute"

    @property
    def flow_classes(self) -> tuple[str, ...]:
        """The classes of workflows that are deployed this way."""
        return ("embedded",) if self is Kind.EMBEDDED else ("edge", "customNode")

    @classmethod
    def of_class(cls, device_class: str) -> Kind | None:
        """The kind of deployments that devices of a class take, if they take any."""
        return next((kind for kind in cls if kind.device_class == device_class), None)


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed something: `sourceType` (apiToken, user, device) and `sourceId` of a log entry."""

    type: str
    id: str


def log_entry(author: Author, at_ms: int, change_type: str, **fields: Any) -> dict[str, Any]:
    """An entry of a log; `change_type` is desired or current, `fields` are those that not all entries have."""
    head = {"sourceType": author.type, "sourceId": author.id, "date": rfc3339(at_ms), "changeType": change_type}
    return head | fields


def present(**fields: str | None) -> dict[str, str]:
    """The fields that have a value: an etag is left out where there is no version."""
    return {name: text for name, text in fields.items() if text is not None}


def write_logs(world: World, entries: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Append (record id, entry) to the logs of records."""
    world.db.executemany(
        "insert into logs (record_id, entry) values (?, ?)", [(own, json.dumps(entry)) for own, entry in entries]
    )
