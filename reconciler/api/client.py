"""The API client: implements `ports.Reader` and `ports.Writer` over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from reconciler.api.deployments import DeploymentPages
from reconciler.api.embedded import EmbeddedPages
from reconciler.api.http.connection import Connection
from reconciler.api.http.credentials import Token
from reconciler.api.http.failures import TokenRenewed, unreadable
from reconciler.api.http.request import ApiRequest, path
from reconciler.api.inventory import (
    DevicePages,
    FlowPages,
    PublishedPages,
    VersionPages,
    application_of,
    content_of,
)
from reconciler.api.pages import Page, PageRead, Pages
from reconciler.api.paging import read_all
from reconciler.api.queries import narrowings, of_class, queries
from reconciler.api.wire import Missing, Unreadable, parse_strictly
from reconciler.errors import IncompleteRead
from reconciler.model.requests import Request
from reconciler.model.state import (
    Application,
    Device,
    DeviceId,
    Flow,
    FlowId,
    Kind,
    Live,
    LiveDevice,
    Quiet,
    Read,
    Version,
)
from reconciler.model.versions import Content, Published
from reconciler.runtime import gather, turns

if TYPE_CHECKING:
    from reconciler.api.shapes import SuccessShape

PER_PAGE = 1000
PER_PAGE_OF_FLOWS = 100  # each includes all of its nodes, so a page of 1000 could be enormous

A = TypeVar("A")
T = TypeVar("T")


class WasRead(NamedTuple):
    """The deployments of an application were read: all, or those with a flow, or of a device."""

    application_id: str
    kind: Kind
    flow_id: FlowId | None
    device_id: DeviceId | None
    read: Read


class LosantApi:
    """One application's deployments of one kind. Several instances may share a connection."""

    def __init__(
        self,
        connection: Connection,
        *,
        token: Token,
        application_id: str,
        kind: Kind,
        was_read: Callable[[WasRead], None] | None = None,
        page_read: Callable[[PageRead], None] | None = None,
    ) -> None:
        self.connection = connection
        self._was_read = was_read
        self._page_read = page_read
        self.application_id = application_id
        self.kind = kind
        self._token = token
        self._deployments = f"{kind.value}Deployments"

    # ports.Reader

    async def application(self) -> Application:
        """The application's own record."""
        request = ApiRequest("application.get", "GET", self._path())
        answer = await self.connection.read(request, self._token)
        return _read(request, application_of, answer.body)

    async def live(
        self,
        *,
        flow_id: FlowId | None = None,
        device_id: DeviceId | None = None,
        evidence: bool = False,
        quiet: Quiet | None = None,
    ) -> Read:
        """Read every deployment record, or those with that flow, or that device's."""
        began = self.connection.clock.monotonic()
        params = {"flowId": flow_id, "deviceId": device_id}
        request = ApiRequest(
            f"{self._deployments}.get",
            "GET",
            self._path(self.kind.value, "deployments"),
            {key: value for key, value in params.items() if value is not None},
        )
        # For a single device the log is always wanted.
        pages = self._pages(keep_logs=device_id is not None, evidence=evidence, quiet=quiet)
        found = await self._listing(request, pages)
        devices = _read(request, pages.merged, found)
        live = _narrowed(devices, pages.flow_names, flow_id=flow_id, device_id=device_id)
        read = Read(live, began, self.connection.clock.monotonic(), pages.sent_at)
        if self._was_read:
            self._was_read(WasRead(self.application_id, self.kind, flow_id, device_id, read))
        return read

    def _pages(self, *, keep_logs: bool, evidence: bool = False, quiet: Quiet | None = None) -> DeploymentPages[Any]:
        if self.kind is Kind.EMBEDDED:
            return EmbeddedPages(keep_logs=keep_logs, evidence=evidence, quiet=quiet)
        from reconciler.api.edge import EdgePages

        return EdgePages(keep_logs=keep_logs, evidence=evidence)

    async def devices(
        self,
        *,
        ids: Collection[DeviceId] | None = None,
        names: Collection[str] | None = None,
        query: str | None = None,
        any_class: bool = False,
        deleted: bool = False,
    ) -> tuple[Device, ...]:
        """Devices sorted by id. `ids`, `names` and `query` all apply when given together."""
        device_class = None if any_class else self.kind.device_class
        ids, names = _distinct(ids), _distinct(names)
        pages = DevicePages()
        narrowed = narrowings(ids=ids, names=names, query=query)
        requests = [self._devices(of_class(one, device_class), deleted=deleted) for one in narrowed]
        answers = await gather(*(self._listing(request, pages) for request in requests))
        found = answers[0] if len(answers) == 1 else dict(sorted(item for one in answers for item in one.items()))
        classes = (None, device_class)  # the filters are applied again, in case the server ignores a query
        return tuple(
            [
                device
                for device in found.values()
                if (any_class or device.device_class in classes)
                and (ids is None or device.id in ids)
                and (names is None or device.name in names)
            ]
        )

    def _devices(self, query: str, *, deleted: bool = False) -> ApiRequest:
        params = {"query": query, "queryDeleted": "true"} if deleted else {"query": query}
        return ApiRequest("devices.get", "GET", self._path("devices"), params)

    async def device_count(self) -> int:
        """The number of devices of the kind's class."""
        request = self._devices(of_class(None, self.kind.device_class))
        return (await self._page(request, DevicePages(), number=0, per_page=1)).total

    async def flows(self) -> tuple[Flow, ...]:
        """Every flow of the kind's class, sorted by id. Without `flowClass` the API lists cloud flows only."""
        request = ApiRequest("flows.get", "GET", self._path("flows"), {"flowClass": self.kind.value})
        return tuple((await self._listing(request, FlowPages(), per_page=PER_PAGE_OF_FLOWS)).values())

    async def versions(self, flow_id: FlowId, *, names: Collection[Version] | None = None) -> tuple[Version, ...]:
        """Version names of a flow, sorted. Names are sent in the query, so they may contain any character."""
        names = _distinct(names)
        found = await self._versions(flow_id, names, VersionPages())
        return tuple(sorted({name for name in found if names is None or name in names}))

    async def published(self, flow_id: FlowId, *, names: Collection[Version] | None = None) -> tuple[Published, ...]:
        """Versions of a flow with their ids and dates, sorted by name."""
        names = _distinct(names)
        found = await self._versions(flow_id, names, PublishedPages())
        return tuple(sorted(one for one in found if names is None or one.version in names))

    async def _versions(self, flow_id: FlowId, names: Collection[Version] | None, pages: Pages[T]) -> list[T]:
        found: dict[str, T] = {}
        for query in queries("version", names) if names is not None else [None]:
            params = {"query": of_class(query, None)} if query else {}
            request = ApiRequest(
                "flowVersions.get",
                "GET",
                self._path("flows", flow_id, "versions"),
                params,
                remedy="check the flow's id, and that it belongs to this application",
            )
            found |= await self._listing(request, pages, per_page=PER_PAGE_OF_FLOWS)
        return [*found.values()]

    async def content(self, flow_id: FlowId, published: Published) -> Content:
        """What a version is. It is asked for by its id, since a name may be longer than a path may."""
        request = ApiRequest(
            "flowVersion.get",
            "GET",
            self._path("flows", flow_id, "versions", published.id),
            {"includeCustomNodes": "true"},
            remedy="check that the version still exists",
        )
        answer = await self.connection.read(request, self._token)
        content = _read(request, lambda body: content_of(body, flow_id=flow_id), answer.body)
        if (content.version, content.id) != (published.version, published.id):
            raise unreadable(request, "the response is about another version")
        return content

    async def record(self, deployment_id: str) -> Read:
        """Read the one deployment record with that id, its log included.

        An embedded record covers the whole device; an edge record covers one flow, given in `only_flow`.
        """
        request = ApiRequest(
            f"{self.kind.value}Deployment.get",
            "GET",
            self._path(self.kind.value, "deployments", deployment_id),
            remedy="check the deployment's id, and that it belongs to this application and kind",
        )
        began = self.connection.clock.monotonic()
        answer = await self.connection.read(request, self._token)
        pages = self._pages(keep_logs=True)
        record = _read(request, pages.one, answer.body)
        only_flow = record.flow_id if self.kind is Kind.EDGE else None
        live = Live(pages.merged({deployment_id: record}), pages.flow_names, only_flow)
        return Read(live, began, self.connection.clock.monotonic(), answer.sent_at)

    # ports.Writer

    async def send(self, request: Request) -> None:
        """Send one call, without retries."""
        await self._post(request.action, request.body)

    async def export(self, options: Mapping[str, object]) -> str | None:
        """Request compiled WASM; `options` is the Export body. Returns the job's id. Retried with a new token only."""
        with contextlib.suppress(TokenRenewed):
            return (await self._post("export", options)).jobId
        return (await self._post("export", options)).jobId

    async def _post(self, action: str, body: Mapping[str, object]) -> SuccessShape:
        request = ApiRequest(
            f"{self._deployments}.{action}",
            "POST",
            self._path(self.kind.value, "deployments", action),
            body=body,
            remedy="check that the flow and the version still exist, and that the token belongs to this application",
        )
        from reconciler.api.shapes import SuccessShape, shaped

        answer = await self.connection.once(request, self._token)
        shape = _read(request, lambda body: shaped(parse_strictly(body), SuccessShape), answer.body)
        if not shape.success:
            raise unreadable(request, "the response does not have success: true")
        return shape

    # Shared by both ports.

    def _path(self, *parts: str) -> str:
        return path("applications", self.application_id, *parts)

    async def _listing(self, request: ApiRequest, pages: Pages[T], *, per_page: int = PER_PAGE) -> dict[str, T]:
        listing = object()

        async def fetch(number: int, size: int) -> Page[T]:
            page = await self._page(request, pages, number=number, per_page=size)
            if self._page_read:
                self._page_read(PageRead(listing, number, len(page.ids), page.total))
            return page

        # Twice as many as may be in flight, so that the next pages are on their way while these are parsed.
        return await read_all(fetch, name=request.name, per_page=per_page, parallelism=2 * self.connection.parallelism)

    async def _page(self, request: ApiRequest, pages: Pages[T], *, number: int, per_page: int) -> Page[T]:
        """Fetch and parse one page."""
        paging = {"sortField": "id", "sortDirection": "asc", "page": str(number), "perPage": str(per_page)}
        request = request._replace(params={**request.params, **paging})
        answer = await self.connection.read(request, self._token)
        if number == 0:
            pages.sent_at = answer.sent_at
        await turns()
        return _read(request, pages.page, answer.body)


def _read(request: ApiRequest, read: Callable[[A], T], answer: A) -> T:
    """Parse a response with `read`; errors in the response are raised with the name of the request."""
    try:
        return read(answer)
    except Missing as error:
        hint = "an incomplete response is never used for planning"
        raise IncompleteRead(f"{request.name}: {error}", hint=hint) from None
    except Unreadable as error:
        raise unreadable(request, str(error)) from None


def _narrowed(
    devices: dict[DeviceId, LiveDevice],
    names: dict[FlowId, str],
    *,
    flow_id: FlowId | None,
    device_id: DeviceId | None,
) -> Live:
    """Keep only the requested flow or device, in case the server ignores a filter."""
    if device_id is not None:
        devices = {key: device for key, device in devices.items() if key == device_id}
    if flow_id is not None:
        devices = {key: _only(device, flow_id) for key, device in devices.items() if flow_id in device.flows}
        names = {key: name for key, name in names.items() if key == flow_id}
    return Live(devices, names, flow_id)


def _distinct(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _only(device: LiveDevice, flow_id: FlowId) -> LiveDevice:
    return device if len(device.flows) == 1 else device._replace(flows={flow_id: device.flows[flow_id]})
