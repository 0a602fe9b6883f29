"""The simulator's API as an OpenAPI 3.1 document, generated from `ACTIONS`, the field tables and `entities.yaml`.

OpenAPI cannot express two things. A parameter that takes a list of objects in brackets is described for the first two
items only; and the 405 for unknown paths and methods does not belong to any operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.api.schemas import PATH_PARAMETERS, QUERIES, TEXT
from reconciler.simulator.api.validation import Schema

PATH = "/openapi.json"
Node: TypeAlias = dict[str, Any]
_REFUSALS = {
    400: ("invalid", "The request violates its schema, or cannot be carried out"),
    401: ("error", "The token is unknown or has expired"),
    403: ("error", "No token, or a token without the required scope"),
    404: ("error", "Something that the request refers to does not exist"),
    405: ("error", "A path parameter is too long"),
}
_FLAGS = {
    "_actions": "Whether entities list the actions that the token permits",
    "_links": "Whether entities link to related ones",
    "_embedded": "No effect",
}
_FLAG_WORDS = "Absent, empty, `true`, `1` and `yes` mean true; everything else means false."


@cache
def document() -> Mapping[str, Any]:
    """The document, as JSON data."""
    entities = yaml.safe_load(Path(__file__).with_name("entities.yaml").read_text(encoding="utf-8"))
    schemas = {name: schema for name, schema in entities.items() if not name.startswith("_")} | QUERIES
    paths: Node = {}
    for action in ACTIONS:
        paths.setdefault(action.path, {})[action.method.lower()] = _operation(action)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Losant API, as the simulator serves it", "version": "1.30.0"},
        "paths": paths,
        "components": {
            "schemas": _plain(schemas),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(action: Action) -> Node:
    refusals = _REFUSALS | ({429: ("error", "Too soon after the previous export")} if action.answer == "job" else {})
    operation: Node = {
        "operationId": action.name,
        "tags": [action.name.partition(".")[0]],
        "parameters": list(_parameters(action)),
        "responses": {
            **{status: _response(action.answer, words) for status, words in _successes(action).items()},
            **{str(status): _response(*words) for status, words in refusals.items()},
        },
    }
    if action.body is not None:
        name, schema = action.body
        operation["requestBody"] = {
            "description": name,
            "required": bool(schema["required"]),
            "content": {"application/json": {"schema": _plain(schema)}},
        }
    return operation


def _successes(action: Action) -> dict[str, str]:
    if action.answer == "success":
        return {"201": "Accepted", "202": "Accepted for processing"}
    return {str(action.status): "Done" if action.status == 200 else "Accepted"}


def _parameters(action: Action) -> Iterator[Node]:
    for name in action.path_parameters:
        yield {"name": name, "in": "path", "required": True, "schema": _plain(PATH_PARAMETERS[name])}
    for name, schema in action.query.items():
        yield from _query_parameter(name, schema)
    for name, schema in action.json_params.items():
        content = {"application/json": {"schema": _plain(schema)}}
        yield {"name": name, "in": "query", "required": False, "content": content}
    for name, words in _FLAGS.items():
        yield {"name": name, "in": "query", "description": f"{words}. {_FLAG_WORDS}", "schema": TEXT}


def _query_parameter(name: str, schema: Schema) -> Iterator[Node]:
    if schema.get("type") == "array":
        for index in range(2):
            for key, rule in schema["items"]["properties"].items():
                yield {"name": f"{name}[{index}][{key}]", "in": "query", "required": False, "schema": _plain(rule)}
        return
    rule = {key: value for key, value in schema.items() if key != "required"}
    yield {"name": name, "in": "query", "required": schema.get("required") is True, "schema": _plain(rule)}


def _response(schema: str, words: str) -> Node:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": words, "content": content}


def _plain(schema: Any) -> Any:
    """A copy whose references point to components."""
    match schema:
        case {"$ref": str(name)}:
            return {"$ref": f"#/components/schemas/{name}"}
        case Mapping():
            return {key: _plain(value) for key, value in schema.items()}
        case list():
            return [_plain(item) for item in schema]
        case _:
            return schema
