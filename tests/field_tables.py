"""What is sent and what is answered, held against two tables: the document that the simulator publishes, and the facts
of the schemas that the vendor publishes. Both are applied by a validator that is not the simulator's own.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import httpx
from jsonschema_rs import Draft202012Validator

from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.http.handler import route
from reconciler.simulator.http.openapi import document
from tests.vendor.facts import SCHEMAS, schema_of_body, validator

_ACTIONS = {action.name: action for action in ACTIONS}
_PUBLISHED = {"job": "jobEnqueuedResult", "invalid": "error"}


def action_of(method: str, target: str) -> Action | None:
    """The action that a request means; the target may have a query string."""
    found = route(method, target.partition("?")[0])
    return found[0] if found else None


def check_answer(action: str, status: int, body: Any, *, strict: bool = True) -> None:
    """Fail unless a body is what the action answers with this status; an unknown action can only be refused.

    Without `strict` fields may be missing or unknown, which the published tables allow.
    """
    refusal = "invalid" if status == 400 and strict else "error"
    name = _ACTIONS[action].answer if status < 300 else refusal
    _entity(name, strict=strict).validate(body)
    published = _PUBLISHED.get(name, name)
    if published in SCHEMAS and not _has_tags_as_object(body):
        validator(published).validate(body)


def check_request(method: str, target: str, body: bytes) -> None:
    """Fail unless an action declares this request: its path, each parameter with its value, and the body."""
    action = action_of(method, target)
    assert action is not None, f"no action has {method} {target}"
    operation = document()["paths"][action.path][method.lower()]
    declared = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
    sent = parse_qsl(target.partition("?")[2], keep_blank_values=True, strict_parsing="?" in target)
    assert len({name for name, _ in sent}) == len(sent), f"a parameter is sent twice: {sent}"
    for name, text in sent:
        assert name in declared, f"{action.name} has no parameter {name}"
        parameter = declared[name]
        as_json = "content" in parameter
        schema = parameter["content"]["application/json"]["schema"] if as_json else parameter["schema"]
        _validator(schema).validate(json.loads(text) if as_json else text)
        if as_json and action.name.startswith("devices."):
            validator("advancedDeviceQuery").validate(json.loads(text))
        assert not name.startswith("_") or text in ("true", "false")
    missing = [name for name, one in declared.items() if one.get("required") and name not in dict(sent)]
    assert not missing, f"{action.name} needs {missing}"
    if "requestBody" in operation:
        assert body or not operation["requestBody"]["required"]
        content = json.loads(body or b"{}")
        _validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(content)
        validator(schema_of_body(action.name)).validate(content)
    else:
        assert not body, f"{action.name} takes no body"


class CheckedTransport(httpx.AsyncHTTPTransport):
    """A way to the simulator on which every request and every answer is held against the tables."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request that an action declares, and return an answer that it may give."""
        target = request.url.raw_path.decode()
        check_request(request.method, target, request.content)
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Authorization"].startswith("Bearer ")
        assert ("Content-Type" in request.headers) == bool(request.content)
        answer = await super().handle_async_request(request)
        body = await answer.aread()
        action = action_of(request.method, target)
        assert action is not None
        check_answer(action.name, answer.status_code, json.loads(body))
        return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)


def _has_tags_as_object(body: Any) -> bool:
    """No schema of the vendor knows the form that the parameters `tagsAsObject` and `attributesAsObject` ask for."""
    return any(
        isinstance(one.get(key), dict) for one in (body, *body.get("items", [])) for key in ("tags", "attributes")
    )


@cache
def _entity(name: str, *, strict: bool) -> Draft202012Validator:
    components = document()["components"] if strict else _loosened(document()["components"])
    return Draft202012Validator({"components": components, "$ref": f"#/components/schemas/{name}"})


def _validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator({"allOf": [schema], "components": document()["components"]})


def _loosened(node: Any) -> Any:
    match node:
        case dict():
            strict = {"required", "additionalProperties"}
            return {key: _loosened(value) for key, value in node.items() if key not in strict}
        case list():
            return [_loosened(one) for one in node]
        case _:
            return node
