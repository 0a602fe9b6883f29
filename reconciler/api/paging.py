"""Listings: every record or an error.

Pages are requested by id, ascending, and fetched concurrently once the first has said how many there are. Records are
counted once per id. Whatever is missing, moves, or does not add up ends in an error, never in a shorter list.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from reconciler.api.wire import Missing, Shape, Unreadable, envelope, parse_quickly, parse_strictly, shaped
from reconciler.errors import IncompleteRead
from reconciler.model.text import is_id
from reconciler.runtime import gc_paused

MAX_RECORDS = 10_000_000  # a larger total is not believed: it would be an endless read
REREADS = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: the total and page size that it claims, and its records as `(record id, value)`."""

    total: int
    per_page: int | None
    records: list[tuple[str, T]]


class Pages(ABC, Generic[T]):
    """Reads the records of one listing, page by page."""

    shape: ClassVar[type[Shape]]

    @abstractmethod
    def record(self, item: Any) -> tuple[str, T]:
        """A record's id and value. Whatever exception of `_ODD` it raises, `shape` then says what is wrong."""

    def page(self, body: bytes) -> Page[T]:
        """The records of one page.

        Raises:
            Missing: a record that does not say what it is about.
            Unreadable: anything else that is not as the API sends it.
        """
        with gc_paused():
            items, total, per_page = envelope(parse_quickly(body))
            records = []
            for number, item in enumerate(items):
                try:
                    records.append(self.record(item))
                except _ODD:
                    raise _explained(item, number, self.shape) from None
            return Page(total, per_page, records)

    def one(self, body: bytes) -> T:
        """The record that is the whole answer.

        Raises:
            Missing, Unreadable: as for `page`.
        """
        item = parse_strictly(body)
        try:
            return self.record(item)[1]
        except _ODD:
            raise _explained(item, 0, self.shape) from None


_ODD = (AttributeError, KeyError, TypeError, Unreadable)


def _explained(item: object, number: int, shape: type[Shape]) -> Unreadable:
    """What is wrong with a record, by the shape that it should have; names the record as well as possible."""
    if not isinstance(item, dict):
        return Unreadable(f"record {number} is not an object")
    for key in shape.identity:
        if item.get(key) is None:
            return Missing(f"record {number} has no {key}")
    device_id = item.get("deviceId")
    place = f"record {number}" + (f" (device {device_id})" if isinstance(device_id, str) and is_id(device_id) else "")
    try:
        shaped(item, shape)
    except Unreadable as error:
        return Unreadable(f"{place}: {error}")
    return Unreadable(f"{place} is not as the API sends it")


Fetch = Callable[[int, int], Awaitable[Page[T]]]


class _Moved(Exception):
    """The listing is not what the first page said: the total changed, or the page size."""

    def __init__(self, why: str, per_page: int) -> None:
        self.why = why
        self.per_page = per_page
        super().__init__(why)


async def read_all(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    """Every record by its id, in the order of ids. `fetch(page, per_page)` reads one page.

    Raises:
        IncompleteRead: the pages do not add up; `name` is the listing's.
        ApiError: as `fetch` raises it; of several, that of the lowest page.
    """
    why = ""
    for _ in range(REREADS + 1):
        try:
            found = await _read_once(fetch, name=name, per_page=per_page, parallelism=parallelism)
        except _Moved as moved:
            why, per_page = moved.why, moved.per_page
        else:
            return {key: found[key] for key in sorted(found)}
    raise IncompleteRead(
        f"{name}: {why} in every one of {REREADS + 1} readings",
        hint="somebody is adding or deleting devices: try again when that is over",
    )


async def _read_once(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    first = await fetch(0, per_page)
    if first.total > MAX_RECORDS:
        raise IncompleteRead(f"{name}: a total of {first.total} records is not plausible")
    size = first.per_page or _unechoed_size(first, per_page)
    count = -(-first.total // size) if size else 0
    pages = await _pages(fetch, first, name=name, size=size, count=count, parallelism=parallelism)
    found = {key: value for page in pages for key, value in page.records}
    if len(found) != first.total:
        raise IncompleteRead(
            f"{name}: {len(found)} different records came on {max(count, 1)} pages, but totalCount says {first.total}",
            hint="nothing is planned from an incomplete listing: try again",
        )
    return found


def _unechoed_size(first: Page[T], requested: int) -> int:
    """The page size of a server that does not echo it: that of a first page which is not the last."""
    got = len(first.records)
    return got if got < first.total else requested


async def _pages(
    fetch: Fetch[T], first: Page[T], *, name: str, size: int, count: int, parallelism: int
) -> list[Page[T]]:
    """All pages in order. Workers take page numbers from one iterator, so that few pages are in memory as text."""
    pages: list[Page[T]] = [first] * max(count, 1)
    failures: dict[int, Exception] = {}
    numbers = iter(range(1, count))

    async def work() -> None:
        for number in numbers:
            try:
                page = await fetch(number, size)
                _check(page, first, name=name, number=number, size=size)
            except Exception as error:  # noqa: BLE001 - kept, and raised below
                failures[number] = error
                deque(numbers, maxlen=0)  # no worker starts another page of a listing that failed
                return
            pages[number] = page

    async with asyncio.TaskGroup() as group:
        for _ in range(min(parallelism, count - 1)):
            group.create_task(work())
    if failures:
        raise failures[min(failures)]
    return pages


def _check(page: Page[T], first: Page[T], *, name: str, number: int, size: int) -> None:
    if page.total != first.total:
        raise _Moved(f"the total changed (from {first.total} to {page.total})", size)
    if page.per_page is not None and page.per_page != size:
        raise _Moved(f"the page size changed (from {size} to {page.per_page})", min(size, page.per_page))
    if not page.records:
        raise IncompleteRead(f"{name}: page {number} is empty, but there are {first.total} records")
