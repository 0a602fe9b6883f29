"""Lists: one page of ids out of a table, its total, and the envelope around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.simulator.query import Sql
from reconciler.simulator.store import World

_LARGEST = 2**53


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


def page_of(world: World, params: Mapping[str, Any], *, sort_field: str, sort_direction: str, per_page: int) -> Page:
    """The page that the parameters ask for; the keywords are the defaults. An asked size of 0 is the default."""
    asked = int(params.get("perPage") or per_page) or per_page
    cap = world.switches.per_page_cap
    return Page(
        number=min(int(params.get("page") or 0), _LARGEST),
        per_page=min(asked, _LARGEST if cap is None else cap),
        sort_field=params.get("sortField", sort_field),
        sort_direction=params.get("sortDirection", sort_direction),
    )


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
