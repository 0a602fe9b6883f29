"""Versions of flows as the API publishes them.

A version is known by its name, which can be published again with other content: only the hash of its definition tells.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.state import FlowId, Id, Text, Version


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
