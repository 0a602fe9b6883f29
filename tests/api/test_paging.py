"""Whatever was there all the time is read, or the read is an error: no listing is ever shorter than it is."""

import asyncio
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api import paging
from reconciler.api.embedded import EmbeddedPages, Record
from reconciler.api.pages import Page, Span
from reconciler.api.paging import MAX_PAGES, read_all, spans
from reconciler.errors import (
    ApiError,
    ConnectionFailed,
    IncompleteRead,
    RateLimited,
    ReconcilerError,
    ServerFailed,
    UnexpectedAnswer,
)
from reconciler.model.state import Live
from tests.api.speaking import Pages, api_over, listing, record
from tests.builders import hex_id
from tests.fakes import FakeClock

T = TypeVar("T")


def read(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> Live:
    async def go() -> Live:
        async with api_over(handler, **options) as api:
            return (await api.live()).live

    return asyncio.run(go())


def test_a_read_knows_when_it_began_and_when_its_last_page_came() -> None:
    clock = FakeClock()
    server = Pages([record(n) for n in range(30)], cap=10)

    def slow(request: httpx.Request) -> httpx.Response:
        clock.advance(7)
        return server(request)

    async def go() -> None:
        async with api_over(slow, clock=clock, parallelism=1) as api:
            clock.advance(2)
            read = await api.live()
            assert (read.began, read.ended) == (2, 2 + 7 * 4)

    asyncio.run(go())


@pytest.mark.parametrize("parallelism", [1, 3, 8])
@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(
    ("count", "cap", "requests"),
    [(0, 10, 1), (1, 10, 1), (9, 10, 1), (10, 10, 1), (11, 10, 2), (57, 10, 9), (2500, 1000, 3), (5000, 1000, 6)],
)
def test_every_record_arrives_in_few_requests(
    count: int, cap: int, requests: int, echo: bool, parallelism: int
) -> None:
    server = Pages([record(n) for n in range(count)], cap=cap, echo=echo)
    live = read(server, parallelism=parallelism)
    assert list(live.devices) == [hex_id(n, "d") for n in range(count)]
    assert len(server.asked) == requests
    assert all(int(asked["perPage"]) <= cap for asked in server.asked[1:]), "no more than the server sends at once"


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(("count", "cap"), [(30, 1), (7, 2), (7, 3)])
def test_pages_too_small_to_overlap_are_read_until_two_reads_are_equal(count: int, cap: int, echo: bool) -> None:
    server = Pages([record(n) for n in range(count)], cap=cap, echo=echo)
    assert list(read(server).devices) == [hex_id(n, "d") for n in range(count)]


@pytest.mark.parametrize(("limit", "count", "requests"), [(1000, 100_000, 104), (100, 100_000, 1143), (1000, 999, 1)])
def test_neighbouring_pages_overlap_at_little_cost(limit: int, count: int, requests: int) -> None:
    taken = list(islice(spans(limit), requests))
    assert taken[0] == Span(0, limit)
    assert taken[-1].end >= count
    assert all(span.end < count for span in taken[:-1])
    assert all(before.begin < after.begin < before.end < after.end for before, after in pairwise(taken))
    assert all(span.size <= limit for span in taken)


@given(st.integers(1, 60))
def test_pages_overlap_as_far_as_they_go(limit: int) -> None:
    taken = list(islice(spans(limit), 300))
    assert all(before.begin <= after.begin < before.end < after.end for before, after in pairwise(taken))
    assert len(taken) == 300 or limit < 10  # where all sizes divide what was read so far, none reaches further


def test_a_page_size_echoed_as_text_counts() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        number, size = int(request.url.params["page"]), min(5, int(request.url.params["perPage"]))
        items = [record(n) for n in range(number * size, min(number * size + size, 6))]
        return httpx.Response(200, json=listing(items, total=6, perPage=str(size)))

    assert len(read(handle).devices) == 6


def instead_of(page: int, answer: Callable[[], httpx.Response], *, parallelism: int = 4) -> ReconcilerError:
    """The error when one page of five is not what it should be."""
    server = Pages([record(n) for n in range(50)], cap=10)
    server.instead[page] = answer
    with pytest.raises(ReconcilerError) as raised:
        read(server, parallelism=parallelism)
    return raised.value


def broken() -> httpx.Response:
    raise httpx.ReadError("cut")


BAD_PAGES: list[tuple[Callable[[], httpx.Response], type[ReconcilerError]]] = [
    (lambda: httpx.Response(500), ServerFailed),
    (lambda: httpx.Response(429), RateLimited),
    (lambda: httpx.Response(403), ApiError),
    (lambda: httpx.Response(200, text="[]"), UnexpectedAnswer),
    (lambda: httpx.Response(200, text="<html>"), UnexpectedAnswer),
    (lambda: httpx.Response(200, text='{"items": ['), UnexpectedAnswer),
    (lambda: httpx.Response(200, json={"items": []}), UnexpectedAnswer),
    (lambda: httpx.Response(302, headers={"Location": "https://x.example"}), UnexpectedAnswer),
    (broken, ConnectionFailed),
]


@pytest.mark.parametrize("parallelism", [1, 8])
@pytest.mark.parametrize("page", [1, 2, 4])
@pytest.mark.parametrize(("answer", "kind"), BAD_PAGES)
def test_one_bad_page_ends_the_read_and_is_named(
    page: int, answer: Callable[[], httpx.Response], kind: type[ReconcilerError], parallelism: int
) -> None:
    error = instead_of(page, answer, parallelism=parallelism)
    assert isinstance(error, kind)
    assert f"page={page}:" in str(error)


@pytest.mark.parametrize("page", [1, 2, 4])
def test_an_empty_page_ends_the_read(page: int) -> None:
    error = instead_of(page, lambda: httpx.Response(200, json=listing([], total=50)))
    assert type(error) is IncompleteRead


def test_of_several_failures_the_lowest_page_is_told() -> None:
    server = Pages([record(n) for n in range(50)], cap=10)
    for page in (1, 3, 4):
        server.instead[page] = lambda: httpx.Response(403)
    with pytest.raises(ApiError, match="page=1:"):
        read(server, parallelism=8)


def test_after_a_failure_no_further_page_is_begun() -> None:
    server = Pages([record(n) for n in range(1000)], cap=10)
    server.instead[1] = lambda: httpx.Response(403)
    with pytest.raises(ApiError):
        read(server, parallelism=2)
    assert len(server.asked) <= 4


@pytest.mark.parametrize("absent", [True, False])
def test_a_record_that_does_not_say_its_device(absent: bool) -> None:
    odd = {**record(3), "deviceId": None}
    if absent:
        del odd["deviceId"]
    with pytest.raises(IncompleteRead, match=r"page=1: record 1 has no deviceId"):
        read(Pages([*(record(n) for n in range(10)), odd], cap=10))


def test_a_record_that_comes_twice_is_counted_once() -> None:
    with pytest.raises(IncompleteRead, match="3 different records came on 1 pages, but totalCount says 4"):
        read(Pages([record(0), record(1), record(1), record(2)]))


def test_two_records_for_one_device() -> None:
    other = {**record(1), "id": hex_id(99, "e"), "deviceId": hex_id(1, "d").upper()}
    with pytest.raises(IncompleteRead, match=f"two records describe device {hex_id(1, 'd')}"):
        read(Pages([record(0), record(1), other]))


def test_a_server_that_always_sends_its_first_page() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=listing([record(n) for n in range(10)], total=30, perPage=10))

    with pytest.raises(IncompleteRead, match=r"10 different records .* 3 reads of a server that ignores page sizes"):
        read(handle)


