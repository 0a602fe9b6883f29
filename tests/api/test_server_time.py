"""The server's time in a read: the `Date` of its first answer, of the attempt that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import httpx
import pytest

from reconciler.model.state import Kind, Read
from tests.api.speaking import FLOW, Pages, api_over, listing, record
from tests.builders import hex_id

NOON = 1772452800.0
DATE = "Mon, 02 Mar 2026 12:00:00 GMT"

Handler = Callable[[httpx.Request], httpx.Response]


def read(handler: Handler, *, kind: Kind = Kind.EMBEDDED, evidence: bool = False) -> Read:
    async def go() -> Read:
        async with api_over(handler, kind=kind, parallelism=1) as api:
            return await api.live(evidence=evidence)

    return asyncio.run(go())


def dated(handler: Handler, dates: Iterator[str | None]) -> Handler:
    """Every answer with the next of these dates."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer, date = handler(request), next(dates)
        if date is not None:
            answer.headers["Date"] = date
        return answer

    return handle


def ticking() -> Iterator[str]:
    """A second goes by between two answers."""
    return (f"Mon, 02 Mar 2026 12:00:{second:02} GMT" for second in count())


@pytest.mark.parametrize("evidence", [False, True])
@pytest.mark.parametrize("kind", list(Kind))
def test_every_read_has_the_time_of_its_first_answer(kind: Kind, evidence: bool) -> None:
    server = Pages([record(number, flowId=FLOW, flowClass="edge") for number in range(30)], cap=10)
    assert read(dated(server, ticking()), kind=kind, evidence=evidence).server_time == NOON
    assert len(server.asked) > 1


def test_a_read_that_begins_anew_has_the_time_of_its_new_beginning() -> None:
    server = Pages([record(number) for number in range(30)], cap=10)

    def handle(request: httpx.Request) -> httpx.Response:
        if len(server.asked) == 2:  # what was read so far is gone
            server.records = [record(number) for number in range(30, 60)]
        return server(request)

    found = read(dated(handle, ticking()))
    assert list(found.live.devices) == [hex_id(number, "d") for number in range(30, 60)]
    begun = [number for number, params in enumerate(server.asked) if params["page"] == "0"]
    assert len(begun) == 2
    assert found.server_time == NOON + begun[-1]


def test_of_reads_until_two_are_equal_the_last_one_counts() -> None:
    """A server of pages of one size only."""
    everything = [record(number) for number in range(25)]
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        asked.append(number)
        page = everything[number * 10 : number * 10 + 10]
        return httpx.Response(200, json=listing(page, total=len(everything), perPage=10, page=number))

    found = read(dated(handle, ticking()))
    assert len(found.live.devices) == 25
    begun = [place for place, number in enumerate(asked) if number == 0]
    assert len(begun) > 1
    assert found.server_time == NOON + begun[-1]


def test_an_answer_that_was_asked_for_again_counts_not_the_failure() -> None:
    server, calls = Pages([record(1)]), count()

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if next(calls) == 0 else server(request)

    assert read(dated(handle, ticking())).server_time == NOON + 1


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "soon",
        "2026-03-02T12:00:00Z",
        "Mon, 02 Mar 2026 12:00:00",
        "Mon, 02 Mar 2026 12:00:00 +0100",
        "Tue, 02 Mar 2026 12:00:00 GMT",
        "Mon, 02 Mar 26 12:00:00 GMT",
        "Mon, 30 Feb 2026 12:00:00 GMT",
        "Mon, 02 Mar 99999 12:00:00 GMT",
        "Mon, 02 Mar 2026 12:00:00 +99999999999999",
        f"{DATE}, {DATE}",
    ],
)
def test_a_date_that_is_not_one_of_http_is_no_time(date: str | None) -> None:
    found = read(dated(Pages([record(1)]), iter([date])))
    assert found.server_time is None
    assert len(found.live.devices) == 1


def test_a_record_by_itself_has_the_time_of_its_answer() -> None:
    async def go() -> Read:
        answer = dated(lambda _: httpx.Response(200, json=record(1)), iter([DATE]))
        async with api_over(answer) as api:
            return await api.record(hex_id(1, "e"))

    assert asyncio.run(go()).server_time == NOON
