"""The keys that the framework adds to a response: always `_type`; `_etag`, `_links` and `_actions` for an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.api.collection import Entity, is_true
from reconciler.simulator.api.tokens import Token
from reconciler.simulator.world.records import etag


def present(body: Entity, action: Action, query: Mapping[str, Any], token: Token) -> Entity:
    """The response of a read with the framework's keys, also in the items of a collection.

    Flags in the query choose the keys. Absent, empty, `true`, `1` and `yes` mean true, all else false. `_embedded` has
    no effect: none of these entities embeds another.
    """
    if action.entity is None:
        return body
    flags = [name for name in ("_actions", "_links") if not query.get(name) or is_true(query[name])]
    answer = _decorate(body, action.entity, flags, token)
    if action.item is not None:
        answer["items"] = [_decorate(item, action.item, flags, token) for item in body["items"]]
    return answer


def _decorate(body: Entity, resource: str, flags: Sequence[str], token: Token) -> Entity:
    decorated = {**body, "_type": resource}
    if "id" in body:
        decorated["_etag"] = f'"{etag(body["id"], body.get("lastUpdated", ""))}"'
    # Every parameter of these paths is an id, so nothing needs encoding. Versions listed by name across workflows
    # have no flowId: paths that need it are omitted.
    if "_actions" in flags:
        decorated["_actions"] = {
            action.name.split(".")[1]: {"href": action.path.format_map(body), "method": action.method}
            for action in _allowed(resource, token)
            if body.keys() >= set(action.path_parameters)
        }
    if "_links" in flags:
        decorated["_links"] = {
            relation: {"href": action.path.format_map(body)}
            for relation, action in _related(resource).items()
            if body.keys() >= set(action.path_parameters)
        }
    return decorated


@lru_cache(maxsize=256)
def _allowed(resource: str, token: Token) -> list[Action]:
    """The resource's actions that the token permits."""
    return [action for action in ACTIONS if action.name.split(".")[0] == resource and token.may(action)]


@cache
def _related(resource: str) -> Mapping[str, Action]:
    """Actions by link relation: the entity itself, its application and its collection."""
    reads = {action.name: action for action in ACTIONS}
    related = {"self": resource, "application": "application", f"{resource}s": f"{resource}s"}
    return {relation: reads[f"{to}.get"] for relation, to in related.items() if f"{to}.get" in reads}


def definition() -> Entity:
    """The response to `GET /`: the resources and their actions."""
    resources: dict[str, Any] = {}
    for action in ACTIONS:
        resource, name = action.name.split(".")
        actions = resources.setdefault(resource, {"actions": {}})["actions"]
        actions[name] = {"method": action.method, "path": action.path}
    return {"name": "Losant API simulator", "version": "1.30.0", "resources": resources}
