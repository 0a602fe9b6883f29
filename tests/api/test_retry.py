"""Asking again: how often, after how long, and how many at once."""

import asyncio
import random
from collections.abc import Callable

import httpx
import pytest

from reconciler.api.http.failures import retry_after_s
from reconciler.api.http.retry import MAX_TRIES, Pace
from reconciler.errors import ApiError, RateLimited, ServerFailed
from tests.api.speaking import Pages, api_over, listing, record
from tests.fakes import FakeClock

Answer = Callable[[], httpx.Response]


def broken() -> httpx.Response:
    raise httpx.ReadError("cut")


def status(code: int, **headers: str) -> Answer:
    return lambda: httpx.Response(code, headers={key.replace("_", "-"): value for key, value in headers.items()})


def good() -> httpx.Response:
    return httpx.Response(200, json=listing([record(1)]))


def waits(*answers: Answer, clock: FakeClock | None = None, budget: int = 50) -> list[float]:
    """The waits of one read that is answered like this, one answer after the other."""
    clock = clock or FakeClock()
    script = iter(answers)

    async def go() -> None:
        async with api_over(lambda _: next(script)(), clock=clock, retry_budget=budget) as api:
            await api.live()

    asyncio.run(go())
    assert next(script, None) is None, "every answer was asked for"
    return clock.slept


@pytest.mark.parametrize("answer", [status(429), status(500), status(502), status(503), status(504), broken])
def test_what_may_pass_is_asked_again(answer: Answer) -> None:
    assert len(waits(answer, good)) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 413])
def test_what_will_not_pass_is_not(code: int) -> None:
    with pytest.raises(ApiError):
        waits(status(code))


@pytest.mark.parametrize("text", ["[]", "<html>", ""])
def test_neither_is_an_answer_that_is_none(text: str) -> None:
    with pytest.raises(ApiError):
        waits(lambda: httpx.Response(200, text=text))


def test_a_request_is_tried_five_times() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503)

    async def go() -> None:
        async with api_over(handle) as api:
            await api.application()

    with pytest.raises(ServerFailed):
        asyncio.run(go())
    assert len(asked) == MAX_TRIES


def test_the_waits_grow_at_random_within_their_bounds() -> None:
    seen = []
    for seed in range(200):
        clock = FakeClock()
        script = iter([status(503)] * 4 + [good])

        async def go() -> None:
            async with api_over(lambda _: next(script)(), clock=clock, rng=random.Random(seed)) as api:  # noqa: B023
                await api.live()

        asyncio.run(go())
        seen.append(clock.slept)
    for number, bound in enumerate([0.5, 1.0, 2.0, 4.0]):
        column = [slept[number] for slept in seen]
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("0", 0),
        ("7", 7),
        ("3600", 60),
        ("99999999999999999999", 60),
        ("9" * 5000, 60),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30),
        ("Mon, 01 Jun 99999999999999999999 12:00:30 GMT", 60),
        ("Mon, 01 Jun 2026 12:00:30 +99999999999999999999", 60),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 60),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_followed_up_to_a_minute(code: int, header: str, wait_s: float) -> None:
    assert waits(status(code, retry_after=header), good)[0] == pytest.approx(wait_s, abs=0.01)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Mon, 01 Jun 2026 12:00:30 -0000", 30.0),
        ("Mon, 01 Jun 2026 14:00:30 +0200", 30.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٥", None),
        ("Mon, 99 Jun 2026 12:00:30 GMT", None),
    ],
)
def test_reading_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": header}, "2026-06-01T12:00:00.000Z") == seconds


@pytest.mark.parametrize("off", ["Sun, 31 May 2026 12:00:00 GMT", "Tue, 02 Jun 2026 12:00:00 GMT"])
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_date_is_measured_against_the_servers_own_clock(code: int, off: str) -> None:
    """This machine's clock says 1 June, twelve o'clock: it is a day off in either direction."""
    then = off.replace("12:00:00", "12:00:20")
    assert waits(status(code, retry_after=then, date=off), good)[0] == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jun 99999999999999999999 12:00:30 GMT"])
def test_without_a_date_it_is_measured_against_this_machines(date: str) -> None:
    headers = {"retry-after": "Mon, 01 Jun 2026 12:00:30 GMT", "date": date}
    assert retry_after_s(headers, "2026-06-01T12:00:00.000Z") == 30


def test_no_retry_after_header() -> None:
    assert retry_after_s({}, "2026-06-01T12:00:00.000Z") is None


def test_a_run_has_a_budget_of_retries() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503)

    async def go() -> None:
        async with api_over(handle, retry_budget=6) as api:
            for _ in range(4):
                with pytest.raises(ServerFailed):
                    await api.application()

    asyncio.run(go())
    assert len(asked) == 4 + 6


