"""What the framework adds to an answer: `_type` always; `_etag`, `_links` and `_actions` around an entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reconciler.simulator.api.actions import ACTIONS, Action
from reconciler.simulator.api.pages import is_true
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.api.tokens import Token
from reconciler.simulator.world.ids import etag

_PARENTS = {
    "embeddedDeployment": "embeddedDeployments",
    "edgeDeployment": "edgeDeployments",
    "device": "devices",
    "flow": "flows",
    "flowVersion": "flowVersions",
}


@dataclass(frozen=True, slots=True)
class Flags:
    """What the client wants around entities. Absent or empty means yes; so do `true`, `1` and `yes`, nothing else.

    `_embedded` is read and has no effect: none of these entities embeds another.
    """

    actions: bool
    links: bool

    @classmethod
    def of(cls, query: Mapping[str, Any]) -> Flags:
        """The flags of a request."""
        return cls(*(not query.get(name) or is_true(query[name]) for name in ("_actions", "_links")))


def present(body: Entity, action: Action, flags: Flags, token: Token) -> Entity:
    """The answer of a read with the framework's keys, items of a collection included."""
    if action.entity is None:
        return body
    answer = _dress(body, action.entity, flags, token)
    if action.item is not None:
        answer["items"] = [_dress(item, action.item, flags, token) for item in body["items"]]
    return answer


def _dress(body: Entity, resource: str, flags: Flags, token: Token) -> Entity:
    dressed = {**body, "_type": resource}
    if "id" in body:
        dressed["_etag"] = f'"{etag(body["id"], body.get("lastUpdated", ""))}"'
    # Every parameter of these paths is an id, so nothing needs encoding. The versions of one name across workflows
    # have no flowId: paths that need it are left out.
    if flags.actions:
        dressed["_actions"] = {
            name: {"href": path.format_map(body), "method": method}
            for name, path, method, needs in _allowed(resource, token)
            if needs <= body.keys()
        }
    if flags.links:
        dressed["_links"] = {
            rel: {"href": path.format_map(body)} for rel, path, needs in _links(resource) if needs <= body.keys()
        }
    return dressed


@lru_cache(maxsize=256)
def _allowed(resource: str, token: Token) -> tuple[tuple[str, str, str, frozenset[str]], ...]:
    """Name, path, method and path parameters of the resource's actions that the token may do."""
    return tuple(
        (action.name.split(".")[1], action.path, action.method, _parameters(action.path))
        for action in ACTIONS
        if action.name.split(".")[0] == resource and token.may(action)
    )


@lru_cache(maxsize=64)
def _links(resource: str) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Relation, path and path parameters."""
    paths = {action.name.removesuffix(".get"): action.path for action in ACTIONS if action.name.endswith(".get")}
    links = {"self": paths[resource], "application": paths["application"]}
    if resource in _PARENTS:
        links[_PARENTS[resource]] = paths[_PARENTS[resource]]
    return tuple((rel, path, _parameters(path)) for rel, path in links.items())


def _parameters(path: str) -> frozenset[str]:
    return frozenset(part[1:-1] for part in path.split("/") if part.startswith("{"))


def definition() -> Entity:
    """What `GET /` tells: the resources and actions that are there."""
    resources: dict[str, Any] = {}
    for action in ACTIONS:
        resource, name = action.name.split(".")
        own = resources.setdefault(resource, {"actions": {}})
        own["actions"][name] = {"method": action.method, "path": action.path}
    return {"name": "Losant API simulator", "version": "1.30.0", "resources": resources}
