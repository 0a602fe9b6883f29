"""Collections: database rows as API entities, single or paged, without the keys that the framework adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.simulator.api.query import Sql, compile_query, every, matches
from reconciler.simulator.api.validation import not_found
from reconciler.simulator.world.clock import rfc3339
from reconciler.simulator.world.store import Row, World

Params: TypeAlias = Mapping[str, Any]
Entity: TypeAlias = Row
_LARGEST, _MANY_DIGITS = 2**53, 16
_DATES = ("creationDate", "lastUpdated", "deletedAt")


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of entities, and its default sort order.

    Attributes:
        key: the path parameter that identifies an entity, also the column of its id.
        thing: what error messages call an entity.
        rows: SQL for all entities with the API's field names; times are in milliseconds.
        complete: turns rows into entities in place; times are already converted to text.
    """

    key: str
    thing: str
    rows: str
    complete: Callable[[World, Params, list[Entity]], None] = lambda *_: None
    sort_field: str = "name"
    sort_direction: str = "asc"
    per_page: int = 100

    def read(self, world: World, params: Params, where: Sql, order: str = "id") -> list[Entity]:
        """The entities that match a condition."""
        found = world.rows(f"select * from ({self.rows}) where {where.text} order by {order}", where.values)
        for entity in found:
            entity.update((name, rfc3339(entity[name])) for name in _DATES if entity.get(name) is not None)
        self.complete(world, params, found)
        return found

    def get(self, world: World, params: Params) -> Entity:
        """The entity given in the path, if it is in the path's application and not deleted.

        Raises:
            Problem: 404.
        """
        where = Sql(f"{self.key} = ? and applicationId = ?", (params[self.key].lower(), params["applicationId"]))
        found = self.read(world, params, where)
        if not found or "deletedAt" in found[0]:
            raise not_found(self.thing)
        return found[0]

    def page(self, world: World, params: Params, conditions: Iterable[Sql], echo: Entity) -> Entity:
        """The requested page of the application's entities, with the echoed parameters.

        Ties are ordered by id. A requested size of 0 means the default; the size that is used is echoed.
        """
        cap = world.switches.per_page_cap
        page = _number(params.get("page"))
        per_page = min(_number(params.get("perPage")) or self.per_page, _LARGEST if cap is None else cap)
        per_page = world.switches.per_page_fixed or per_page
        field, direction = params.get("sortField", self.sort_field), params.get("sortDirection", self.sort_direction)
        column = "connected" if field == "connectionStatus" else field
        order = ", ".join(f"{name} {direction}" for name in dict.fromkeys((column, "id")))
        where = every([Sql("applicationId = ?", (params["applicationId"],)), *conditions])
        ids = f"select id from ({self.rows}) where {where.text}"
        # With a limit SQLite optimises the joins away, which it does not do for a plain count.
        (total,) = world.db.execute(f"select count(*) from ({ids} limit -1)", where.values).fetchone()
        found = Sql(
            f"id in ({ids} order by {order} limit ? offset ?)",
            (*where.values, per_page, min(page * per_page, _LARGEST)),
        )
        items = self.read(world, params, found, order)
        paging = {"perPage": per_page, "page": page, "sortField": field, "sortDirection": direction}
        return {"items": items, "count": len(items), "totalCount": total, **paging, **echo}


APPLICATIONS = Collection(
    "applicationId",
    "Application",
    "select id, id as applicationId, name, created_ms as creationDate, created_ms as lastUpdated from applications",
)


def selected(params: Params, field: str, *others: Sql) -> list[Sql]:
    """The conditions of the advanced query or, without one, of `filterField` and `filter` on a field and `others`."""
    if "query" in params:
        return [compile_query(params["query"])]
    is_filtered = params.get("filterField") == field and params.get("filter")
    return [*others, matches(field, params["filter"])] if is_filtered else list(others)


def echoed(params: Params, *names: str) -> Entity:
    """The named parameters that are in the request."""
    return {name: params[name] for name in names if name in params}


def _number(digits: str | None) -> int:
    if not digits:
        return 0
    return int(digits) if len(digits) < _MANY_DIGITS else _LARGEST


def is_true(value: Any) -> bool:
    """Interpret a flag like the framework: only these texts are true, Python's `True` is not."""
    return value in ("true", "1", "yes")


def connection_info(entity: Entity) -> Entity:
    """The connection info from the columns; `connected` is 1, 0, or null (without a time) for a device never seen."""
    connected, since_ms = entity.pop("connected"), entity.pop("connection_ms")
    return {"connected": connected} if since_ms is None else {"time": rfc3339(since_ms), "connected": connected}
