"""Paginated listings: every record, or an error.

Pages are sorted by id, and fetched concurrently once the first has given the total. Records are counted once per id.
A missing record, a total that changes or a wrong count is an error, never a shorter list.
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

MAX_RECORDS = 10_000_000  # a larger total is rejected, lest the read never ends
REREADS = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: the total and page size that it states, and its records as `(record id, value)`."""

    total: int
    per_page: int | None
    records: list[tuple[str, T]]


class Pages(ABC, Generic[T]):
    """Parses the records of one listing, page by page."""

    shape: ClassVar[type[Shape]]

    @abstractmethod
    def record(self, item: Any) -> tuple[str, T]:
        """A record's id and value. If it raises an exception of `_ODD`, `shape` explains what is wrong."""

    def page(self, body: bytes) -> Page[T]:
        """The records of one page.

        Raises:
            Missing: a record lacks an identifying field.
            Unreadable: anything else that does not have the API's format.
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
        """The record of a response that is a single record.

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
    """The error for a malformed record, found by validating it against its shape."""
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
    return Unreadable(f"{place} does not have the API's format")


Fetch = Callable[[int, int], Awaitable[Page[T]]]


class _Moved(Exception):
    """The listing changed while it was read: the total or the page size differs from the first page."""

    def __init__(self, why: str, per_page: int) -> None:
        self.why = why
        self.per_page = per_page
        super().__init__(why)


async def read_all(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    """Every record by its id, sorted by id. `fetch(page, per_page)` reads one page.

    Raises:
        IncompleteRead: the pages are inconsistent; `name` is the listing's.
        ApiError: as raised by `fetch`; if several pages fail, that of the lowest page.
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
        f"{name}: {why} in each of {REREADS + 1} attempts",
        hint="devices are being added or deleted: try again when that has finished",
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
            f"{name}: {len(found)} different records on {max(count, 1)} pages, but totalCount is {first.total}",
            hint="an incomplete listing is never used for planning: try again",
        )
    return found


def _unechoed_size(first: Page[T], requested: int) -> int:
    """The page size of a server that does not echo it: the length of the first page, unless it is also the last."""
    got = len(first.records)
    return got if got < first.total else requested


async def _pages(
    fetch: Fetch[T], first: Page[T], *, name: str, size: int, count: int, parallelism: int
) -> list[Page[T]]:
    """All pages in order. Workers share one iterator of page numbers, so few unparsed pages are in memory."""
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
                deque(numbers, maxlen=0)  # stop the other workers when a page has failed
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
