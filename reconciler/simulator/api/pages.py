"""Lists: conditions, one page of ids out of a table, its total, and the envelope around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.simulator.api.problems import not_found
from reconciler.simulator.api.query import Sql
from reconciler.simulator.api.shapes import Entity
from reconciler.simulator.world.store import World

Params: TypeAlias = Mapping[str, Any]
_LARGEST, _MANY_DIGITS = 2**53, 16
COLUMNS = {
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
    """How a list is sorted and how much of it makes a page, unless the request says so itself."""

    sort_field: str
    sort_direction: str
    per_page: int


EMBEDDED_ORDER = Order("lastUpdated", "desc", 1000)
EDGE_ORDER = Order("id", "asc", 100)
NAME_ORDER = Order("name", "asc", 100)
VERSION_ORDER = Order("version", "asc", 100)


@dataclass(slots=True)
class Where:
    """A condition that grows; `also` adds to it."""

    text: str
    values: tuple[Any, ...]

    def also(self, text: str, *values: Any) -> None:
        """And this; its question marks stand for the values."""
        self.text = f"{self.text} and {text}"
        self.values += values

    @property
    def sql(self) -> Sql:
        """The whole of it."""
        return Sql(self.text, self.values)


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of what order. `per_page` is what the server grants, which it echoes."""

    number: int
    per_page: int
    sort_field: str
    sort_direction: str

    def envelope(self, items: Sequence[Mapping[str, Any]], total: int) -> dict[str, Any]:
        """The fields that all collections share."""
        return {
            "items": items,
            "count": len(items),
            "totalCount": total,
            "perPage": self.per_page,
            "page": self.number,
            "sortField": self.sort_field,
            "sortDirection": self.sort_direction,
        }


def page_of(world: World, params: Params, order: Order) -> Page:
    """The page that the parameters ask for. An asked size of 0 is the default."""
    asked = _number(params.get("perPage")) or order.per_page
    cap = world.switches.per_page_cap
    return Page(
        number=_number(params.get("page")),
        per_page=min(asked, _LARGEST if cap is None else cap),
        sort_field=params.get("sortField", order.sort_field),
        sort_direction=params.get("sortDirection", order.sort_direction),
    )


def _number(digits: str | None) -> int:
    if not digits:
        return 0
    return int(digits) if len(digits) < _MANY_DIGITS else _LARGEST


def page_ids(world: World, table: str, where: Sql, page: Page, column: str) -> tuple[list[str], int]:
    """The ids on a page, in order, and how many there are on all pages. Equal values are ordered by id."""
    (total,) = world.db.execute(f"select count(*) from {table} where {where.text}", where.values).fetchone()
    order = f"{column} {page.sort_direction}" + ("" if column == "id" else f", id {page.sort_direction}")
    found = world.db.execute(
        f"select id from {table} where {where.text} order by {order} limit ? offset ?",
        (*where.values, page.per_page, min(page.number * page.per_page, _LARGEST)),
    )
    return [own for (own,) in found], total


def glob(text: str) -> str:
    """A `filter` as a SQLite GLOB pattern: `*` stands for anything, everything else for itself."""
    return "".join(f"[{char}]" if char in "[?" else char for char in text.casefold())


def filter_text(params: Params, where: Where, field: str) -> None:
    """What `filterField` and `filter` say about a field, if they do."""
    if params.get("filterField") == field and params.get("filter"):
        where.also(f"casefold({COLUMNS[field]}) glob ?", glob(params["filter"]))


def the_one(found: Sequence[Entity], params: Params, thing: str) -> Entity:
    """The entity that was found, if it is in the application of the path.

    Raises:
        Problem: 404, naming the thing.
    """
    for entity in found:
        if entity["applicationId"] == params["applicationId"]:
            return entity
    raise not_found(thing)
