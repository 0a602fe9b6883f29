"""Changes to requests: as few as are safe.

**What is unknown.** The API says what a call is for, not exactly what it matches. Does `replace` look at the released
version, at the reported one, at either, at both? When does a device report, between which two of our calls? What
does a device with an unknown bundle run? None of this may matter: a plan has to be right under every reading, and
a call that would be right under most of them is not used.

**What is allowed.** A release names its devices and moves their rows to one version, whatever they were; so does the
removal of one row. Both are always allowed. The rest are wildcards: `replace`, `remove` of a whole device, `remove`
of a whole flow. One is allowed only if every row that it could reach under any reading was read and ends this plan
at the wildcard's own outcome (`reach`). A row that must stay where it is has no change, so it ends at what is
released, and blocks each wildcard that would take it elsewhere: unmanaged rows, rows outside the targets, protected
ones, ghosts and custom nodes are all the same here. A row that the wildcard may or may not move does no harm, since
both ways it ends where it should; but only rows that every reading moves are left to the wildcard, and the others
get a release besides.

**Why the order is safe.** Rows do not touch each other, so follow one row. Every call that could move it has its
`to` as outcome, hence it jumps there or stays, whatever comes first, and the one call that carries it is sure to take
it there. The danger is what it becomes on the way: once released at its `to`, or reporting it, the row is in reach
of a `replace` whose old version that is, and that reach was not there when we looked. So whatever moves rows onto a
version waits until every replace of that version is confirmed (`order`). Nothing else has to wait: a removal makes no
version, and a wildcard that could reach a row twice has the same outcome both times.

**Circles.** v1 to v2 here and v2 to v1 there wait for each other. A cohort has one target, so each old version has
one replace at most: they form chains and circles, circles share no version, and each target is in one circle at
most. Cutting a circle means one of its replaces becomes releases; taking the one whose group gets dearer by the
least is best for all, because it touches no other circle and can close none.

**Why the count is what it is.** For n rows of one flow to one version, a replace does one cohort and a release does
up to a chunk of any rows. With r replaces the largest r cohorts are best, so the minimum over r of r + ceil(rest /
chunk) is exact, and with the cut it stays exact for the whole flow. At equal count fewer replaces win: what names its
devices can move nothing else, on whatever world it arrives. Removals share device-wide calls across flows; there the
search is greedy (`removals`), never worse than naming every row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.changes import Change
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import DeviceId, FlowId, Live, Version
from reconciler.model.world import CallMode
from reconciler.planner.calls.cohorts import Moves, Terrain, survey
from reconciler.planner.calls.flow_calls import Group, Saving, largest_first
from reconciler.planner.calls.order import Draft, in_order
from reconciler.planner.calls.removals import devices_to_clear

__all__ = ["Release", "RemoveDevice", "RemoveFlow", "RemoveRow", "Replace", "Request", "cover"]


def cover(
    changes: Iterable[Change], live: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[PlannedCall, ...]:
    """Requests that make the changes, in the order to send them.

    Args:
        changes: rows that must move, each once.
        live: the read that they were compared with. Where it was restricted to one flow, only what it covers is used.
        mode: `explicit` uses releases only.
        chunk: the most devices that one release may name.
    """
    moves: dict[FlowId, dict[DeviceId, Version | None]] = defaultdict(dict)
    for change in changes:
        moves[change.flow_id][change.device_id] = change.to_version
    fewest = mode is CallMode.FEWEST
    groups = [group for flow_id in moves for group in _groups(flow_id, moves[flow_id], live, chunk, fewest=fewest)]
    removals = [group for group in groups if group.version is None]
    cleared = devices_to_clear(removals, moves, live, chunk) if fewest else []
    drafts = list(_clear(cleared, removals, moves, chunk)) if cleared else []
    for group in groups:
        if group.version is not None or not cleared:
            drafts += group.drafts(chunk, group.saving(chunk).told, rows_by_remove=fewest)
    return in_order(drafts)


def _groups(flow_id: FlowId, moves: Moves, live: Live, chunk: int, *, fewest: bool) -> Iterable[Group]:
    """The changes of a flow by target, with the wildcards that are allowed and, together, can be ordered."""
    ids: dict[Version | None, list[DeviceId]] = defaultdict(list)
    for device_id in sorted(moves):
        ids[moves[device_id]].append(device_id)
    if not fewest or all(len(devices) <= chunk for devices in ids.values()):
        why = "one call does" if fewest else "as --calls explicit asks"
        return [Group(flow_id, version, devices, {}, {}, hindrance=why) for version, devices in ids.items()]
    terrain = survey(flow_id, moves, live)
    return _cut_circles(
        {version: _group(terrain, version, devices, chunk) for version, devices in ids.items()}, chunk
    ).values()


def _group(terrain: Terrain, version: Version | None, device_ids: list[DeviceId], chunk: int) -> Group:
    members = set(device_ids)
    whole = {old: [one for one in cohort.sure if one in members] for old, cohort in terrain.cohorts.items()}
    allowed = {old: ids for old, ids in whole.items() if terrain.may_replace(old, version)}
    return Group(
        terrain.flow_id,
        version,
        device_ids,
        largest_first(allowed),
        {old: terrain.reached(old) - len(ids) for old, ids in allowed.items()},
        flow_wide=version is None and terrain.may_remove(),
        hindrance="one call does" if len(device_ids) <= chunk else _hindrance(terrain, version, whole),
    )


def _hindrance(terrain: Terrain, version: Version | None, cohorts: Mapping[Version, list[DeviceId]]) -> str:
    """Why the largest cohort that no replace may do gets releases."""
    if terrain.live.only_flow is not None:
        return "only the records of this flow were read, and a replace could reach others"
    for old in largest_first(cohorts):
        if strays := terrain.strays(old, version):
            rows = f"{len(strays):,} row{' that ends' if len(strays) == 1 else 's that end'} elsewhere"
            return f"a replace of {old} could move {rows} (first: {_stray(*strays[0], terrain.live)})"
    return "no wildcard saves a call"


def _stray(device_id: DeviceId, end: Version | None, live: Live) -> str:
    """A device that stands in the way, by id, since the plan's names are not known here."""
    unknown = ", whose bundle is unknown," if live.devices[device_id].unknown_bundle else ""
    return f"device {device_id}{unknown} at {end or 'nothing'}"


