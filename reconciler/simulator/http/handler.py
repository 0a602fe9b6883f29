"""Handles a request in the framework's order: route, body, schema, token, scope, application, action.

Query strings are parsed like the framework does: repeated names make lists, brackets make lists and objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from reconciler.simulator.api.actions import ACTIONS, Action, Deploy
from reconciler.simulator.api.entities import definition, present
from reconciler.simulator.api.export import Job, enqueue
from reconciler.simulator.api.schemas import PATH_PARAMETERS, QUERIES
from reconciler.simulator.api.selection import Write
from reconciler.simulator.api.tokens import authorize, forbidden
from reconciler.simulator.api.validation import ABSENT, Problem, first_fault, invalid, not_found
from reconciler.simulator.api.writes import Fate, accept
from reconciler.simulator.http import openapi
from reconciler.simulator.world.store import World

_NOT_JSON = "error"
_DEEPEST, _MOST = 5, 1000
_OPEN: Mapping[str, Callable[[], Any]] = {"": definition, "/": definition, openapi.PATH: openapi.document}


@dataclass(frozen=True, slots=True)
class Request:
    """A received request. `path` is still percent-encoded; `authorization` is the header's value."""

    method: str
    path: str
    query: Mapping[str, Any]
    authorization: str | None
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, JSON body, and a job to run after it has been sent."""

    status: int
    body: Any
    job: Job | None = None


def read_query(text: str) -> dict[str, Any]:
    """`a=1&a=2&b[0][key]=x` becomes `{"a": ["1", "2"], "b": [{"key": "x"}]}`. Values are strings."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True)[:_MOST]:
        head, *keys = re.split(r"[\[\]]+", name.rstrip("]"))[:_DEEPEST]
        _put(root, [head, *keys], value)
    return {key: _lists(value) for key, value in root.items()}


def _put(node: dict[str, Any], keys: list[str], value: str) -> None:
    *above, last = keys
    for key in above:
        inner = node.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        node = inner
    if last == "":
        node[str(len(node))] = value
    elif last not in node:
        node[last] = value
    elif isinstance(node[last], list):
        node[last].append(value)
    else:
        node[last] = [node[last], value]


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() for key in node):
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}


def route(method: str, path: str) -> tuple[Action, dict[str, str]] | None:
    """The action for a method and path, with the path's parameters. One trailing slash is ignored."""
    segments = [unquote(segment) for segment in path.removesuffix("/").split("/")[1:]]
    for action in ACTIONS:
        if action.method == method and (found := action.match(segments)) is not None:
            return action, found
    return None


def answer(world: World, request: Request, fate: Fate) -> Answer:
    """Handle a request; errors are returned as responses too. The caller must hold the world's lock."""
    try:
        return _answer(world, request, fate)
    except Problem as problem:
        return Answer(problem.status, problem.envelope)


def _answer(world: World, request: Request, fate: Fate) -> Answer:
    if request.method == "GET" and request.path in _OPEN:
        return Answer(200, _OPEN[request.path]())
    found = route(request.method, request.path)
    if found is None:
        raise Problem(405, "MethodNotAllowed", f"{request.method} is not allowed")
    action, path_params = found
    params = {**path_params, **_query_params(request, action)}
    body = _body(request) if action.body else ABSENT
    _check(action, params, body)
    token = authorize(world, action, request.query, request.authorization)
    own = params["applicationId"] = params["applicationId"].lower()
    if not world.rows("select 1 from applications where id = ?", (own,)):
        raise not_found("Application")
    if token.application_id not in (None, own):
        raise forbidden()
    if not isinstance(action.does, Deploy):
        return Answer(action.status, present(action.does(world, params), action, request.query, token))
    if action.does.verb == "export":
        job = enqueue(world, own, {} if body is ABSENT else body)
        return Answer(action.status, {"jobQueued": True, "jobId": job.id, "success": True}, job)
    write = Write(action.does.kind, action.does.verb, own, cast("Mapping[str, Any]", body), token.author)
    accept(world, write, fate)
    return Answer(int(world.switches.write_status), {"success": True})


def _query_params(request: Request, action: Action) -> dict[str, Any]:
    params = {name: request.query[name] for name in action.query if name in request.query}
    for name in action.json_params.keys() & request.query.keys():
        try:
            params[name] = _parsed(request.query[name])
        except (TypeError, ValueError, RecursionError):
            params[name] = _NOT_JSON
    return params


def _body(request: Request) -> Any:
    """The parsed body, its text if the content type is not JSON, or ABSENT."""
    if not request.body:
        return ABSENT
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        return request.body.decode("utf-8", errors="replace")
    try:
        return _parsed(request.body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "InvalidContent", f"Invalid JSON: {error}") from error


def _parsed(text: Any) -> Any:
    return _well_formed(json.loads(text, parse_constant=_refuse_constant))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _well_formed(value: Any) -> Any:
    """Replace lone surrogates, which JSON can express but UTF-8 cannot, by replacement characters."""
    match value:
        case str() if not value.isascii():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_well_formed(item) for item in value]
        case dict():
            return {_well_formed(key): _well_formed(item) for key, item in value.items()}
        case _:
            return value


def _check(action: Action, params: Mapping[str, Any], body: Any) -> None:
    rules = {name: PATH_PARAMETERS[name] for name in action.path_parameters} | {**action.query, **action.json_params}
    for name, schema in rules.items():
        if fault := first_fault(params.get(name, ABSENT), schema, name, QUERIES):
            raise invalid(fault)
    if action.body is None:
        return
    name, schema = action.body
    if body is ABSENT and schema["required"]:
        raise invalid(f"{name} is required")
    if fault := first_fault(body, schema, name):
        raise invalid(fault)
