"""Lists: conditions, one page of a table in the requested order, and the envelope around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.simulator.api.problems import not_found
from reconciler.simulator.api.query import Field, compile_query
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.store import World

Params: TypeAlias = Mapping[str, Any]
_LARGEST, _MANY_DIGITS = 2**53, 16
_COLUMNS = {
    "id": "id",
    "creationDate": "created_ms",
    "lastUpdated": "updated_ms",
    "deletedAt": "deleted_ms",
    "name": "name",
    "version": "version",
    "connectionStatus": "connected",
    "deviceId": "device_id",
    "flowId": "flow_id",
    "desiredVersion": "released",
    "currentVersion": "reported",
}
"""Columns of the fields that lists sort and filter by."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted and how much of it makes a page, by default."""

    sort_field: str
    sort_direction: str
    per_page: int


EMBEDDED_ORDER = Order("lastUpdated", "desc", 1000)
EDGE_ORDER = Order("id", "asc", 100)
NAME_ORDER = Order("name", "asc", 100)
VERSION_ORDER = Order("version", "asc", 100)


class Where:
    """A condition that is built step by step; all of its parts must hold."""

    def __init__(self, text: str, *values: Any) -> None:
        self.text, self.values = text, values

    def also(self, text: str, *values: Any) -> None:
        """Add a part; the values are those of its question marks."""
        self.text, self.values = f"{self.text} and ({text})", (*self.values, *values)

    def also_query(self, query: Mapping[str, Any], fields: Mapping[str, Field]) -> None:
        """Add an advanced query."""
        found = compile_query(query, fields)
        self.also(found.text, *found.values)

    def also_filter(self, params: Params, field: str) -> None:
        """Add what `filterField` and `filter` say about a field, if anything."""
        if params.get("filterField") == field and params.get("filter"):
            self.also(f"casefold({_COLUMNS[field]}) glob ?", glob(params["filter"]))


def listing(
    world: World,
    params: Params,
    *,
    order: Order,
    table: str,
    where: Where,
    entities: Callable[[World, Sequence[str]], Sequence[Entity]],
    echo: Entity,
) -> Entity:
    """The page of a collection that the parameters ask for, with what it echoes of them.

    Equal values are ordered by id. A requested size of 0 means the default; the size that is used is echoed.
    """
    cap = world.switches.per_page_cap
    page = _number(params.get("page"))
    per_page = min(_number(params.get("perPage")) or order.per_page, _LARGEST if cap is None else cap)
    field, direction = params.get("sortField", order.sort_field), params.get("sortDirection", order.sort_direction)
    by = ", ".join(f"{column} {direction}" for column in dict.fromkeys((_COLUMNS[field], "id")))
    (total,) = world.db.execute(f"select count(*) from {table} where {where.text}", where.values).fetchone()
    found = world.db.execute(
        f"select id from {table} where {where.text} order by {by} limit ? offset ?",
        (*where.values, per_page, min(page * per_page, _LARGEST)),
    )
    items = entities(world, [own for (own,) in found])
    paging = {"perPage": per_page, "page": page, "sortField": field, "sortDirection": direction}
    return {"items": items, "count": len(items), "totalCount": total, **paging, **echo}


def echoed(params: Params, *names: str) -> Entity:
    """Those of the parameters that the request has."""
    return {name: params[name] for name in names if name in params}


def _number(digits: str | None) -> int:
    if not digits:
        return 0
    return int(digits) if len(digits) < _MANY_DIGITS else _LARGEST


def is_true(value: Any) -> bool:
    """How the framework reads a flag: only these texts are true, Python's `True` is not."""
    return value in ("true", "1", "yes")


def glob(text: str) -> str:
    """A `filter` as a SQLite GLOB pattern: `*` stands for anything, everything else for itself."""
    return "".join(f"[{char}]" if char in "[?" else char for char in text.casefold())


def the_one(found: Sequence[Entity], params: Params, thing: str) -> Entity:
    """The entity that was found, if it is in the application of the path.

    Raises:
        Problem: 404, naming the thing.
    """
    for entity in found:
        if entity["applicationId"] == params["applicationId"]:
            return entity
    raise not_found(thing)
