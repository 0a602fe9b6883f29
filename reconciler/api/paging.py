"""Listings: every record that was there all the time, or an error.

A list may change while it is read: when a device of a page that was read is deleted, the first record of the next page
moves onto it, and nobody would miss it. So pages overlap, and each has to share a record with the page before. Both
were cut out of the list in one piece, in the order of ids; so no record that was there all the time lies between them,
whatever came, went or was restored meanwhile. The first page begins at the beginning, and the last reaches the end.

Page `p` of size `s` begins at record `p * s`, and the size is free for each request: that makes the overlap. All sizes
follow from the server's limit, so pages are fetched concurrently once the first has said how many records there are. At
1,000 records a page this takes 4 % more requests, at 100 a page 15 %.

A server that ignores sizes, or the order, is read until two whole reads in a row list the same ids.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

from reconciler.api.pages import Page, Span
from reconciler.errors import IncompleteRead

MAX_PAGES = 20_000  # of one listing: more would be an endless read
REREADS = 3
EQUAL_READS = 3  # of a server that ignores sizes, to find two in a row that are equal

T = TypeVar("T")


Fetch = Callable[[int, int], Awaitable[Page[T]]]


class _Changed(Exception):
    """The list, or the server's limit, changed while it was read. It has to be read again, with this limit if any."""

    def __init__(self, why: str, limit: int | None = None) -> None:
        self.why = why
        self.limit = limit
        super().__init__(why)


