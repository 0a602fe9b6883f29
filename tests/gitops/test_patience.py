"""A forge that asks to be left alone is left alone for as long as it asks, but no job waits for long."""

from __future__ import annotations

import time

import pytest

from reconciler.errors import ReconcilerError
from tests.gitops.runner.places import Place
from tests.gitops.runner.standin import Trouble

NOW = 1_790_000_000
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"  # the same


@pytest.fixture(autouse=True)
def pull(there: Place) -> None:
    there.open(1, head="c")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them, on a clock that stands."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    return made


def refuse(there: Place, status: int, *waits: str, request: str = "GET .*", **more: str) -> None:
    there.troubles.extend(Trouble(request, status, "{}", headers={"Retry-After": wait, **more}) for wait in waits)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_it_is_left_alone_for_as_long_as_it_asks(status: int, there: Place, pauses: list[float]) -> None:
    refuse(there, status, "42", "0", "60")
    assert there.forge.head(1) == "c"
    assert pauses == [42, 5, 60]


def test_a_date_counts_from_that_of_the_answer(there: Place, pauses: list[float]) -> None:
    refuse(there, 429, "Mon, 21 Sep 2026 14:13:57 GMT", Date=DATE)
    assert there.forge.head(1) == "c"
    assert pauses == [37]


@pytest.mark.parametrize("asked", ["61", "3600", "9" * 400, "Mon, 21 Sep 2026 15:13:20 GMT"])
def test_a_long_wait_is_not_made_but_told(asked: str, there: Place, pauses: list[float]) -> None:
    refuse(there, 429, asked, Date=DATE)
    with pytest.raises(ReconcilerError, match=r"returned 429 for GET .*; it asks to wait [\d,]+ s, and a job") as told:
        there.forge.head(1)
    assert told.value.problems[0].hint == "run the job again after that"
    assert pauses == []


@pytest.mark.parametrize("asked", ["soon", "-5", "1e9"])
def test_what_is_no_time_is_no_wish(asked: str, there: Place, pauses: list[float]) -> None:
    refuse(there, 429, asked)
    assert there.forge.head(1) == "c"
    assert pauses == [1]


def test_a_write_that_was_put_off_is_made_once(there: Place, pauses: list[float]) -> None:
    there.run_for(1, head="c")
    refuse(there, 429, "30", request="POST (?!.*(query|wiql)).*")
    ended = there.step("comment", "--reports", "reports")
    assert ended.code == 0, ended.out
    assert pauses == [30]
    assert len(there.comments(1)) == 1


@pytest.mark.parametrize("there", ["github"], indirect=True)
@pytest.mark.parametrize(("status", "reset", "waits"), [(403, 25, [25]), (429, 25, [25]), (403, -9, [1])])
def test_the_end_of_a_limit_that_github_tells_counts(
    status: int, reset: int, waits: list[float], there: Place, pauses: list[float]
) -> None:
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + reset)}
    there.troubles.append(Trouble("GET .*", status, "{}", headers=spent))
    assert there.forge.head(1) == "c"
    assert pauses == waits
    later = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 1800)}
    there.troubles.append(Trouble("GET .*", status, "{}", headers=later))
    with pytest.raises(ReconcilerError, match="it asks to wait 1,800 s, and a job waits 60 s at most"):
        there.forge.head(1)


@pytest.mark.parametrize("there", ["github"], indirect=True)
def test_a_missing_permission_is_not_waited_for(there: Place, pauses: list[float]) -> None:
    left = {"x-ratelimit-remaining": "4999", "x-ratelimit-reset": str(NOW + 25)}
    there.troubles.append(Trouble("GET .*", 403, "{}", headers=left))
    with pytest.raises(ReconcilerError, match=r"returned 403 .*check that the calling job grants"):
        there.forge.head(1)
    assert pauses == []
