"""Asks the API for what a set of rules needs, in the fewest requests, and resolves, prunes and checks with it.

Three rules keep the count low. A manifest that holds only ids asks for the deployments and nothing else. Where a
selector needs the whole device list, that one listing answers every other question about devices. Existence is
checked only for what would change or is new: what is released already was accepted by the platform once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from reconciler.errors import ManifestError, PermissionDenied, Problem
from reconciler.planner.names import Inventory, is_id
from reconciler.planner.plan import Warning, World
from reconciler.planner.prune import omitted, prune
from reconciler.planner.resolve import Resolution, resolve, warning_key
from reconciler.planner.rules import Prune, Rules
from reconciler.planner.select import Needs, needs_of
from reconciler.planner.state import Application, Desired, Flow, Live
from reconciler.ports import Reader
from reconciler.survey.census import Census, counted_devices, together
from reconciler.survey.checks import Checks

__all__ = ["survey"]


async def survey(rules: Rules, reader: Reader, *, today: date, exclude_devices: Collection[str] = ()) -> World:
    """Read, resolve, prune and check one application and kind.

    Args:
        rules: what the manifests say.
        reader: the API, for `rules.application` and `rules.kind`.
        today: the UTC date, for pins that have an end.
        exclude_devices: ids or names that may be unknown, and that are not checked (`--exclude device=`).

    Raises:
        ManifestError: names, devices, flows or versions that the application does not have.
        ApiError, IncompleteRead: reading failed.
    """
    return await _Survey(rules, reader, today, exclude_devices).run()


class _Survey:
    def __init__(self, rules: Rules, reader: Reader, today: date, excluded: Collection[str]) -> None:
        self.rules = rules
        self.reader = reader
        self.today = today
        self.excluded = frozenset(text.lower() if is_id(text.lower()) else text for text in excluded)
        self.census = Census(reader, rules.kind)
        self.flows: tuple[Flow, ...] | None = None
        self.warnings: list[Warning] = []

    async def run(self) -> World:
        application = await self.application()
        needs = needs_of(self.rules)
        live, queries = await self.read(needs)
        self.census.at_least = len(live.devices)
        await self.look_up(needs)
        resolution = await self.resolution(queries)
        desired = await self.pruned(resolution, live)
        checks = Checks(self.rules, self.reader, self.census, live, self.flows)
        excluded = self.excluded | self.census.ids_named(self.excluded) | _ids_named(live, self.excluded)
        self.warnings += await checks.run(desired, resolution, excluded)
        return World(
            application=application,
            kind=self.rules.kind,
            desired=desired,
            live=live,
            protected=resolution.protected,
            warnings=tuple(sorted({*resolution.warnings, *self.warnings}, key=warning_key)),
            device_names={**_device_names(live), **self.census.names()},
            flow_names={**live.flow_names, **{flow.id: flow.name for flow in self.flows or () if flow.name}},
            aliases=resolution.aliases,
            groups=frozenset(group.name for group in self.rules.groups),
            dropped=resolution.passed_over,
        )

    async def application(self) -> Application:
        """The application; its name is asked for only where the manifest wants it checked, and then before all else."""
        wanted = self.rules.application
        if wanted.name is None:
            return Application(wanted.id)
        try:
            found = await self.reader.application()
        except PermissionDenied:
            message = f'not verified: name of application {wanted.id}, "{wanted.name}" here'
            self.warnings.append(Warning(message, wanted.place, "the token needs the scope application.get"))
            return Application(wanted.id)
        if found.name != wanted.name:
            message = f'application {wanted.id} is named "{found.name}", not "{wanted.name}"'
            hint = "check that the id and the name are of the same environment"
            raise ManifestError([Problem(message, wanted.place.path, wanted.place.line, wanted.place.column, hint)])
        return found

    async def read(self, needs: Needs) -> tuple[Live, dict[str, frozenset[str]]]:
        """Whatever can be read at once: deployments, the device list, flows, queries."""
        live, _, _, *selected = await together(
            self.reader.live(),
            self.list_devices(needs),
            self.list_flows(needs),
            *(self.census.query(query) for query in sorted(needs.queries)),
        )
        return live, dict(zip(sorted(needs.queries), selected, strict=True))

    async def list_devices(self, needs: Needs) -> None:
        if needs.listing:
            await self.census.list_all()

    async def list_flows(self, needs: Needs) -> None:
        if needs.flow_names:
            try:
                self.flows = await self.reader.flows()
            except PermissionDenied as error:
                message = f"flows that are written by name cannot be found: {error.problems[0].message}"
                hint = "give the token the scope flows.get, or write flows by their ids"
                raise PermissionDenied(message, hint=hint, status=403) from None

    async def look_up(self, needs: Needs) -> None:
        if needs.device_names or needs.device_ids:
            await self.census.look_up(ids=needs.device_ids, names=needs.device_names)

    async def resolution(self, queries: dict[str, frozenset[str]]) -> Resolution:
        resolution = resolve(self.rules, self.inventory(queries), today=self.today, ignored=self.excluded)
        if resolution.unknown and await self.census.try_to_name(resolution.unknown):
            # Once more with every name in hand, for the problems to tell which are near.
            resolution = resolve(self.rules, self.inventory(queries), today=self.today, ignored=self.excluded)
        if resolution.problems:
            raise ManifestError(resolution.problems)
        return resolution

    def inventory(self, queries: dict[str, frozenset[str]]) -> Inventory:
        flows: dict[str, tuple[str, ...]] = {}
        for flow in self.flows or ():
            if flow.name is not None:
                flows[flow.name] = (*flows.get(flow.name, ()), flow.id)
        return Inventory(self.census.devices, flows, queries, self.census.other_classes())

    async def pruned(self, resolution: Resolution, live: Live) -> Desired:
        setting, place = self.rules.prune, self.rules.prune_place
        if setting is Prune.OFF or place is None:
            return resolution.desired
        existing = None
        if setting is not Prune.DEVICES:  # there only declared devices lose rows, and those are checked like any
            candidates = {device_id for device_id, _ in omitted(resolution.desired, live, setting, resolution.flows)}
            try:
                existing = await self.census.existing(candidates)
            except PermissionDenied:
                message = f"not verified: existence of {counted_devices(len(candidates))} with undeclared rows"
                self.warnings.append(Warning(message, place, "the token needs the scope devices.get"))
        flows = resolution.flows
        return prune(resolution.desired, live, setting, flows=flows, place=place, existing=existing)


def _device_names(live: Live) -> dict[str, str]:
    return {device_id: device.name for device_id, device in live.devices.items() if device.name}


def _ids_named(live: Live, names: Collection[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    return frozenset(device_id for device_id, device in live.devices.items() if device.name in names)