class _SizesIgnored(Exception):
    """The server sends pages of a size or in an order of its own, or so small that they cannot overlap."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


async def read_all(fetch: Fetch[T], *, name: str, per_page: int, parallelism: int) -> dict[str, T]:
    """Every record by its id, sorted by id. `fetch(page, per_page)` reads one page.

    Raises:
        IncompleteRead: the pages are inconsistent; `name` is the listing's.
        ApiError: as raised by `fetch`; if several pages fail, that of the lowest page.
    """
    why, limit = "", per_page
    for _ in range(REREADS + 1):
        try:
            return await _read_overlapping(fetch, name=name, limit=limit, parallelism=parallelism)
        except _Changed as changed:
            why, limit = changed.why, changed.limit or limit
        except _SizesIgnored as ignored:
            return await _read_until_equal(fetch, name=name, size=ignored.size, parallelism=parallelism)
    raise _incomplete(f"{name}: {why}, in every one of {REREADS + 1} reads")


def spans(limit: int) -> Iterator[Span]:
    """Pages of at most `limit` records, each of which begins at or before the last record of the one before.

    Of the sizes that do, the one whose page reaches furthest. Ends where none reaches further, as with tiny limits.
    """
    span: Span | None = Span(0, limit)
    while span:
        yield span
        last, best, span = span.end - 1, span.end, None
        for size in range(limit, 0, -1):
            if last + size <= best:
                break  # no smaller page can reach further
            page = Span(last // size, size)
            if page.end > best:
                best, span = page.end, page


async def _read_overlapping(fetch: Fetch[T], *, name: str, limit: int, parallelism: int) -> dict[str, T]:
    first = await fetch(0, limit)
    if (size := _size_of(first, limit)) > limit:
        raise _SizesIgnored(size)
    ahead = spans(size)
    pages = [(next(ahead), first)]
    _believable(first.total, size, name)
    _check_filled(first, pages[0][0])
    while not pages[-1][1].reaches_end(pages[-1][0]):
        wanted = _up_to(_believable(pages[-1][1].total, size, name), ahead, size)
        found = await _fetch_all(fetch, wanted, check_sizes=True, parallelism=parallelism)
        pages += zip(wanted, found, strict=True)
    if len(pages) > 1 and not all(_is_in_order(page) for _, page in pages):
        raise _SizesIgnored(size)
    for number, ((span, page), (_, after)) in enumerate(pairwise(pages)):
        if page.reaches_end(span):
            break  # what follows has come since
        if set(page.ids).isdisjoint(after.ids):
            raise _Changed(f"pages {number} and {number + 1} of {len(pages)} share no record", size)
    return _complete(pages, size)


def _size_of(first: Page[Any], limit: int) -> int:
    """The size of pages by the first one; that of a server which does not echo it shows where more follow."""
    got = len(first.ids)
    return first.per_page or (got if 0 < got < first.total else limit)


def _is_in_order(page: Page[Any]) -> bool:
    ids = [*dict.fromkeys(page.ids)]
    return ids == sorted(ids)


def _believable(total: int, size: int, name: str) -> int:
    if total > MAX_PAGES * size:
        raise IncompleteRead(f"{name}: a total of {total} records at {size} a page is not plausible")
    return total


def _up_to(total: int, ahead: Iterator[Span], size: int) -> list[Span]:
    """The next pages as far as a total, at least one."""
    taken = []
    for span in ahead:
        taken.append(span)
        if span.end >= total:
            return taken
    raise _SizesIgnored(size)


async def _read_until_equal(fetch: Fetch[T], *, name: str, size: int, parallelism: int) -> dict[str, T]:
    """Whole reads, until two in a row list the same ids."""
    before: set[str] | None = None
    why = ""
    for _ in range(EQUAL_READS):
        first = await fetch(0, size)
        size = _size_of(first, size)
        count = -(-_believable(first.total, size, name) // size)
        wanted = [Span(number, size) for number in range(count)] or [Span(0, size)]
        try:
            _check_filled(first, wanted[0])
            pages = [first, *await _fetch_all(fetch, wanted[1:], parallelism=parallelism)]
            found = _complete([*zip(wanted, pages, strict=True)], size)
        except _Changed as changed:
            why, before = changed.why, None
            continue
        if before == found.keys():
            return found
        why, before = "two reads in a row never listed the same records", set(found)
    raise _incomplete(f"{name}: {why}, in {EQUAL_READS} reads of a server that ignores page sizes or the order")


def _incomplete(why: str) -> IncompleteRead:
    hint = "nothing is planned from an incomplete listing: try again when nobody is adding or deleting records"
    return IncompleteRead(why, hint=hint)


def _complete(pages: list[tuple[Span, Page[T]]], size: int) -> dict[str, T]:
    """The records of all pages in the order of their ids; none may be missing by what the pages say themselves."""
    span, last = pages[-1]
    if not last.reaches_end(span):
        raise _Changed("the list grew", size)
    found: dict[str, T] = {}
    for _, page in pages:
        found.update(zip(page.ids, page.values, strict=True))
    if len(found) < (total := min(page.total for _, page in pages)):
        why = f"{len(found)} different records came on {len(pages)} pages, but totalCount says {total}"
        raise _Changed(why, size)
    ids = sorted(found)
    return found if ids == [*found] else {key: found[key] for key in ids}


async def _fetch_all(
    fetch: Fetch[T], wanted: list[Span], *, check_sizes: bool = False, parallelism: int
) -> list[Page[T]]:
    """These pages, in order. Workers take them from one iterator, so that few pages are in memory as text."""
    pages: dict[int, Page[T]] = {}
    failures: dict[int, Exception] = {}
    numbered = iter(enumerate(wanted))

    async def work() -> None:
        for place, span in numbered:
            try:
                page = await fetch(*span)
                if check_sizes:
                    _check_size(page, span)
                _check_filled(page, span)
            except Exception as error:  # noqa: BLE001 - kept, and raised below
                failures[place] = error
                deque(numbered, maxlen=0)  # no worker starts another page of a listing that failed
                return
            pages[place] = page

    async with asyncio.TaskGroup() as group:
        for _ in range(min(parallelism, len(wanted))):
            group.create_task(work())
    if failures:
        raise failures[min(failures)]
    return [pages[place] for place in range(len(wanted))]


def _check_filled(page: Page[Any], span: Span) -> None:
    """Whether a page holds at least half of what its own total and size promise.

    Otherwise a server that promises millions of records, and sends one at a time, would be read for hours.
    """
    got, promised = len(page.ids), min(span.size, page.total - span.begin)
    if 2 * got < promised:
        raise _Changed(f"page {span.number} holds {got} of the {promised} records that its total promises")


def _check_size(page: Page[Any], span: Span) -> None:
    """Whether the server sent as many records as were requested."""
    size, got = page.per_page, len(page.ids)
    if size is None:
        size = span.size if got == min(span.size, max(0, page.total - span.begin)) else max(got, span.size + 1)
    if size > span.size:
        raise _SizesIgnored(size)
    if size < span.size:
        raise _Changed(f"the page size changed (from {span.size} to {size})", size)
