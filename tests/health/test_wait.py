"""Waiting for devices in virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import AuthenticationFailed, ExitCode, PermissionDenied, ServerFailed
from reconciler.health import wait
from reconciler.model.health import Laggard, Offline, Verdict, Wait
from reconciler.model.state import Live, LiveDevice
from tests.builders import desired, entry, live, read
from tests.fakes import FakeApi


class Fleet:
    """A fake fleet, a wait for it, and all that was told on the way."""

    def __init__(self, seen: str, wanted: str, **traits: Any) -> None:
        self.first = read(live(seen, **traits))
        self.api = FakeApi().load(self.first.live)
        self.clock = self.api.clock
        self.wanted = desired(wanted)
        self.told: list[Wait] = []

    def wait(
        self,
        *,
        timeout_s: float = 900,
        offline: Offline = Offline.SKIP,
        observe: Callable[[Wait], None] | None = None,
    ) -> Wait:
        return asyncio.run(
            wait(
                self.wanted,
                self.api,
                clock=self.clock,
                timeout_s=timeout_s,
                first=self.first,
                offline=offline,
                observe=observe or self.told.append,
            )
        )

    @property
    def reads(self) -> list[dict[str, Any]]:
        return [details for action, details in self.api.log if action == "live"]


def test_a_converged_fleet_is_read_once() -> None:
    fleet = Fleet("a/f=1 b/f=1", "a/f=1 b/f=1")
    ended = fleet.wait()
    assert ended.exit_code is ExitCode.DONE
    assert len(fleet.reads) == 1
    assert ended.elapsed_s == 0
    assert fleet.told == [ended]


def test_it_waits_until_the_last_row_has_converged() -> None:
    fleet = Fleet("a/f=2>1 b/f=2>1 c/f=1", "a/f=2 b/f=2")
    fleet.clock.at(20, lambda: fleet.api.settle("a"))
    fleet.clock.at(50, lambda: fleet.api.settle("b"))
    ended = fleet.wait()
    assert ended.exit_code is ExitCode.DONE
    assert ended.verdicts is not None
    assert ended.verdicts.rows[Verdict.CONVERGED] == 2
    assert 50 <= ended.elapsed_s <= 81
    assert fleet.told[0].verdicts is not None
    assert fleet.told[0].verdicts.rows[Verdict.CONVERGED] == 0


def test_polls_grow_apart_and_narrow_to_what_is_open() -> None:
    fleet = Fleet("a/f=2>1 b/f=2>1 a/g=1 c/h=2>1", "a/f=2 b/f=2 a/g=1 c/h=2")
    fleet.clock.at(3, lambda: fleet.api.settle("c"))
    fleet.clock.at(200, lambda: fleet.api.settle("b"))
    ended = fleet.wait(timeout_s=900)
    assert ended.timed_out
    assert ended.exit_code is ExitCode.NOT_CONVERGED
    assert 899 <= ended.elapsed_s <= 901
    assert max(fleet.clock.slept) == 30
    assert len(fleet.reads) < 50
    scopes = list(dict.fromkeys((read["flow_id"], read["device_id"]) for read in fleet.reads))
    assert scopes == [(None, None), ("f", None), (None, "a")]


def test_a_row_under_removal_is_not_looked_for_by_its_flow() -> None:
    fleet = Fleet("a/f=->1 b/f=2>1", "a/f=absent b/f=2")
    fleet.clock.at(9, fleet.api.settle)
    assert fleet.wait().exit_code is ExitCode.DONE
    assert {read["flow_id"] for read in fleet.reads} == {None}


@pytest.mark.parametrize(
    ("policy", "code", "elapsed_s"),
    [
        (Offline.SKIP, ExitCode.DONE, 0),
        (Offline.FAIL, ExitCode.NOT_CONVERGED, 0),
        (Offline.WAIT, ExitCode.NOT_CONVERGED, 100),
    ],
)
def test_devices_that_are_offline_from_the_start(policy: Offline, code: ExitCode, elapsed_s: float) -> None:
    fleet = Fleet("a/f=2>1 b/f=2", "a/f=2 b/f=2", offline=["a"])
    ended = fleet.wait(timeout_s=100, offline=policy)
    assert ended.exit_code is code
    assert ended.elapsed_s == elapsed_s
    assert ended.verdicts is not None
    assert ended.verdicts.rows[Verdict.OFFLINE] == 1


def test_an_offline_device_that_connects_is_waited_for_and_stays_so_when_it_drops_out() -> None:
    fleet = Fleet("a/f=2>1 b/f=2>1", "a/f=2 b/f=2", offline=["a"])
    fleet.clock.at(10, lambda: setattr(fleet.api.devices_by_id["a"], "connected", True))
    fleet.clock.at(30, lambda: setattr(fleet.api.devices_by_id["a"], "connected", False))
    fleet.clock.at(60, lambda: fleet.api.settle("b"))
    ended = fleet.wait(timeout_s=200)
    assert ended.timed_out
    assert ended.verdicts is not None
    assert [(laggard.device_id, laggard.verdict) for laggard in ended.verdicts.laggards] == [("a", Verdict.PENDING)]
    assert ended.exit_code is ExitCode.NOT_CONVERGED


def test_a_device_that_was_connected_at_first_and_drops_out_is_pending() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.api.devices_by_id["a"].connected = False
    assert fleet.wait(timeout_s=30).exit_code is ExitCode.NOT_CONVERGED


def test_a_new_device_without_a_record_is_offline_unless_seen_connected() -> None:
    fleet = Fleet("b/f=1", "a/f=2 b/f=1")
    fleet.api.add_device("a", connected=False, flows={"f": entry("2>-")})
    assert fleet.wait().verdicts.rows[Verdict.OFFLINE] == 1  # type: ignore[union-attr]
    fleet.api.devices_by_id["a"].connected = True
    assert fleet.wait(timeout_s=10).verdicts.rows[Verdict.PENDING] == 1  # type: ignore[union-attr]


def test_failed_devices_do_not_hold_the_wait() -> None:
    fleet = Fleet("a/f=2>1 b/f=2>1", "a/f=2 b/f=2")
    fleet.api.devices_by_id["a"].fails = frozenset("2")
    fleet.clock.at(5, fleet.api.settle)
    ended = fleet.wait()
    assert ended.exit_code is ExitCode.NOT_CONVERGED
    assert not ended.timed_out
    assert ended.elapsed_s < 10
    assert ended.verdicts is not None
    (laggard,) = ended.verdicts.laggards
    assert (laggard.verdict, laggard.error) == (Verdict.FAILED, "2 failed to compile")


def test_a_failed_device_that_recovers_while_others_are_waited_for_is_converged() -> None:
    fleet = Fleet("a/f=2>1 b/f=2>1", "a/f=2 b/f=2")
    fleet.api.devices_by_id["a"].fails = frozenset("2")
    fleet.clock.at(5, lambda: fleet.api.settle("a"))
    fleet.clock.at(20, lambda: setattr(fleet.api.devices_by_id["a"], "fails", frozenset()))
    fleet.clock.at(30, fleet.api.settle)
    assert fleet.wait().exit_code is ExitCode.DONE


def test_a_row_that_is_released_otherwise_is_given_a_minute() -> None:
    fleet = Fleet("a/f=1", "a/f=2")
    ended = fleet.wait()
    assert ended.exit_code is ExitCode.NOT_CONVERGED
    assert 60 <= ended.elapsed_s <= 91
    assert not ended.timed_out

    late = Fleet("a/f=1", "a/f=2")
    late.clock.at(30, lambda: late.api.set_entry("a", "f", entry("2")))
    assert late.wait().exit_code is ExitCode.DONE


def test_reads_that_fail_are_tried_again_until_time_is_up() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.clock.at(20, fleet.api.settle)
    fleet.api.fail("live", ServerFailed("503"), times=3)
    ended = fleet.wait()
    assert ended.exit_code is ExitCode.DONE
    assert fleet.told[0].read_error == "503"
    assert ended.read_error is None

    broken = Fleet("a/f=2>1", "a/f=2")
    broken.api.fail("live", ServerFailed("503"), times=1000)
    ended = broken.wait(timeout_s=100)
    assert ended.timed_out
    assert ended.verdicts is None
    assert ended.exit_code is ExitCode.NOT_CONVERGED


def test_a_token_that_stops_working_ends_the_wait() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.api.fail("live", AuthenticationFailed("the token has expired", status=401), skip=2)
    ended = fleet.wait()
    assert ended.stopped_by == "the token has expired"
    assert ended.exit_code is ExitCode.NOT_CONVERGED
    assert ended.verdicts is not None
    assert ended.verdicts.rows[Verdict.PENDING] == 1


DENIED = PermissionDenied("GET devices: 403", status=403)


@pytest.mark.parametrize("record", [False, True], ids=["its record is gone too", "its record stays"])
@pytest.mark.parametrize("denied", [False, True], ids=["devices are listed", "devices may not be listed"])
@pytest.mark.parametrize("others", ["", "b/f=2>1", "b/g=2>1"])
def test_a_device_that_is_deleted_meanwhile_is_no_longer_waited_for(others: str, *, record: bool, denied: bool) -> None:
    fleet = Fleet(f"a/f=2>1 {others}", f"a/f=2 {others.replace('>1', '')}")
    fleet.clock.at(20, lambda: fleet.api.delete_device("a", record=record))
    fleet.clock.at(60, lambda: fleet.api.settle("b"))
    if denied:
        fleet.api.forbidden["devices"] = DENIED
    ended = fleet.wait(timeout_s=300)
    assert ended.elapsed_s < 120
    assert ended.exit_code is ExitCode.DONE
    assert [(one.device_id, str(one.verdict)) for one in ended.laggards] == [("a", "device_deleted")]
    assert ended.rows is not None
    assert (ended.rows[Verdict.DEVICE_DELETED], sum(ended.rows.values())) == (1, 2 if others else 1)
    assert sum(action == "devices" for action, _ in fleet.api.log) <= 8


def test_whether_devices_exist_is_not_asked_of_many_one_by_one() -> None:
    rows = " ".join(f"d{number}/f=2>1" for number in range(1001))
    fleet = Fleet(rows, rows.replace(">1", ""))
    fleet.clock.at(70, lambda: fleet.api.delete_device("d7"))
    fleet.clock.at(130, fleet.api.settle)
    ended = fleet.wait(timeout_s=300)
    asked = [details["ids"] for action, details in fleet.api.log if action == "devices"]
    assert (ended.exit_code, asked) == (ExitCode.DONE, [None, None])
    assert [(one.device_id, str(one.verdict)) for one in ended.laggards] == [("d7", "device_deleted")]


def test_a_list_of_devices_that_cannot_be_read_lets_the_wait_go_on() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.api.fail("devices", times=2)
    fleet.clock.at(5, lambda: fleet.api.delete_device("a", record=True))
    ended = fleet.wait(timeout_s=300)
    assert (ended.exit_code, [one.device_id for one in ended.laggards]) == (ExitCode.DONE, ["a"])


def test_a_slow_list_is_not_read_all_the_time() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.api.latency_s["live"] = 20
    fleet.wait(timeout_s=400)
    assert len(fleet.reads) <= 11


def test_a_read_is_forgotten_once_it_is_judged() -> None:
    """A wait of many polls takes no more memory than one of two: that of the first read and of the newest verdicts."""
    fleet = Fleet("a/f=2>1 a/g=2>1 b/f=2>1", "a/f=2 a/g=2 b/f=2")
    kept: list[Counter[type]] = []
    gc.collect()  # what other tests left

    def count(_: Wait) -> None:
        kept.append(Counter(type(one) for one in gc.get_objects() if type(one) in (Live, LiveDevice, Laggard)))

    assert fleet.wait(timeout_s=300, observe=count).timed_out
    assert len(kept) > 10
    assert kept[1] == kept[-1]


def test_a_deadline_is_a_deadline_amid_a_read() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    fleet.api.latency_s["live"] = 50
    ended = fleet.wait(timeout_s=8)
    assert (ended.elapsed_s, ended.timed_out) == (8, True)
    assert ended.verdicts is None
    assert ended.read_error == "the last read did not end in time"
    assert ended.exit_code is ExitCode.NOT_CONVERGED

    ended = fleet.wait(timeout_s=120)  # one read ends, the next does not
    assert (ended.elapsed_s, ended.timed_out) == (120, True)
    assert ended.verdicts is not None
    assert ended.verdicts.rows[Verdict.PENDING] == 1
    assert fleet.told[-1] == ended


def test_cancelled_the_last_standing_has_been_told() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")

    async def run() -> None:
        task = asyncio.create_task(
            wait(
                fleet.wanted,
                fleet.api,
                clock=fleet.clock,
                timeout_s=900,
                first=fleet.first,
                observe=fleet.told.append,
            )
        )
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert fleet.told[-1].verdicts is not None
    assert fleet.told[-1].exit_code is ExitCode.NOT_CONVERGED


def test_time_that_is_over_before_it_began_still_reads_once() -> None:
    fleet = Fleet("a/f=2>1", "a/f=2")
    ended = fleet.wait(timeout_s=0)
    assert ended.timed_out
    assert len(fleet.reads) == 1