def test_a_total_that_is_too_small_hides_no_record() -> None:
    assert len(read(lambda _: httpx.Response(200, json=listing([record(1), record(2)], total=1))).devices) == 2


@pytest.mark.parametrize("cap", [1, 1000])
def test_a_total_beyond_reason_is_not_read(cap: int) -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=listing([record(1)], total=MAX_PAGES * cap + 1, perPage=cap))

    with pytest.raises(IncompleteRead, match="is not plausible"):
        read(handle)
    assert len(asked) == 1


@pytest.mark.parametrize("held", [0, 1, 400])
@pytest.mark.parametrize("ignores_sizes", [False, True])
@pytest.mark.parametrize("empty_from", [0, 2])
def test_a_listing_that_promises_much_and_holds_little_has_an_end(
    held: int, empty_from: int, *, ignores_sizes: bool
) -> None:
    """Ten million records, a thousand a page by its own word."""
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        number, size = (int(request.url.params[key]) for key in ("page", "perPage"))
        if ignores_sizes:
            size = 1000
        begin = number * size
        records = [record(n) for n in range(begin, begin + (held if number >= empty_from else size))]
        return httpx.Response(200, json=listing(records, total=10_000_000, perPage=size))

    with pytest.raises(IncompleteRead, match=rf"holds {held} of the \d+ records that its total promises"):
        read(handle)
    assert len(asked) < 100


