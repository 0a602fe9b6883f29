"""The versions that manifests declare, beside the newest of each flow. Sends GET only."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.rules import Rules
from reconciler.model.state import Application, FlowId
from reconciler.model.versions import DeclaredVersion, Published
from reconciler.operations.declared import Declared, declared, placed
from reconciler.operations.gateway import Gateway
from reconciler.ports import Reader
from reconciler.runtime import gather


async def outdated(rules: Sequence[Rules], gateway: Gateway) -> tuple[DeclaredVersion, ...]:
    """Every version that the rules declare, by application, kind, flow and version, with its date and the newest.

    The newest version is the one that was created last, whatever it is called.

    Raises:
        ManifestError: flows that an application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    found: list[DeclaredVersion] = []
    async with gateway.open() as api_of:
        for one in rules:
            found += await _of(one, api_of(one.application.id, one.kind))
    return tuple(found)


async def _of(rules: Rules, reader: Reader) -> list[DeclaredVersion]:
    found = await declared(rules, reader)
    listed = await gather(*(_published(rules, found, flow_id, reader) for flow_id in found.versions))
    known: dict[FlowId, tuple[Published, ...]] = dict(zip(found.versions, listed, strict=True))
    rows = []
    for flow_id, versions in found.versions.items():
        by_name = {one.version: one for one in known[flow_id]}
        newest = max(known[flow_id], key=lambda one: (one.created, one.version), default=None)
        for version, declarations in versions.items():
            own = by_name.get(version)
            rows.append(
                DeclaredVersion(
                    application=Application(rules.application.id, rules.application.name),
                    kind=rules.kind,
                    flow_id=flow_id,
                    flow_name=found.names.get(flow_id),
                    version=version,
                    created=own.created if own else None,
                    newest=newest.version if newest else None,
                    newest_created=newest.created if newest else None,
                    outdated=newest is not None and newest.version != version,
                    declared_by=declarations,
                )
            )
    return rows


async def _published(rules: Rules, found: Declared, flow_id: FlowId, reader: Reader) -> tuple[Published, ...]:
    with placed(rules, found, flow_id):
        return await reader.published(flow_id)
