"""Checks that the devices, flows and versions to be sent exist, for new devices and rows that would change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.discovery.device_index import DeviceIndex
from reconciler.errors import ApiError, ManifestError, NotFound, PermissionDenied, Problem
from reconciler.model.changes import Compared
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.model.state import (
    NO_ITEMS,
    Desired,
    DeviceId,
    Flow,
    FlowId,
    Live,
    Place,
    Version,
    are_same,
    values_of,
)
from reconciler.model.text import counted
from reconciler.planner.diff import compare
from reconciler.planner.resolution.names import Spelling
from reconciler.planner.resolution.resolve import Resolution
from reconciler.ports import Reader
from reconciler.runtime import gather


@dataclass(slots=True)
class ExistenceChecks:
    """The checks of one discovery. Missing objects are problems; what the token may not read is a warning."""

    rules: Rules
    reader: Reader
    index: DeviceIndex
    live: Live
    flows: Collection[Flow] | None
    problems: list[Problem] = field(default_factory=list, init=False)
    warnings: list[Warning] = field(default_factory=list, init=False)
    compared: Compared | None = field(default=None, init=False)

    async def run(self, desired: Desired, resolution: Resolution, excluded: Collection[DeviceId]) -> list[Warning]:
        """Check the rows of `desired`, and return what could not be verified.

        Raises:
            ManifestError: lists everything that does not exist.
        """
        self.compared = Compared(desired, self.live, compare(desired, self.live))
        changes = self.compared.difference.changes
        versions: dict[FlowId, dict[Version, Place]] = defaultdict(dict)
        decisions, written = desired.devices, resolution.written
        for moves, device_ids in changes.cohorts.items():
            kept = [one for one in device_ids if one not in excluded] if excluded else device_ids
            deciding = {id(flows): flows for flows in values_of(decisions, kept, NO_ITEMS)}.values()
            for flow_id, _, version, _ in moves if deciding else ():
                if version is not None:
                    place = min(flows[flow_id].place for flows in deciding)
                    versions[flow_id][version] = min(place, versions[flow_id].get(version, place))
        await self._check_devices(
            [one for one in written if one not in self.live.devices and one not in excluded],
            [one for one in changes.devices if one not in excluded] if excluded else changes.devices,
            lambda one: written.get(one) or min(decisions[one][move.flow_id].place for move in changes.devices[one]),
        )
        self._check_custom_nodes(desired, versions)
        await gather(*(self._check_flow(flow_id, versions[flow_id]) for flow_id in sorted(versions)))
        if self.problems:
            raise ManifestError(dict.fromkeys(self.problems))
        return list(dict.fromkeys(self.warnings))

    def _check_custom_nodes(self, desired: Desired, versions: dict[FlowId, dict[Version, Place]]) -> None:
        """Custom nodes are deployed with the flows that use them: if one is deployed, declaring it has no effect."""
        custom: set[FlowId] = set()
        left_alone: dict[FlowId, Place] = {}
        for device_id, device in self.live.devices.items():
            if not device.unmanageable:
                continue
            custom |= device.unmanageable
            for flow_id in device.unmanageable & desired.devices.get(device_id, {}).keys():
                place = desired.devices[device_id][flow_id].place
                left_alone[flow_id] = min(place, left_alone.get(flow_id, place))
        for flow_id in sorted(custom & versions.keys()):
            message = f"flow {self._name(flow_id)} is a custom node, which cannot be released"
            place = min(versions.pop(flow_id).values())
            self._problem(place, message, "it is deployed with the flows that use it; remove it from the manifest")
        for flow_id, place in sorted(left_alone.items()):
            message = f"flow {self._name(flow_id)} is a custom node: its declaration is ignored"
            self.warnings.append(Warning(message, place, "it is deployed with the flows that use it"))

    async def _check_devices(
        self, written: Iterable[DeviceId], changing: Collection[DeviceId], place_of: Callable[[DeviceId], Place]
    ) -> None:
        """Check devices that the manifests name without a record, and those that would change, in the order of ids."""
        known = self.index.devices
        ids = set() if are_same(changing, known) else {one for one in changing if one not in known}
        ids.update(one for one in written if one not in known)
        try:
            await self.index.look_up(ids=ids)
            missing = sorted(ids - known.keys())
            await self.index.other_class(missing)
        except PermissionDenied:
            message = f"not verified: existence and class of {counted(len(ids), 'device')}"
            self.warnings.append(Warning(message, hint="the token needs the scope devices.get"))
            return
        kind = self.rules.kind
        for device_id in missing:
            if other := self.index.others.get(device_id):
                message = f'device {device_id} ("{other.name}") is of class {other.device_class}'
                hint = f"{kind} deployments support devices of class {kind.device_class} only"
            else:
                message = f"device {device_id} does not exist in application {self.rules.application.id}"
                hint = "check the id; a device that was deleted must be removed from the manifest too"
            self._problem(place_of(device_id), message, hint)

    async def _check_flow(self, flow_id: FlowId, versions: Mapping[Version, Place]) -> None:
        owner = f"application {self.rules.application.id}"
        if self.flows is not None and all(flow.id != flow_id for flow in self.flows):
            self._no_flow(flow_id, versions, f"is not an {self.rules.kind} flow of {owner}")
            return
        try:
            found = set(await self.reader.versions(flow_id, names=versions.keys()))
        except PermissionDenied:
            message = "not verified: existence of the versions that would be released"
            self.warnings.append(Warning(message, hint="the token needs the scope flowVersions.get"))
        except NotFound:
            self._no_flow(flow_id, versions, f"does not exist in {owner}")
        else:
            if missing := sorted(versions.keys() - found):
                await self._report_versions(flow_id, missing, versions)

    def _no_flow(self, flow_id: FlowId, versions: Mapping[Version, Place], what: str) -> None:
        aliases = [f'"{alias}" at {ref.place}' for alias, ref in self.rules.aliases.items() if ref.text == flow_id]
        hint = f"see the alias {aliases[0]}" if aliases else "check the id"
        self._problem(min(versions.values()), f"flow {self._name(flow_id)} {what}", hint)

    async def _report_versions(
        self, flow_id: FlowId, missing: Iterable[Version], places: Mapping[Version, Place]
    ) -> None:
        try:
            known = await self.reader.versions(flow_id)
        except ApiError:
            known = ()  # the list was needed only for the hint
        spelling = Spelling(known)
        for version in missing:
            hint = spelling.hint(version) or "create it in Losant, or check the spelling"
            self._problem(places[version], f"flow {self._name(flow_id)} has no version {version}", hint)

    def _name(self, flow_id: FlowId) -> str:
        aliases = [alias for alias, ref in self.rules.aliases.items() if ref.text == flow_id]
        listed = [flow.name for flow in self.flows or () if flow.id == flow_id and flow.name]
        known = [*aliases, *listed, self.live.flow_names.get(flow_id)]
        return f'"{known[0]}"' if known[0] else flow_id

    def _problem(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(place.problem(message, hint))