class Changing(Pages):
    """A listing that changes before each of the first `times` second pages."""

    def __init__(self, change: Callable[[list[dict[str, Any]]], object], *, times: int, **options: Any) -> None:
        super().__init__([record(2 * n) for n in range(35)], cap=10, **options)
        self.change, self.times = change, times

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "1" and self.times:
            self.times -= 1
            self.change(self.records)
        return super().__call__(request)


def swap(records: list[dict[str, Any]]) -> None:
    """Hardware is replaced: one device goes, another one comes, and the total stays as it is."""
    del records[3]
    records.append(record(int(records[-1]["deviceId"][1:], 16) + 1))


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("parallelism", [1, 4])
@pytest.mark.parametrize("times", [1, 3])
def test_a_list_that_shifts_is_read_again(times: int, parallelism: int, echo: bool) -> None:
    server = Changing(swap, times=times, echo=echo)
    found = read(server, parallelism=parallelism).devices
    assert set(found) >= {one["deviceId"] for one in server.records}


def test_a_list_that_keeps_shifting_is_an_error() -> None:
    server = Changing(swap, times=99)
    with pytest.raises(IncompleteRead, match=r"pages 0 and 1 of 5 share no record, in every one of 4 reads"):
        read(server, parallelism=1)
    assert [asked["page"] for asked in server.asked].count("0") == 4


def test_a_list_that_grows_costs_nothing() -> None:
    server = Changing(lambda records: records.append(record(2 * len(records))), times=99)
    assert len(read(server, parallelism=1).devices) == 36
    assert [asked["page"] for asked in server.asked].count("0") == 1


def test_a_list_that_grows_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 50)

    async def fetch(number: int, size: int) -> Page[int]:
        begin = number * size
        return page_of(begin + size + 1, size, [(f"{n:09}", n) for n in range(begin, begin + size)])

    with pytest.raises(IncompleteRead, match="is not plausible"):
        asyncio.run(read_all(fetch, name="listing", per_page=20, parallelism=1))


def page_of(total: int, per_page: int | None, records: list[tuple[str, T]]) -> Page[T]:
    return Page(total, per_page, [key for key, _ in records], [value for _, value in records])


class Shifting:
    """A list whose records come, go and come back between any two pages; `stayed` were there all the time."""

    def __init__(self, data: st.DataObject, *, cap: int, honours_sizes: bool, restores: bool = True) -> None:
        self.data, self.cap, self.honours_sizes = data, cap, honours_sizes
        self.now = set(data.draw(st.sets(st.integers(0, 99), min_size=cap), label="at first"))
        self.stayed, self.seen = set(self.now), set(self.now)
        self.restores = restores

    async def fetch(self, number: int, size: int) -> Page[int]:
        size = min(size, self.cap) if self.honours_sizes else self.cap
        page = sorted(self.now)[number * size : (number + 1) * size]
        answer = page_of(len(self.now), size, [(f"{one:02}", one) for one in page])
        gone = self.data.draw(st.sets(st.integers(0, 99), max_size=3), label="gone")
        come = self.data.draw(st.sets(st.integers(0, 99), max_size=3), label="come, or restored")
        self.now = (self.now - gone) | (come if self.restores else come - self.seen)
        self.stayed &= self.now
        self.seen |= self.now
        return answer


@given(st.data(), st.sampled_from([4, 7, 20]))
def test_what_was_there_all_the_time_is_never_missed(data: st.DataObject, cap: int) -> None:
    world = Shifting(data, cap=cap, honours_sizes=True)
    try:
        found = asyncio.run(read_all(world.fetch, name="listing", per_page=1000, parallelism=2))
    except IncompleteRead:
        return
    assert world.stayed <= set(found.values()) <= world.seen
    assert list(found) == sorted(found)


@given(st.data(), st.sampled_from([4, 7, 20]))
def test_equal_reads_of_a_server_that_ignores_sizes_miss_nothing_either(data: st.DataObject, cap: int) -> None:
    """As long as nothing that was deleted is restored within the two reads: they would not list the same records."""
    world = Shifting(data, cap=cap, honours_sizes=False, restores=False)
    try:
        found = asyncio.run(read_all(world.fetch, name="listing", per_page=1000, parallelism=1))
    except IncompleteRead:
        return
    assert world.stayed <= set(found.values()) <= world.seen