def _cut_circles(groups: dict[Version | None, Group], chunk: int) -> dict[Version | None, Group]:
    """Turn replaces that wait for each other into releases: of each circle the one that costs least."""
    while circle := _circle({old: version for version, group in groups.items() for old in group.replaced(chunk)}):
        old, version = min(circle, key=lambda edge: _price(groups[edge[1]], edge[0], chunk))
        hindrance = f"a replace of {old} and those that it waits for would wait for each other"
        groups[version] = groups[version].without_replace(old, hindrance)
    return groups


def _price(group: Group, old: Version, chunk: int) -> tuple[int, int, Version]:
    """What doing without a replace costs: in calls, then in rows to name; then by version, to be definite."""
    calls = group.without_replace(old, "").mix(chunk).calls - group.mix(chunk).calls
    return calls, len(group.cohorts[old]), old


def _circle(target: Mapping[Version, Version | None]) -> list[tuple[Version, Version | None]]:
    """One circle among replaces, as pairs of old and new version; empty if there is none."""
    for start in target:
        path: dict[Version, Version | None] = {}
        version: Version | None = start
        while version is not None and version in target and version not in path:
            path[version] = target[version]
            version = path[version]
        if version == start:
            return list(path.items())
    return []


def _clear(
    device_ids: Sequence[DeviceId], removals: Sequence[Group], moves: Mapping[FlowId, Moves], chunk: int
) -> Iterator[Draft]:
    """The removals, some devices cleared."""
    left = [group.without_devices(frozenset(device_ids)) for group in removals]
    savings = [group.saving(chunk) for group in left]
    saving = Saving(
        named=sum(group.saving(chunk).named for group in removals),
        calls=len(device_ids) + sum(one.calls for one in savings),
        wildcards=len(device_ids) + sum(one.wildcards for one in savings),
    ).told
    for device_id in device_ids:
        rows = tuple((device_id, flow_id) for flow_id in sorted(moves) if device_id in moves[flow_id])
        reason = f"the device is to run nothing ({len(rows):,} flows go); {saving}"
        yield Draft(RemoveDevice(device_id), rows, reason)
    for group in left:
        yield from group.drafts(chunk, saving, rows_by_remove=True)
