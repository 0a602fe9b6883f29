"""What runs at once fails as if it had run one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial

import pytest

from reconciler.runtime import gather_in_order


class Works:
    """Works that take some turns of the event loop, and then succeed or fail."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []

    async def work(self, name: str, turns: int, error: Exception | None = None) -> str:
        self.began.append(name)
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.ended.append(name)
        if error:
            raise error
        return name


def test_all_are_under_way_at_once_and_the_results_are_in_their_order() -> None:
    works = Works()
    found = asyncio.run(
        gather_in_order([partial(works.work, "a", 9), partial(works.work, "b", 1), partial(works.work, "c", 0)])
    )
    assert found == ["a", "b", "c"]
    assert (works.began, works.ended) == (["a", "b", "c"], ["c", "b", "a"])


def test_nothing_is_nothing() -> None:
    assert asyncio.run(gather_in_order(list[partial[Coroutine[None, None, None]]]())) == []


@pytest.mark.parametrize("turns", [(9, 0, 40), (0, 9, 40), (0, 0, 0), (9, 9, 9)])
def test_the_error_is_that_of_the_first_whichever_fails_first(turns: tuple[int, int, int]) -> None:
    works = Works()
    first, second = ValueError("first"), ValueError("second")
    made = [partial(works.work, "a", turns[0], first), partial(works.work, "b", turns[1], second)]
    with pytest.raises(ValueError, match="first") as raised:
        asyncio.run(gather_in_order([partial(works.work, "0", 20), *made, partial(works.work, "c", turns[2])]))
    assert raised.value is first
    assert "0" in works.ended  # it could have failed, too, and would have been the first
    assert {*works.ended, *works.cancelled} >= {*works.began}


def test_a_failure_cancels_those_that_come_after_it_and_no_other() -> None:
    works = Works()
    made = [partial(works.work, "a", 30), partial(works.work, "b", 2, ValueError("b")), partial(works.work, "c", 30)]
    with pytest.raises(ValueError, match="b"):
        asyncio.run(gather_in_order(made))
    assert (works.ended, works.cancelled) == (["b", "a"], ["c"])


def test_cancelled_from_outside_all_are() -> None:
    works = Works()

    async def run() -> None:
        task = asyncio.create_task(gather_in_order([partial(works.work, name, 1000) for name in "abc"]))
        for _ in range(9):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (works.ended, sorted(works.cancelled)) == ([], ["a", "b", "c"])