class ByReport(Pages):
    """Whatever it was asked for, what reported last comes first. After the first page an old device reports, and a new
    one is there, which makes up for the other in the total.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__([record(11 * n % 35) for n in range(35)], cap=10, **options)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        if len(self.asked) == 1:
            self.records.insert(0, self.records.pop(12))
            self.records.append(record(99))
        return answer


def test_a_list_that_is_not_in_the_order_of_its_ids_is_read_until_two_reads_are_equal() -> None:
    server = ByReport()
    assert set(read(server, parallelism=1).devices) == {one["deviceId"] for one in server.records}


def test_a_page_size_that_shrinks_on_the_way_is_honoured() -> None:
    class Shrinking(Pages):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if request.url.params["page"] == "2":
                self.cap = 4
            return super().__call__(request)

    assert len(read(Shrinking([record(n) for n in range(57)], cap=10)).devices) == 57


def test_records_that_shift_between_pages_never_make_a_shorter_list() -> None:
    class Shuffling(Pages):
        """Sorts by something that moves, whatever it was asked for."""

        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.records = self.records[-3:] + self.records[:-3]
            return super().__call__(request)

    with pytest.raises(IncompleteRead, match="different records came on 5 pages"):
        read(Shuffling([record(n) for n in range(50)], cap=10), parallelism=1)


@given(st.data())
def test_whatever_the_server_does_the_answer_is_whole_or_an_error(data: st.DataObject) -> None:
    """Random servers: each page is random records with a random claim. What comes back is what was claimed."""
    served: set[str] = set()
    totals: list[int] = []

    async def fetch(number: int, size: int) -> Page[str]:
        records = data.draw(st.lists(st.sampled_from("abcde"), max_size=4))
        total = data.draw(st.sampled_from([3, 3, 3, 4, 0]))
        served.update(records)
        totals.append(total)
        per_page = data.draw(st.sampled_from([2, 2, 2, 1, None]))
        return page_of(total, per_page, [(key, key) for key in records])

    try:
        found = asyncio.run(read_all(fetch, name="listing", per_page=2, parallelism=2))
    except IncompleteRead:
        return
    assert list(found) == sorted(found)
    assert set(found) <= served
    assert len(found) >= min(totals)


def test_pages_are_fetched_at_once_but_not_more_than_allowed() -> None:
    under_way = most = 0

    async def fetch(number: int, size: int) -> Page[int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return page_of(100, size, [(f"{n:03}", n) for n in range(number * size, min(number * size + size, 100))])

    found = asyncio.run(read_all(fetch, name="listing", per_page=10, parallelism=4))
    assert list(found.values()) == list(range(100))
    assert most == 4


def test_the_next_page_is_on_its_way_before_one_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    server, asked = Pages([record(n) for n in range(57)], cap=10), 0
    ahead: list[int] = []
    parse = EmbeddedPages.page

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return server(request)

    def parsed(self: EmbeddedPages, body: bytes) -> Page[Record]:
        ahead.append(asked - 1 - len(ahead))
        return parse(self, body)

    monkeypatch.setattr(EmbeddedPages, "page", parsed)
    assert len(read(answer, parallelism=1).devices) == 57
    assert len(ahead) == 9
    assert 0 not in ahead[1:-1]  # the first page tells how many there are, and nothing follows the last


@pytest.mark.parametrize("parallelism", [1, 3])
def test_no_more_requests_are_in_flight_than_allowed(parallelism: int) -> None:
    server, under_way, most = Pages([record(n) for n in range(157)], cap=10), 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        under_way -= 1
        return server(request)

    assert len(read(server, transport=httpx.MockTransport(answer), parallelism=parallelism).devices) == 157
    assert most == parallelism


def test_cancelling_a_read_cancels_its_pages() -> None:
    async def go() -> int:
        under_way = 0

        async def fetch(number: int, size: int) -> Page[int]:
            nonlocal under_way
            if number == 0:
                return page_of(100, 10, [(str(n), n) for n in range(10)])
            under_way += 1
            try:
                await asyncio.Event().wait()
            finally:
                under_way -= 1
            raise AssertionError

        reading = asyncio.create_task(read_all(fetch, name="listing", per_page=10, parallelism=4))
        for _ in range(10):
            await asyncio.sleep(0)
        assert under_way == 4
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return under_way

    assert asyncio.run(go()) == 0
