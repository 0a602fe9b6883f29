"""The reads that a set of rules needs, sent concurrently: deployments, the device list, flows, queries."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.discovery.device_index import DeviceIndex
from reconciler.discovery.flows import flows_to_name
from reconciler.errors import ManifestError, PermissionDenied, RequestRefused
from reconciler.model.plan import Warning
from reconciler.model.rollout import quiet_of
from reconciler.model.rules import Prune, Rules
from reconciler.model.state import Application, DeviceId, Flow, FlowId, Place, Read
from reconciler.model.text import is_id
from reconciler.planner.resolution.selector import Needs
from reconciler.ports import Reader
from reconciler.runtime import gather


class Extent(NamedTuple):
    """The rows of an application to read; a world of this extent contains no others.

    `flow`: an alias, id or name. The listing is restricted to that flow (`Live.only_flow`) if its id is known without
    reading more than the rules need; otherwise everything is read. `devices`: the ids of the only devices needed;
    `read` is then the read of them. `evidence`: read what rollouts are judged by, even if there are none.
    """

    flow: str | None = None
    devices: frozenset[DeviceId] | None = None
    read: Read | None = None
    evidence: bool = False


EVERYTHING = Extent()


class Reads:
    """What has been read of one application and kind: `index` of devices, and `flows` if they were listed.

    `warnings`: what could not be read.
    """

    def __init__(self, rules: Rules, reader: Reader, extent: Extent) -> None:
        self.rules = rules
        self.reader = reader
        self.extent = extent
        self.index = DeviceIndex(reader, rules.kind)
        self.flows: tuple[Flow, ...] | None = None
        self.warnings: list[Warning] = []

    @property
    def has_rollouts(self) -> bool:
        """Whether rollouts are to be judged; for that, all devices are needed."""
        return bool(self.rules.policies_in_use) and self.extent.devices is None

    async def application(self) -> Application:
        """The application. Its name is read, before anything else, only if the manifest gives one to compare."""
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
            hint = "check that the id and the name belong to the same environment"
            raise ManifestError([wanted.place.problem(message, hint)])
        return found

    async def read(self, needs: Needs) -> tuple[Read, dict[str, frozenset[str]]]:
        """Read concurrently: deployments, the device list, flows, queries.

        With pruning, queries are sent after the deployments were read. A device created between the two would else
        have rows that nothing declares, because the query was answered too early to select it.
        """
        live = self._live(await self._only_flow(needs))
        if self.rules.prune is not Prune.OFF and needs.queries:
            live = _known(await live)
        read, _, _, *selected = await gather(
            live,
            self._list_devices(needs),
            self._list_flows(needs),
            *(self._selected(query, needs.queries[query]) for query in sorted(needs.queries)),
        )
        return read, dict(zip(sorted(needs.queries), selected, strict=True))

    async def _selected(self, query: str, place: Place) -> frozenset[DeviceId]:
        """The devices that a query selects. A query that the API rejects is an error in the manifest."""
        try:
            return await self.index.query(query)
        except RequestRefused as error:
            message = f"the API rejects this query: {error.problems[0].message}"
            hint = "see Losant's documentation of advanced device queries"
            raise ManifestError([place.problem(message, hint)]) from None

    async def _live(self, flow_id: FlowId | None) -> Read:
        evidence = self.extent.evidence or self.has_rollouts
        quiet = quiet_of(self.rules) if self.has_rollouts and not self.extent.evidence else None
        return self.extent.read or await self.reader.live(flow_id=flow_id, evidence=evidence, quiet=quiet)

    async def _only_flow(self, needs: Needs) -> FlowId | None:
        """The id of the extent's flow, if there is one and its id can be found. A rollout is judged as a whole."""
        if self.extent.flow is None or self.has_rollouts:
            return None
        alias = self.rules.aliases.get(self.extent.flow)
        text = alias.text if alias else self.extent.flow
        if is_id(text):
            return text.lower()
        await self._list_flows(needs)
        ids = [flow.id for flow in self.flows or () if flow.name == text]
        return ids[0] if len(ids) == 1 else None

    async def _list_devices(self, needs: Needs) -> None:
        if needs.listing:
            await self.index.list_all()

    async def _list_flows(self, needs: Needs) -> None:
        if needs.flow_names and self.flows is None:
            self.flows = await flows_to_name(self.reader)


async def _known(read: Read) -> Read:
    return read
