"""The ASGI application: handles requests, injects faults, and logs requests."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from reconciler.simulator import faults
from reconciler.simulator.api.export import Job, deliver
from reconciler.simulator.api.writes import Fate, bring_up_to_date
from reconciler.simulator.control import Control
from reconciler.simulator.faults import Fault
from reconciler.simulator.http.commands import carry_out
from reconciler.simulator.http.handler import Answer, Request, answer, read_query, route
from reconciler.simulator.http.replies import JSON, Reply, abort, damage_page, garbled, refusal, send_reply
from reconciler.simulator.world.clock import http_date
from reconciler.simulator.world.devices import report_again
from reconciler.simulator.world.shifts import shift

CONTROL: Final = "/_simulator/"
_LOG = logging.getLogger(__name__)
_SECRET_PARAMS = frozenset({"access_token", "jwt"})


class Simulator:
    """The ASGI application. The server stores the protocols of its open connections in `connections`."""

    def __init__(self, control: Control, outbox: Path) -> None:
        self.control = control
        self.world = control.world
        self.outbox = outbox
        self.connections: set[Any] = set()
        self._jobs = ThreadPoolExecutor(thread_name_prefix="export")
        self._in_flight = 0

    def close(self) -> None:
        """Wait for the running export job; start no other."""
        self._jobs.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        http = HttpRequest(scope, receive)
        try:
            body = await http.body()
        except ClientDisconnect:
            return
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
        if problem := _of_a_page(http, path):
            envelope = {"type": "Forbidden", "message": problem}
            await send_reply(self._dated(Reply(403, json.dumps(envelope).encode(), JSON)), send, None)
            return
        if path.startswith(CONTROL):
            await send_reply(self._dated(await self._control(http, path, body)), send, None)
            return
        query, headers = read_query(scope["query_string"].decode("latin-1")), http.headers
        content_type = headers.get("content-type", "")
        request = Request(http.method, path, query, headers.get("authorization"), content_type, body)
        await self._serve(request, scope, send)

    async def _control(self, http: HttpRequest, path: str, body: bytes) -> Reply:
        if http.client is None or not ipaddress.ip_address(http.client.host).is_loopback:
            return Reply(403, b"")
        command = path.removeprefix(CONTROL).removesuffix("/")
        status, said = await run_in_threadpool(carry_out, self.control, command, method=http.method, body=body)
        return Reply(status, f"{json.dumps(said)}\n".encode(), JSON)

    async def _serve(self, request: Request, scope: Scope, send: Send) -> None:
        found = route(request.method, request.path)
        action = found[0].name if found else ""
        struck = self._strike(request, action)
        self._in_flight += 1
        in_flight = self._in_flight
        try:
            await asyncio.sleep(_seconds(struck, faults.Latency))
        finally:
            self._in_flight -= 1
        reply, job = self._outcome(request, struck)
        self._log(request, action, struck, None if reply is None else reply.status, in_flight)
        transport = next((one.transport for one in self.connections if one.client == scope["client"]), None)
        if reply is None:
            abort(transport)
        else:
            await send_reply(self._dated(reply, struck), send, transport)
        if job is not None:
            await asyncio.get_running_loop().run_in_executor(self._jobs, deliver, self.world, job, self.outbox)

    def _dated(self, reply: Reply, struck: tuple[Fault, ...] = ()) -> Reply:
        """The reply with a `Date` header: the simulated time, or what a fault makes of it."""
        fault = next((fault for fault in struck if isinstance(fault, faults.Date)), faults.Date())
        if fault.absent:
            return reply
        text = http_date(self.world.clock.now_ms() + round(fault.seconds * 1000)) if fault.text is None else fault.text
        return replace(reply, headers={"Date": text, **reply.headers})

    def _outcome(self, request: Request, struck: tuple[Fault, ...]) -> tuple[Reply | None, Job | None]:
        """The reply, or None for a reset; and the job to run after it has been sent."""
        resets = {fault.after_effect for fault in struck if isinstance(fault, faults.Reset)}
        if False in resets:
            return None, None
        instead = next((fault for fault in struck if isinstance(fault, faults.Status | faults.Redirect)), None)
        if instead is None:
            given = self._answer(request, struck)
            reply, job = _reply(given, struck), given.job
        else:
            reply, job = refusal(instead, request.authorization), None
        if resets:
            return None, job
        headers_s, body_s = _seconds(struck, faults.SlowHeaders), _seconds(struck, faults.SlowBody)
        return replace(reply, slow_headers_s=headers_s, slow_body_s=body_s), job

    def _strike(self, request: Request, action: str) -> tuple[Fault, ...]:
        texts = {name: text for name, text in request.query.items() if isinstance(text, str)}
        with self.world.lock:
            return self.world.faults.striking(action=action, method=request.method, path=request.path, query=texts)

    def _answer(self, request: Request, struck: tuple[Fault, ...]) -> Answer:
        fate = Fate(
            delay_ms=round((self.world.switches.effect_delay_s + _seconds(struck, faults.Late)) * 1000),
            is_lost=any(isinstance(fault, faults.Lost) for fault in struck),
            is_halved=any(isinstance(fault, faults.Partial) for fault in struck),
        )
        with self.world.lock:
            bring_up_to_date(self.world)
            for fault in struck:
                match fault:
                    case faults.Reports():
                        report_again(self.world, fault.devices)
                    case faults.Shift():
                        shift(self.world, fault, request.path)
            try:
                return answer(self.world, request, fate)
            except Exception:  # noqa: BLE001 - a bug in the simulator is reported, and the server goes on
                _LOG.exception("internal error in the simulator at %s %s", request.method, request.path)
                return Answer(500, {"type": "Error", "message": "Internal error in the simulator"})

    def _log(
        self, request: Request, action: str, struck: tuple[Fault, ...], status: int | None, in_flight: int
    ) -> None:
        query = {name: value for name, value in request.query.items() if name not in _SECRET_PARAMS}
        entry = {"method": request.method, "path": request.path, "action": action, "query": query}
        names = tuple(fault.kind for fault in struck)
        with self.world.lock:
            seen = {"body": _loggable(request.body), "status": status, "faults": names, "in_flight": in_flight}
            self.control.log.append({**entry, **seen})


def _of_a_page(http: HttpRequest, path: str) -> str | None:
    """Why a request may be that of a web page, which must not reach this machine's port, or None."""
    if not _is_loopback(http.headers.get("host", "")):
        return "the simulator is for this machine only: the Host must be 127.0.0.1, [::1] or localhost"
    if "origin" in http.headers:
        return "the simulator does not serve web pages: a request must have no Origin"
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if http.method == "POST" and path.startswith(CONTROL) and kind != "application/json":
        return "a command is sent as JSON, with the Content-Type application/json"
    return None


def _is_loopback(host: str) -> bool:
    """Whether a Host header, which may have a port, names this machine."""
    name = re.sub(r":\d*$", "", host).removeprefix("[").removesuffix("]")
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _reply(given: Answer, struck: tuple[Fault, ...]) -> Reply:
    body = json.dumps(damage_page(given.body, struck), ensure_ascii=False, separators=(",", ":")).encode()
    garble = next((fault for fault in struck if isinstance(fault, faults.Garble)), None)
    return garbled(given.status, body, garble.how) if garble else Reply(given.status, body, JSON)


def _seconds(struck: tuple[Fault, ...], kind: type[faults.Timed]) -> float:
    return sum(fault.seconds for fault in struck if isinstance(fault, kind))


def _loggable(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except (ValueError, RecursionError):
        return body.decode("utf-8", errors="replace")
