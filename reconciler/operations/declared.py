"""What manifests declare, with their flows looked up: no devices and no deployments are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from reconciler.discovery.flows import flows_to_name, ids_by_name
from reconciler.errors import ManifestError, NotFound, PermissionDenied
from reconciler.model.rules import Rules
from reconciler.model.state import FlowId, Version
from reconciler.model.versions import Declaration
from reconciler.operations.lock.judging import SCOPES
from reconciler.planner.resolution.declared import declared_versions, names_flow
from reconciler.planner.resolution.names import Inventory, Names
from reconciler.ports import Reader


class Declared(NamedTuple):
    """The declared versions of each flow, and what people call the flows: an alias, else the name in Losant.

    `ids`: the declared flows by everything that they are called, as far as it is known.
    """

    versions: Mapping[FlowId, Mapping[Version, tuple[Declaration, ...]]]
    names: Mapping[FlowId, str]
    ids: Mapping[str, FlowId]

    def flow(self, flow_id: FlowId) -> str:
        """A flow for a message."""
        return f'flow "{self.names[flow_id]}"' if flow_id in self.names else f"flow {flow_id}"


async def declared(rules: Rules, reader: Reader) -> Declared:
    """The versions that the rules declare.

    Raises:
        ManifestError: flows that the application does not have.
        PermissionDenied: flows are given by name, and the token may not look names up.
    """
    flows = await flows_to_name(reader) if names_flow(rules) else ()
    names = Names(rules.aliases, Inventory(flows=ids_by_name(flows)))
    versions = declared_versions(rules, names)
    if problems := names.problems():
        raise ManifestError(problems)
    called = {flow.id: flow.name for flow in flows if flow.name}
    for alias in sorted(rules.aliases, reverse=True):
        if flow_id := names.known_flow(alias):
            called[flow_id] = alias
    aliases = {alias: names.known_flow(alias) for alias in rules.aliases}
    words: dict[str, FlowId | None] = {
        **{flow.name: flow.id for flow in flows if flow.name},
        **aliases,
        **{one: one for one in versions},
    }
    ids = {word: flow_id for word, flow_id in words.items() if flow_id is not None and flow_id in versions}
    return Declared(versions, {one: called[one] for one in versions if one in called}, ids)


@contextmanager
def placed(rules: Rules, found: Declared, flow_id: FlowId) -> Iterator[None]:
    """Reads versions of a declared flow: that there is no such flow is an error of the manifest, at its place."""
    try:
        yield
    except NotFound:
        first = min(one.place for declarations in found.versions[flow_id].values() for one in declarations)
        message = f"{found.flow(flow_id)} does not exist in application {rules.application.id}"
        raise ManifestError([first.problem(message, "check the id")]) from None
    except PermissionDenied as error:
        raise PermissionDenied(error.problems[0].message, hint=SCOPES, status=403) from None
