"""Versions of flows: as the API publishes them, as a lock has them, and as manifests declare them.

A version is known by its name, which can be published again with other content. A lock (`reconciler.lock`) says what
each version was. Only the hash of its definition decides whether a version is what it was: a version that was deleted
and created anew with the same definition has another id and another date, and is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.model.state import Application, FlowId, Id, Kind, Place, Text, Version

LOCK_NAME = "reconciler.lock"


class Published(NamedTuple):
    """A version as the API lists it. `created`: RFC 3339 text as sent."""

    version: Version
    id: Id
    created: Text


class Content(NamedTuple):
    """What a version of a flow is. `sha256`: of its definition (hex)."""

    flow_id: FlowId
    version: Version
    id: Id
    created: Text
    sha256: Text

    @property
    def key(self) -> tuple[FlowId, Version]:
        """The flow and the version."""
        return self.flow_id, self.version


class Locked(NamedTuple):
    """What a version was when it was locked, and the line of the lock that says so."""

    content: Content
    place: Place

    @property
    def key(self) -> tuple[FlowId, Version]:
        """The flow and the version."""
        return self.content.key


class Lock(NamedTuple):
    """What the locks of one application and kind say, and what was found.

    `paths`: the files, or where one would be if there is none. `found`: the content that the API had of the versions
    in question, as far as it could be read. `frozen`: a version that is not locked is refused.
    """

    paths: tuple[Text, ...]
    versions: tuple[Locked, ...] = ()
    found: tuple[Content, ...] = ()
    frozen: bool = False

    @property
    def names(self) -> frozenset[tuple[FlowId, Version]]:
        """The flows and versions that are locked."""
        return frozenset(one.key for one in self.versions)

    def differing(self) -> Iterator[tuple[Locked, Content]]:
        """The locked versions whose content is another now."""
        found = {one.key: one for one in self.found}
        for one in self.versions:
            now = found.get(one.key)
            if now is not None and now.sha256 != one.content.sha256:
                yield one, now


class Declaration(NamedTuple):
    """What declares a version, such as `group leeds`, and where."""

    rule: Text
    place: Place


class DeclaredVersion(NamedTuple):
    """A version that manifests declare, beside the newest of its flow.

    `created` is null if there is no such version any more, `newest` if the flow has none at all.
    """

    application: Application
    kind: Kind
    flow_id: FlowId
    flow_name: str | None
    version: Version
    created: str | None
    newest: str | None
    newest_created: str | None
    outdated: bool
    declared_by: tuple[Declaration, ...]
