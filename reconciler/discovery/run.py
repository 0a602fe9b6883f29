"""Discovery: read, resolve, prune, check, and what left management."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from reconciler.discovery.existence import ExistenceChecks
from reconciler.discovery.flows import ids_by_name
from reconciler.discovery.reads import EVERYTHING, Extent, Reads
from reconciler.errors import ManifestError, PermissionDenied
from reconciler.model.plan import Warning
from reconciler.model.rollout import Rollout
from reconciler.model.rules import Former, Prune, Rules
from reconciler.model.state import Desired, DeviceId, Live, are_same
from reconciler.model.text import counted, is_id
from reconciler.model.world import World
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.prune import omitted, prune
from reconciler.planner.resolution.resolve import Resolution, resolve
from reconciler.planner.resolution.selector import needs_of
from reconciler.ports import Reader

if TYPE_CHECKING:
    from reconciler.discovery.former import Lost, Queries


async def discover(
    rules: Rules,
    reader: Reader,
    *,
    today: date,
    excluded_devices: Collection[str] = (),
    extent: Extent = EVERYTHING,
    former: Former | None = None,
) -> World:
    """Read, resolve, prune and check one application and kind.

    `today` is the UTC date, for pins with an end date. `excluded_devices` (`--exclude device=`) are ids or names that
    may be unknown and are not checked. `former`: an earlier revision, to find what leaves management since.

    Raises:
        ManifestError: names, devices, flows or versions that the application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    return await _Discovery(rules, reader, today, excluded_devices, extent).run(former)


