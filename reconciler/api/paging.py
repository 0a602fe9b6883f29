"""Listings: every record or an error.

Pages are asked for by id, ascending, and fetched concurrently once the first has told how many there are. Records are
counted once per id. What is missing, moves, or does not add up ends in an error, never in a shorter list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.errors import IncompleteRead

MAX_RECORDS = 10_000_000  # a larger total is not believed: it would be an endless read
REREADS = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: the total and page size that it claims, and its records as `(record id, value)`."""

    total: int
    per_page: int | None
    records: list[tuple[str, T]]


Fetch = Callable[[int, int], Awaitable[Page[T]]]


class _Moved(Exception):
    """The listing is not what the first page said: the total changed, or the size of pages."""

    def __init__(self, why: str, per_page: int) -> None:
        self.why = why
        self.per_page = per_page
        super().__init__(why)


async def read_all(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    """Every record by its id, in the order of ids. `fetch(page, per_page)` reads one page.

    Raises:
        IncompleteRead: the pages do not add up; `name` says of what.
        ApiError: as `fetch` raises it; of several, that of the lowest page.
    """
    for reread in range(REREADS + 1):
        try:
            found = await _read_once(fetch, name=name, per_page=per_page, parallelism=parallelism)
        except _Moved as moved:
            why, per_page = moved.why, moved.per_page
            if reread == REREADS:
                raise IncompleteRead(
                    f"{name}: {why} in every one of {REREADS + 1} readings",
                    hint="somebody is adding or deleting devices: try again when that is over",
                ) from None
        else:
            return {key: found[key] for key in sorted(found)}
    raise AssertionError("unreachable")


async def _read_once(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    first = await fetch(0, per_page)
    if first.total > MAX_RECORDS:
        raise IncompleteRead(f"{name}: a total of {first.total} records is not plausible")
    size = _page_size(first, per_page)
    count = -(-first.total // size) if size else 0
    pages = await _rest(fetch, first, name=name, size=size, count=count, parallelism=parallelism)
    found = {key: value for page in pages for key, value in page.records}
    if len(found) != first.total:
        raise IncompleteRead(
            f"{name}: {len(found)} different records came on {max(count, 1)} pages, but totalCount says {first.total}",
            hint="nothing is planned on half a listing: try again",
        )
    return found


def _page_size(first: Page[T], asked: int) -> int:
    """The size that the server echoes; without an echo, that of a first page which is not the last."""
    if first.per_page:
        return first.per_page
    got = len(first.records)
    return got if got < first.total else asked


async def _rest(
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
                _exhaust(numbers)
                return
            pages[number] = page

    async with asyncio.TaskGroup() as group:
        for _ in range(min(parallelism, count - 1)):
            group.create_task(work())
    if failures:
        raise failures[min(failures)]
    return pages


def _exhaust(numbers: Iterator[int]) -> None:
    """Take the remaining numbers away: nobody starts another page of a listing that failed."""
    for _ in numbers:
        pass


def _check(page: Page[T], first: Page[T], *, name: str, number: int, size: int) -> None:
    if page.total != first.total:
        raise _Moved(f"the total changed (from {first.total} to {page.total})", size)
    if page.per_page is not None and page.per_page != size:
        raise _Moved(f"the page size changed (from {size} to {page.per_page})", min(size, page.per_page) or size)
    if not page.records:
        raise IncompleteRead(f"{name}: page {number} is empty, but there are {first.total} records")
