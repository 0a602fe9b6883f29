"""From changes to requests: as few as are safe.

**What is not known.** The API says what a call is for, not exactly what it matches. Does `replace` look at the released
version, at the reported one, at either, at both? Between which two of our calls does a device report? What does a
device with an unknown bundle run? A plan must be right under every possible reading of the API; a call that is right
only under most of them is not used.

**What is allowed.** A release names its devices and moves their rows to one version, whatever they had before; the
removal of one row is similar. Both are always allowed. All other calls are wildcards: `replace`, `remove` of a whole
device, `remove` of a whole flow. A wildcard is allowed only if every row that it could reach under any reading was read
and ends this plan at the wildcard's own outcome (`reach`). A row that must not move has no change, so it ends at its
released version and blocks every wildcard that would move it elsewhere: unmanaged rows, rows outside the targets,
protected rows, records of deleted devices and custom nodes are all treated alike. A row that the wildcard may or may
not move does no harm, since it ends where it should either way; but a wildcard carries only the rows that it moves
under every reading, and the others get a release as well.

**Why the order is safe.** Rows do not affect each other, so consider one row. Every call that could move it has its
`to` as outcome, so it moves there or stays, whatever comes first, and the call that carries it always moves it there.
The danger comes later: once the row is released at its `to`, or reports it, a `replace` with that old version can reach
it, which it could not when the fleet was read. So every call that moves rows to a version waits until each replace of
that version is confirmed (`order`). Nothing else has to wait: a removal produces no version, and a wildcard that could
reach a row twice has the same outcome both times.

**Cycles.** v1 to v2 here and v2 to v1 there would wait for each other. A cohort has one target, so each old version has
at most one replace: replaces form chains and cycles, cycles share no version, and each target is in at most one cycle.
To break a cycle, one of its replaces is converted to releases. Choosing the one that adds the fewest calls is globally
optimal, because it affects no other cycle and cannot close a new one.

**Why the count is minimal.** For n rows of one flow to one version, a replace moves one cohort, and a release moves any
rows up to a chunk. With r replaces the largest r cohorts are best, so the minimum over r of r + ceil(rest / chunk) is
exact, and it stays exact for the whole flow when cycles are broken. At equal count fewer replaces win: a call that
names its devices can move nothing else, however the fleet changes before it arrives. Only removals share calls across
flows, by clearing whole devices; there the count is not always minimal, but never higher than without it (`removals`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.changes import Change, Changes, merged
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import RemoveDevice, RemoveFlow
from reconciler.model.state import DeviceId, FlowId, Live, Version
from reconciler.model.world import CallMode
from reconciler.planner.calls.flow_calls import FlowCalls, Saving, largest_first
from reconciler.planner.calls.order import Draft, in_order
from reconciler.planner.calls.reach import FlowRows, Moves, alike, flow_rows, moves_of, still_sound
from reconciler.planner.calls.removals import devices_to_clear


def cover(
    changes: Iterable[Change], live: Live, *, mode: CallMode = CallMode.FEWEST, chunk: int = 1000
) -> tuple[PlannedCall, ...]:
    """The requests that carry out the changes, in the order to send them.

    `live` is the read that the changes were computed from, whole or of one flow. A release names at most `chunk`
    devices.
    """
    changes = Changes.of(changes)
    # Only wildcards of removals ask for single moves.
    moves = moves_of(changes) if any(move.to_version is None for move in changes.by_move) else {}
    parts = list(_parts(changes, moves, live, mode, chunk))
    removals = [part for part in parts if part.version is None]
    cleared = devices_to_clear(removals, moves, live) if mode is CallMode.FEWEST else []
    drafts = list(_clear(cleared, removals, moves)) if cleared else []
    for part in parts:
        if part.version is not None or not cleared:
            drafts += part.drafts(part.saving.text)
    return in_order(drafts)


def _parts(changes: Changes, moves: Moves, live: Live, mode: CallMode, chunk: int) -> Iterator[FlowCalls]:
    """The changes by flow and target, with the wildcards that are allowed and, together, can be ordered."""
    targets: dict[FlowId, dict[Version | None, list[Sequence[DeviceId]]]] = defaultdict(lambda: defaultdict(list))
    for move, device_ids in changes.by_move.items():
        targets[move.flow_id][move.to_version].append(device_ids)
    explicit, fleet = mode is CallMode.EXPLICIT, None
    for flow_id, parts in targets.items():
        ids = {to: merged(some) for to, some in parts.items()}
        if explicit or all(len(devices) <= chunk for devices in ids.values()):
            why = "as --calls explicit asks" if explicit else "one call does"
            for to, named in ids.items():
                yield FlowCalls(flow_id, to, named, chunk, {}, {}, why, explicit=explicit)
        else:
            fleet = fleet or alike(changes, live)
            rows = flow_rows(flow_id, fleet, live)
            yield from _break_cycles({to: _part(rows, to, named, chunk, moves) for to, named in ids.items()}).values()


def _part(
    rows: FlowRows, version: Version | None, device_ids: Sequence[DeviceId], chunk: int, moves: Moves
) -> FlowCalls:
    whole: dict[Version, Sequence[DeviceId]] = {}
    members: set[DeviceId] = set()
    for old, cohort in rows.cohorts.items():
        if cohort.sure == device_ids:  # the whole fleet moves alike
            whole[old] = device_ids
        else:
            members = members or set(device_ids)
            whole[old] = [one for one in cohort.sure if one in members]
    allowed = {old: ids for old, ids in whole.items() if rows.may_replace(old, version)}
    return FlowCalls(
        rows.flow_id,
        version,
        device_ids,
        chunk,
        largest_first(allowed),
        {old: rows.reached(old) - len(ids) for old, ids in allowed.items()},
        "one call does" if len(device_ids) <= chunk else _why_named(rows, version, whole),
        flow_wide=version is None and still_sound(RemoveFlow(rows.flow_id), rows.live, moves),
    )


def _why_named(rows: FlowRows, version: Version | None, cohorts: Mapping[Version, Sequence[DeviceId]]) -> str:
    """Why the largest cohort that no replace may move gets releases. Names are unknown here, so devices are by id."""
    if rows.live.only_flow is not None:
        return "only the records of this flow were read, and a replace could reach others"
    for old in largest_first(cohorts):
        if blockers := rows.blockers(old, version):
            number, device_id, end = blockers
            unknown = ", whose bundle is unknown," if rows.live.devices[device_id].unknown_bundle else ""
            count = f"{number:,} row{' that ends' if number == 1 else 's that end'} elsewhere"
            return f"a replace of {old} could move {count} (first: device {device_id}{unknown} at {end or 'nothing'})"
    return "no wildcard saves a call"


def _break_cycles(parts: dict[Version | None, FlowCalls]) -> dict[Version | None, FlowCalls]:
    """Break every cycle of replaces: convert the one that costs least into releases."""
    while cycle := _cycle({old: version for version, part in parts.items() for old in part.replaced}):
        old, version = min(cycle, key=lambda edge: _price(parts[edge[1]], edge[0]))
        why_named = f"a replace of {old} and those that it waits for would wait for each other"
        parts[version] = parts[version].without_replace(old, why_named)
    return parts


def _price(part: FlowCalls, old: Version) -> tuple[int, int, Version]:
    """The cost of dropping a replace: in calls, then in rows to name, then by version as a tie-break."""
    return part.without_replace(old, "").mix.calls - part.mix.calls, len(part.cohorts[old]), old


def _cycle(target: Mapping[Version, Version | None]) -> list[tuple[Version, Version | None]]:
    """One cycle among replaces, as pairs of old and new version; empty if there is none."""
    for start in target:
        path: dict[Version, Version | None] = {}
        version: Version | None = start
        while version is not None and version in target and version not in path:
            path[version] = target[version]
            version = path[version]
        if version == start:
            return list(path.items())
    return []


def _clear(device_ids: Sequence[DeviceId], removals: Sequence[FlowCalls], moves: Moves) -> Iterator[Draft]:
    """The calls for the removals, where the given devices are cleared with one call each."""
    left = [part.without_devices(frozenset(device_ids)) for part in removals]
    saving = Saving(
        named=sum(part.saving.named for part in removals),
        calls=len(device_ids) + sum(part.saving.calls for part in left),
        wildcards=len(device_ids) + sum(part.saving.wildcards for part in left),
    ).text
    for device_id in device_ids:
        rows = tuple((device_id, flow_id) for flow_id in sorted(moves) if device_id in moves[flow_id])
        reason = f"the device is to run nothing ({len(rows):,} flows go); {saving}"
        yield Draft(RemoveDevice(device_id), rows, reason)
    for part in left:
        yield from part.drafts(saving)
