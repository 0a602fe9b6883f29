"""How long a run waits before it sends again, and when it no longer does."""

from __future__ import annotations

import random

import pytest

from reconciler.errors import ApiError, ConnectionFailed, RateLimited, ServerFailed
from reconciler.executor.control import LONGEST_S, RetryBudget


def budget(calls: int = 1_000, seed: int = 1) -> RetryBudget:
    return RetryBudget(calls, rng=random.Random(seed))


@pytest.mark.parametrize(("tries", "bound_s"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0)])
def test_the_waits_grow_at_random_within_their_bounds(tries: int, bound_s: float) -> None:
    one = budget()
    waits_s = [one.delay_s(tries, ConnectionFailed("cut")) for _ in range(300)]
    numbers = [wait_s for wait_s in waits_s if isinstance(wait_s, float)]
    assert len(numbers) == 300
    assert 0 <= min(numbers) < 0.1 * bound_s
    assert 0.9 * bound_s < max(numbers) <= bound_s


@pytest.mark.parametrize("kind", [RateLimited, ServerFailed])
def test_the_server_says_how_long(kind: type[RateLimited | ServerFailed]) -> None:
    assert budget().delay_s(1, kind("busy", retry_after_s=LONGEST_S)) == LONGEST_S
    assert (
        budget().delay_s(1, kind("busy", retry_after_s=LONGEST_S + 1)) == "gave up: the server requires a wait of 301 s"
    )


@pytest.mark.parametrize("error", [None, ServerFailed("busy")])
def test_five_tries_a_call_and_ten_retries_of_few_calls(error: ApiError | None) -> None:
    one = budget(calls=3)
    assert one.delay_s(5, error) == "gave up after 5 tries"
    assert all(isinstance(one.delay_s(4, error), float) for _ in range(10))
    assert one.delay_s(1, error) == "gave up: the retry budget of this run is used up"
