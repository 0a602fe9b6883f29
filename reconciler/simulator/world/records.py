"""Deployment records: the two kinds, and the log that each record keeps of who changed what and what was reported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import Row, World


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


class Author(NamedTuple):
    """Who changed something: `sourceType` (apiToken, user, device) and `sourceId` of a log entry."""

    type: str
    id: str


def log_entry(author: Author, at_ms: int, change_type: str, **fields: Any) -> Row:
    """An entry of a log; `change_type` is desired or current, `fields` are those that not all entries have.

    An etag is left out where there is no version.
    """
    head = {"sourceType": author.type, "sourceId": author.id, "date": rfc3339(at_ms), "changeType": change_type}
    return head | {name: value for name, value in fields.items() if value is not None or not name.endswith("Etag")}


def write_logs(world: World, entries: Iterable[tuple[str, Row]]) -> None:
    """Append (record id, entry) to the logs of records."""
    world.insert("logs", ((None, own, json.dumps(entry)) for own, entry in entries))