def test_cancelling_a_wait_ends_it_and_frees_its_place() -> None:
    async def go() -> None:
        clock = Forever()
        async with api_over(lambda _: httpx.Response(503), clock=clock) as api:
            reading = asyncio.create_task(api.application())
            await clock.asked.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert api.connection.pace.in_flight == 0

    asyncio.run(go())


def test_cancelling_a_request_under_way_ends_it_and_frees_its_place() -> None:
    asked = asyncio.Event()

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    async def go() -> None:
        async with api_over(lambda _: httpx.Response(500), transport=Silent()) as api:
            reading = asyncio.create_task(api.live())
            await asked.wait()
            assert api.connection.pace.in_flight == 1
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert api.connection.pace.in_flight == 0
            assert sum(api.connection.counts.values()) == 1

    asyncio.run(go())


class Forever(FakeClock):
    """A clock whose sleeps end only by cancellation."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.set()
        await asyncio.Event().wait()


def test_a_429_halves_the_pace_once_and_good_answers_bring_it_back() -> None:
    async def go() -> list[float]:
        pace = Pace(8, FakeClock())
        limits = [pace.limit]
        refused = RateLimited("slow down")
        turns = [pace.turn() for _ in range(4)]
        for turn in turns:
            await turn.__aenter__()
        for turn in turns:
            await turn.__aexit__(RateLimited, refused, None)
        limits.append(pace.limit)
        with pytest.raises(RateLimited):
            async with pace.turn():
                raise refused
        limits.append(pace.limit)
        while pace.limit < 8:
            async with pace.turn():
                pass
            limits.append(pace.limit)
        return limits

    limits = asyncio.run(go())
    assert limits[:3] == [8, 4, 2], "four answers to one burst are one piece of news"
    assert 20 < len(limits) < 60, "the way back is slow"
    assert limits == limits[:3] + sorted(limits[3:])


def test_the_pace_never_falls_below_one() -> None:
    async def go() -> float:
        pace = Pace(2, FakeClock())
        for _ in range(5):
            with pytest.raises(RateLimited):
                async with pace.turn():
                    raise RateLimited("slow down")
        async with pace.turn():
            return pace.limit

    assert asyncio.run(go()) == 1


def test_after_retry_after_everybody_waits_writes_too() -> None:
    clock = FakeClock()
    accepted: Answer = lambda: httpx.Response(201, json={"success": True})  # noqa: E731
    script = iter([status(429, retry_after="30"), accepted])

    async def go() -> None:
        async with api_over(lambda _: next(script)(), clock=clock) as api:
            with pytest.raises(RateLimited):
                await api.export({})
            await api.export({})

    asyncio.run(go())
    assert clock.monotonic() >= 30


def test_no_more_than_the_limit_are_under_way() -> None:
    async def go() -> tuple[int, int]:
        pace = Pace(3, FakeClock())
        under_way = most = 0

        async def work() -> None:
            nonlocal under_way, most
            async with pace.turn():
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1

        await asyncio.gather(*(work() for _ in range(20)))
        return most, pace.in_flight

    assert asyncio.run(go()) == (3, 0)


@pytest.mark.parametrize("seed", range(30))
def test_cancellations_lose_no_place(seed: int) -> None:
    """Workers cancelled at random: every place is free at the end, and nobody waits for ever."""
    rng = random.Random(seed)

    async def go() -> None:
        pace = Pace(2, FakeClock())

        async def work(turns: int) -> None:
            async with pace.turn():
                for _ in range(turns):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(work(rng.randrange(4))) for _ in range(12)]
        for _ in range(10):
            await asyncio.sleep(0)
            rng.choice(tasks).cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1)
        assert pace.in_flight == 0
        async with asyncio.timeout(1), pace.turn(), pace.turn():
            assert pace.in_flight == 2

    asyncio.run(go())


def test_a_storm_of_429_is_met_with_fewer_requests_at_once() -> None:
    """A server that takes two at a time: a read with eight workers gets through, and soon sends no more than two."""
    under_way = 0
    refused = []

    class Strict(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.pages = Pages([record(n) for n in range(400)], cap=10)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal under_way
            under_way += 1
            try:
                await asyncio.sleep(0)
                if under_way > 2:
                    refused.append(request)
                    return httpx.Response(429)
                return self.pages(request)
            finally:
                under_way -= 1

    async def go() -> int:
        async with api_over(lambda _: httpx.Response(500), transport=Strict(), parallelism=8) as api:
            return len((await api.live()).live.devices)

    assert asyncio.run(go()) == 400
    assert len(refused) < 40