class _Discovery:
    """One discovery. `deleted`: the ids of deleted devices, by name; `missing`: those that the API does not have."""

    def __init__(self, rules: Rules, reader: Reader, today: date, excluded: Collection[str], extent: Extent) -> None:
        self.rules = rules
        self.today = today
        self.excluded = frozenset(text.lower() if is_id(text) else text for text in excluded)
        self.reads = Reads(rules, reader, extent)
        self.index, self.warnings = self.reads.index, self.reads.warnings
        self.deleted: dict[str, tuple[DeviceId, ...]] = {}
        self.missing: frozenset[DeviceId] = frozenset()

    async def run(self, former: Former | None) -> World:
        application = await self.reads.application()
        needs = needs_of(self.rules)
        read, queries = await self.reads.read(needs)
        live = read.live
        self.index.at_least = len(live.devices)
        await self.index.look_up(ids=needs.device_ids, names=needs.device_names)
        resolution = self.resolved(queries)
        if await self.find_deleted(resolution, live):
            resolution = self.resolved(queries)
        if resolution.unknown and await self.index.try_to_name(resolution.unknown):
            resolution = self.resolved(queries)  # again with all names, to suggest the nearest ones
        if resolution.problems:
            raise ManifestError(resolution.problems)
        desired = await self.pruned(resolution, live)
        checks = ExistenceChecks(self.rules, self.reads.reader, self.index, live, self.reads.flows)
        self.warnings += await checks.run(*self.in_question(desired, resolution, live), self.excluded_ids(live))
        loss = await self.lost(former, resolution, live, queries) if former else None
        deleted = self.deleted_rows(desired, resolution, live)
        kept = {one: flows for one, flows in desired.devices.items() if one not in deleted} if deleted else None
        return World(
            application=application,
            kind=self.rules.kind,
            desired=desired if kept is None else Desired(kept),
            read=read,
            protected=resolution.protected,
            warnings=tuple(
                sorted(
                    {*resolution.warnings, *self.warnings, *(loss.warnings if loss else ())},
                    key=lambda warning: warning.sort_key,
                )
            ),
            device_names=self.device_names(live),
            flow_names={**live.flow_names, **{flow.id: flow.name for flow in self.reads.flows or () if flow.name}},
            aliases=resolution.aliases,
            groups=frozenset(group.name for group in self.rules.groups),
            excluded_devices=resolution.excluded_devices,
            deleted_devices=self.missing & live.devices.keys(),
            deleted_names=frozenset(self.deleted) & self.excluded,
            deleted_rows=sum(deleted.values()),
            waved=frozenset(group.name for group in self.rules.groups if group.rollout),
            rollouts=tuple(_without(one, deleted) for one in resolution.rollouts) if self.reads.has_rollouts else (),
            empty_groups=resolution.empty_groups,
            leaving=loss and loss.leaving,
            leaving_rows=loss.rows if loss else (),
            compared=checks.compared,
            may_be_empty=tuple(sorted(group.name for group in self.rules.groups if group.may_be_empty)),
        )

    async def lost(self, former: Former, resolution: Resolution, live: Live, queries: Queries) -> Lost:
        """What leaves management since an earlier revision."""
        from reconciler.discovery.former import Additions, lost  # noqa: PLC0415 - most plans compare with none

        async def list_flows() -> None:
            if self.reads.flows is None:
                self.reads.flows = await self.reads.reader.flows()

        more = Additions(self.index, list_flows, lambda rules, answers: self.resolved(answers, rules))
        return await lost(former, more, after=resolution.desired, live=live, queries=queries)

    async def find_deleted(self, resolution: Resolution, live: Live) -> bool:
        """Look up what may have been deleted: records, and devices that the rules allow to be.

        Returns whether the rules have to be resolved again.
        """
        records, known = live.devices, self.index.devices
        ids = {one for one in resolution.forgivable if is_id(one)} - known.keys()
        if not self.index.complete:
            ids = {one for one in ids if one not in records or not records[one].connected}
        names = resolution.unknown & resolution.forgivable
        if self.excluded:
            names |= {one for one in self.excluded if not is_id(one)}.difference(self.device_names(live).values())
        named = {one: record.name for one, record in records.items() if record.name in names} if names else {}
        left = set() if are_same(records, known) else records.keys() - known.keys()
        if not self.index.complete:
            left = {one for one in left if not records[one].connected}
        self.missing = await self.index.missing(ids | named.keys(), left)
        for device_id, name in named.items():
            if name and device_id in self.missing:
                self.deleted[name] = (*self.deleted.get(name, ()), device_id)
        self.deleted |= await self.index.deleted(names - self.deleted.keys())
        return not resolution.forgivable.isdisjoint({*self.missing, *self.deleted})

    def deleted_rows(self, desired: Desired, resolution: Resolution, live: Live) -> dict[DeviceId, int]:
        """The number of declared rows of each deleted device; nothing of them would change.

        Excluded devices are left to the filters.
        """
        deleted = (self.missing & live.devices.keys() & desired.devices.keys()) - self.excluded_ids(live)
        for device_id in deleted & resolution.written.keys():
            name = live.devices[device_id].name
            message = f"device {f'{name} ({device_id})' if name else device_id} was deleted: nothing of it is managed"
            self.warnings.append(Warning(message, resolution.written[device_id], "remove what names it"))
        return {device_id: len(desired.devices[device_id]) for device_id in deleted}

    def device_names(self, live: Live) -> dict[DeviceId, str]:
        """Every name that is known; that in the device list counts before that in a deployment record."""
        names = {device_id: device.name for device_id, device in self.index.devices.items() if device.name}
        others = [] if are_same(live.devices, names) else sorted(live.devices.keys() - names.keys())
        return names | {one: name for one in others if (name := live.devices[one].name)}

    def excluded_ids(self, live: Live) -> frozenset[DeviceId]:
        """The ids of the excluded devices, including those excluded by name."""
        if not self.excluded:
            return self.excluded
        return self.excluded.union(one for one, name in self.device_names(live).items() if name in self.excluded)

    def in_question(self, desired: Desired, resolution: Resolution, live: Live) -> tuple[Desired, Resolution]:
        """The desired rows and the resolution, restricted to the rows and devices that were read."""
        only, devices = live.only_flow, self.reads.extent.devices
        if only is None and devices is None:
            return desired, resolution
        narrowed = {
            device_id: {flow_id: flows[flow_id] for flow_id in flows if only in (None, flow_id)}
            for device_id, flows in desired.devices.items()
            if (only is None or only in flows) and (devices is None or device_id in devices)
        }
        written = {device_id: place for device_id, place in resolution.written.items() if device_id in narrowed}
        return Desired(narrowed), resolution._replace(written=written)

    def resolved(self, queries: Queries, rules: Rules | None = None) -> Resolution:
        """Resolve the rules, or those of an earlier revision, with what has been read so far."""
        flows = ids_by_name(self.reads.flows or ())
        inventory = Inventory(
            self.index.devices, flows, queries, self.index.other_classes(), self.deleted, self.missing
        )
        excluded = self.excluded if rules is None else ()
        return resolve(rules or self.rules, inventory, today=self.today, excluded_devices=excluded)

    async def pruned(self, resolution: Resolution, live: Live) -> Desired:
        setting, place = self.rules.prune, self.rules.prune_place
        if setting is Prune.OFF or place is None:
            return resolution.desired
        existing = None
        if setting is not Prune.DEVICES:  # with DEVICES only declared devices lose rows, which are checked anyway
            candidates = {device_id for device_id, _ in omitted(resolution.desired, live, setting, resolution.flows)}
            try:
                existing = await self.index.existing(candidates)
            except PermissionDenied:
                message = f"not verified: existence of {counted(len(candidates), 'device')} with undeclared rows"
                self.warnings.append(Warning(message, place, "the token needs the scope devices.get"))
        flows = resolution.flows
        return prune(resolution.desired, live, setting, flows=flows, place=place, existing=existing)


def _without(rollout: Rollout, deleted: Collection[DeviceId]) -> Rollout:
    """A rollout without deleted devices."""
    gone = rollout.rows.keys() & deleted
    if not gone:
        return rollout
    rows = {one: flows for one, flows in rollout.rows.items() if one not in gone}
    return rollout._replace(rows=rows, waves={one: rollout.waves[one] for one in rows})
