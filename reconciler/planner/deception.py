"""Warns of versions and names in one plan that a reader may take for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.model.changes import Difference
from reconciler.model.characters import apart, look_alikes
from reconciler.model.plan import Warning
from reconciler.model.state import DeviceId, FlowId, Version

_SHOWN = 20  # warnings of one kind; the others are counted
_HINT = "rename one of them in Losant"


def deceptive(
    difference: Difference, device_names: Mapping[DeviceId, str], flow_names: Mapping[FlowId, str]
) -> Iterator[Warning]:
    """Versions of one flow, names of devices, names of flows: those of the plan that differ, but hardly to the eye."""
    versions: dict[FlowId, set[Version]] = defaultdict(set)
    for move in difference.changes.by_move:
        versions[move.flow_id] |= {one for one in (move.from_version, move.to_version, move.reported) if one}
    for row in difference.pending:
        versions[row.flow_id] |= {one for one in (row.released, row.reported) if one}
    for flow_id, found in sorted(versions.items()):
        yield from _warnings(f"versions of flow {flow_names.get(flow_id, flow_id)}", found)
    yield from _warnings("names of devices", device_names.values())
    yield from _warnings("names of flows", flow_names.values())


def _warnings(what: str, texts: Iterable[str]) -> Iterator[Warning]:
    alike = look_alikes(texts)
    for first, second, *others in alike[:_SHOWN]:
        more = f", and {len(others):,} more" if others else ""
        told = f'{what} look alike: "{first}" and "{second}"{more}; the second has {apart(first, second)}'
        yield Warning(told, hint=_HINT)
    if len(alike) > _SHOWN:
        yield Warning(f"{len(alike) - _SHOWN:,} more {what} look alike", hint=_HINT)
