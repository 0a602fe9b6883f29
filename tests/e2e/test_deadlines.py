"""A deadline is a deadline, whatever a request takes; and of a server's time only the server is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import faults, serve
from reconciler.simulator.faults import When
from tests.support.fleet import FLEET, Shop
from tests.support.time import skip_pauses

LISTS = "embeddedDeployments.get"
COMMAND = ["apply", "shop.yaml", "--yes", "--wait", "--timeout", "0.5s", "--format", "json", "--result", "result.json"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        faults.Latency(seconds=3600, when=When(action=LISTS, since=3)),
        faults.SlowBody(seconds=3600, when=When(action=LISTS, since=3)),
        faults.Status(status=503, retry_after="59", when=When(action=LISTS, since=3)),
        faults.Status(status=429, retry_after="3600", when=When(action=LISTS, since=3)),
    ],
    ids=lambda fault: fault.kind + str(getattr(fault, "status", "")),
)
def test_a_wait_ends_with_its_timeout(fault: faults.Fault, shop: Shop) -> None:
    """The plan is made on the first read, the second confirms it, and a read of the wait takes a minute or more."""
    shop.control.fault(fault)
    ended = shop.run(*COMMAND)
    assert ended.code == 5, ended.err
    wait = ended.result["wait"]
    assert wait["timed_out"]
    assert wait["read_error"] == "the last read did not end in time"
    assert shop.read_json("result.json") == ended.document
    assert shop.released()["leeds-1/telemetry"] == "v2"


@pytest.mark.parametrize("date", ["99999999999999999999", "Mon, 01 Jun 99999999999999999999 12:00:30 GMT"])
def test_a_write_that_is_put_off_for_ever_is_given_up(date: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_pauses(monkeypatch)
    shop.control.fault(faults.Status(status=429, retry_after=date, when=When(method="POST")))
    ended = shop.here(monkeypatch)("apply", "shop.yaml", "--yes", "--format", "json")
    assert ended.code == 6
    assert "this is a bug" not in ended.err
    assert "gave up: the server requires a wait of 1000000000 s" in ended.err
    assert not ended.result["stopped_by"]


def test_a_wait_needs_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = shop.here(monkeypatch)("apply", "shop.yaml", "--yes", "--wait", "--timeout", "0s")
    assert ended.code == 1
    assert ended.err == "Error: the timeout of the wait is not more than 0 (write 90s, 15m or 2h)\n"
    assert shop.writes() == []
