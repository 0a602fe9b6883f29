"""Complete or an error: no listing is ever shorter than it is."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.paging import MAX_RECORDS, Page, read_all
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
            assert (read.began, read.ended) == (2, 23)

    asyncio.run(go())


@pytest.mark.parametrize("parallelism", [1, 3, 8])
@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(
    ("count", "cap"), [(0, 10), (1, 10), (9, 10), (10, 10), (11, 10), (57, 10), (30, 1), (2500, 1000)]
)
def test_every_record_arrives_in_few_requests(count: int, cap: int, echo: bool, parallelism: int) -> None:
    server = Pages([record(n) for n in range(count)], cap=cap, echo=echo)
    live = read(server, parallelism=parallelism)
    assert list(live.devices) == [hex_id(n, "d") for n in range(count)]
    assert len(server.asked) == max(1, -(-count // cap))
    assert {asked["perPage"] for asked in server.asked[1:]} <= {str(cap)}, "the echoed size is asked for from then on"


def test_a_page_size_echoed_as_text_counts() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        items = [record(n) for n in range(number * 2, number * 2 + 2)]
        return httpx.Response(200, json=listing(items, total=6, perPage="2"))

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
    (lambda: httpx.Response(200, json=listing([], total=50, perPage=10)), IncompleteRead),
]


@pytest.mark.parametrize("parallelism", [1, 8])
@pytest.mark.parametrize("page", [1, 2, 4])
@pytest.mark.parametrize(("answer", "kind"), BAD_PAGES)
def test_one_bad_page_ends_the_read_and_is_named(
    page: int, answer: Callable[[], httpx.Response], kind: type[ReconcilerError], parallelism: int
) -> None:
    error = instead_of(page, answer, parallelism=parallelism)
    assert isinstance(error, kind)
    assert f"page={page}:" in str(error) or f"page {page} is empty" in str(error)


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
        read(Pages([record(0), record(1), record(2), odd], cap=2))


def test_a_record_that_comes_twice_is_counted_once() -> None:
    with pytest.raises(IncompleteRead, match="3 different records on 2 pages, but totalCount is 4"):
        read(Pages([record(0), record(1), record(1), record(2)], cap=2))


def test_two_records_for_one_device() -> None:
    other = {**record(1), "id": hex_id(99, "e"), "deviceId": hex_id(1, "d").upper()}
    with pytest.raises(IncompleteRead, match=f"two records describe device {hex_id(1, 'd')}"):
        read(Pages([record(0), record(1), other]))


def test_a_server_that_always_sends_its_first_page() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=listing([record(n) for n in range(10)], total=30, perPage=10))

    with pytest.raises(IncompleteRead, match="10 different records"):
        read(handle)


def test_more_records_than_the_total_do_not_add_up_either() -> None:
    with pytest.raises(IncompleteRead, match="2 different records on 1 pages, but totalCount is 1"):
        read(lambda _: httpx.Response(200, json=listing([record(1), record(2)], total=1)))


def test_a_total_beyond_reason_is_not_read() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=listing([record(1)], total=MAX_RECORDS + 1))

    with pytest.raises(IncompleteRead):
        read(handle)
    assert len(asked) == 1


class Growing(Pages):
    """A listing in which a record appears after each of the first `times` second pages."""

    def __init__(self, count: int, *, times: int) -> None:
        super().__init__([record(n) for n in range(count)], cap=10)
        self.times = times

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "1" and self.times:
            self.times -= 1
            self.records.append(record(len(self.records)))
        return super().__call__(request)


@pytest.mark.parametrize("times", [1, 3])
def test_a_total_that_moves_is_read_again(times: int) -> None:
    assert len(read(Growing(35, times=times), parallelism=1).devices) == 35 + times


def test_a_total_that_keeps_moving_is_an_error() -> None:
    server = Growing(35, times=99)
    with pytest.raises(IncompleteRead, match=r"the total changed .* in each of 4 attempts"):
        read(server, parallelism=1)
    assert [asked["page"] for asked in server.asked].count("0") == 4


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

    with pytest.raises(IncompleteRead, match="different records"):
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
        return Page(total, per_page, [(key, key) for key in records])

    try:
        found = asyncio.run(read_all(fetch, name="listing", per_page=2, parallelism=2))
    except IncompleteRead:
        return
    assert list(found) == sorted(found)
    assert set(found) <= served
    assert len(found) == totals[-1]


def test_pages_are_fetched_at_once_but_not_more_than_allowed() -> None:
    under_way = most = 0

    async def fetch(number: int, size: int) -> Page[int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Page(100, 10, [(f"{n:03}", n) for n in range(number * 10, number * 10 + 10)])

    found = asyncio.run(read_all(fetch, name="listing", per_page=10, parallelism=4))
    assert list(found.values()) == list(range(100))
    assert most == 4


def test_cancelling_a_read_cancels_its_pages() -> None:
    async def go() -> int:
        under_way = 0

        async def fetch(number: int, size: int) -> Page[int]:
            nonlocal under_way
            if number == 0:
                return Page(100, 10, [])
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
