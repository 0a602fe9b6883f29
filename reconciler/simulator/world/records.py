"""Deployment records: the two kinds, their ids, bundles and etags, and the log of who changed what.

Ids, bundles and etags are hashes of what they identify, so they are the same in every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import Row, World

ID_PATTERN = r"^[A-Fa-f0-9]{24}$"
TAG_KEY_PATTERN = r"^[0-9a-zA-Z_-]{1,255}$"
RESERVED_VERSIONS = ("develop", "default")
NO_BUNDLE = "nullVersion"


class Kind(StrEnum):
    """The API's two kinds of deployments."""

    EMBEDDED = "embedded"
    EDGE = "edge"

    @property
    def device_class(self) -> str:
        """The only device class that supports these deployments."""
        return "embedded" if self is Kind.EMBEDDED else "edgeCompute"

    @property
    def flow_classes(self) -> tuple[str, ...]:
        """The flow classes that are deployed this way."""
        return ("embedded",) if self is Kind.EMBEDDED else ("edge", "customNode")

    @classmethod
    def of_class(cls, device_class: str) -> Kind | None:
        """The kind of deployments that a device class supports, if any."""
        return next((kind for kind in cls if kind.device_class == device_class), None)


class Author(NamedTuple):
    """Who changed something: `sourceType` (apiToken, user, device) and `sourceId` of a log entry."""

    type: str
    id: str


def object_id(*parts: str) -> str:
    """A deterministic 24-hex id, e.g. `object_id(application_id, "device", "pump-001")`."""
    return sha256("\0".join(parts).encode()).hexdigest()[:24]


PERSON = Author("user", object_id("user", "somebody at the web interface"))


def record_id(application_id: str, device_id: str, flow_id: str | None = None) -> str:
    """The id of an embedded record or, with a flow, of an edge record."""
    flow = () if flow_id is None else (flow_id,)
    return object_id(application_id, "edgeDeployment" if flow else "embeddedDeployment", device_id, *flow)


def bundle_id(device_id: str, contents: Sequence[tuple[str, str]], revision: int) -> str:
    """The opaque name of a compiled bundle: ten digits, as in the official example.

    Equal contents (sorted pairs of flow id and version) on the same device give the same bundle; `revision` represents
    everything else that is compiled in, such as the application's globals.
    """
    text = "\0".join((device_id, str(revision), *(part for pair in contents for part in pair)))
    return str(int.from_bytes(sha256(text.encode()).digest()[:8]) % 9_000_000_000 + 1_000_000_000)


def etag_of(flow_id: str, version: str | None) -> str | None:
    """The etag of a version of an edge workflow; None if there is no version."""
    return None if version is None else etag(flow_id, version)


def etag(*parts: str) -> str:
    """A deterministic etag of 32 hex digits."""
    return sha256("\0".join(parts).encode()).hexdigest()[:32]


def log_entry(author: Author, at_ms: int, change_type: str, **fields: Any) -> Row:
    """A log entry; `change_type` is desired or current, `fields` are the optional ones.

    An etag is omitted if there is no version.
    """
    head = {"sourceType": author.type, "sourceId": author.id, "date": rfc3339(at_ms), "changeType": change_type}
    return head | {name: value for name, value in fields.items() if value is not None or not name.endswith("Etag")}


def write_logs(world: World, entries: Iterable[tuple[str, Row]]) -> None:
    """Append (record id, entry) pairs to the logs of records, and drop what is too old by `log_cap`."""
    new = list(entries)
    world.insert("logs", ((None, own, json.dumps(entry)) for own, entry in new))
    trim_logs(world, [*{own for own, _ in new}])


def trim_logs(world: World, owners: Sequence[str] | None = None) -> None:
    """Drop the oldest entries of logs that have more than `log_cap`: of these records, or of all."""
    if world.switches.log_cap is None:
        return
    among = "" if owners is None else "where record_id in (select value from json_each(:owners))"
    world.db.execute(
        "delete from logs where sequence in (select sequence from (select sequence, row_number() over "
        f"(partition by record_id order by sequence desc) as place from logs {among}) where place > :cap)",
        {"owners": json.dumps(owners), "cap": world.switches.log_cap},
    )
