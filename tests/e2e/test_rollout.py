"""A rollout from the merge to its end, by the installed command on the simulator: what is sent when, and what never.

For both kinds of deployments. Commands run in this process, on the clock of the line, but where a process is in
question: there they are killed, or two of them run at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.state import Kind
from reconciler.simulator import faults
from reconciler.simulator.faults import When
from reconciler.simulator.world.fleet import Device
from tests.support import processes
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION
from tests.support.line import RINGS, Line, line_at
from tests.support.waiting import until

POLICY = {
    "waves": "[{tags: {ring: canary}}, {tags: {ring: first}}]",
    "gate": "{converged: 80, soak: 1h, sample: 1}",
    "patience": "15m",
}
QUICK = "{converged: 80, soak: 10m, sample: 1}"
CANARIES, FIRST, REST = ({f"{ring}-{number}" for number in range(1, count + 1)} for ring, count in RINGS.items())
ALL = CANARIES | FIRST | REST
DONE, REFUSED, NOT_CONVERGED, STOPPED = 0, 3, 5, 7


@pytest.fixture
def line(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, kind) as running:
        yield running


def merge(
    line: Line, telemetry: str = "v2", alarms: str = "a1", *, rollout: str = "careful", more: str = "", **policy: str
) -> None:
    """The commit that the fleet is to follow; `policy` are keys of the policy."""
    keys = ", ".join(f"{key}: {value}" for key, value in {**POLICY, **policy}.items())
    line.manifest(
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nrollouts: {{careful: {{{keys}}}}}\n"
        "groups: {line: {select: {all: true}, "
        f"rollout: {rollout}, flows: {{telemetry: {telemetry}, alarms: {alarms}}}}}}}\n{more}"
    )


def apply(*argv: str) -> int:
    done = run_here("apply", "plant.yaml", "--yes", *argv)
    assert done.code not in (1, 6), done.err
    return done.code


def at(line: Line, version: str, flow: str = "telemetry") -> set[str]:
    """The devices to which a version is released."""
    return {row["device"] for row in line.control.rows() if row["flow"] == flow and row["released"] == version}


def goes_in_waves(line: Line) -> None:
    """Each wave gets v2 once the one before it has soaked, and no sooner."""
    for reached in (CANARIES, CANARIES | FIRST, ALL):
        assert (apply(), at(line, "v2")) == (DONE, reached)
        line.later(hours=0.9)
        assert (apply(), at(line, "v2")) == (DONE, reached)
        line.later(hours=0.2)


def test_each_wave_goes_when_the_one_before_it_has_soaked(line: Line) -> None:
    merge(line)
    goes_in_waves(line)
    assert apply() == DONE
    assert set(line.runs().values()) == {"v2"}
    assert at(line, "a1", "alarms") == ALL


def test_a_wait_goes_through_all_waves_on_its_own_reads(line: Line) -> None:
    """And tells what it waits for, and for how long."""
    merge(line, gate=QUICK)
    done = run_here("apply", "plant.yaml", "--yes", "--wait", "--timeout", "30m")
    assert (done.code, at(line, "v2")) == (DONE, ALL)
    assert set(line.runs().values()) == {"v2"}
    for wave, proven in ((1, "0 of 2"), (2, "2 of 5")):
        assert re.search(rf"\(\d+ withheld; line: wave {wave} has not passed: {proven} proven, \d min left\)", done.err)


def test_a_wait_ends_at_its_timeout_with_what_was_sent_by_then(line: Line) -> None:
    merge(line, gate=QUICK)
    assert apply("--wait", "--timeout", "15m") == DONE
    assert at(line, "v2") == CANARIES | FIRST


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        *((kind, outcome) for kind in Kind for outcome in ("fails", "silent")),
        (Kind.EMBEDDED, "unknown"),  # an edge device has no bundle
    ],
)
def test_a_canary_that_does_not_make_it_stops_the_rollout_until_a_revert_and_a_fix(line: Line, outcome: Any) -> None:
    line.goes_wrong(outcome, "v2", "canary-2")
    merge(line)
    assert apply() == DONE
    line.later(seconds=16 * 60)
    for _ in range(3):
        assert (apply(), at(line, "v2")) == (STOPPED, CANARIES)
        line.later(hours=2)
    assert run_here("status", "plant.yaml").code == STOPPED

    merge(line, "v1")
    assert (apply(), at(line, "v1")) == (DONE, ALL)
    line.later(seconds=6)
    assert (apply(), set(line.runs().values())) == (DONE, {"v1"})

    merge(line, "v3")
    for reached in (CANARIES, CANARIES | FIRST, ALL):
        assert (apply(), at(line, "v3")) == (DONE, reached)
        line.later(hours=1.1)


def test_a_fix_goes_forward_over_a_stopped_version(line: Line) -> None:
    line.goes_wrong("fails", "v2", "canary-2")
    merge(line)
    apply()
    line.later(hours=1)
    assert apply() == STOPPED
    merge(line, "v3")
    assert (apply(), at(line, "v3")) == (DONE, CANARIES)
    line.later(hours=1.1)
    assert (apply(), at(line, "v3")) == (DONE, CANARIES | FIRST)


def test_a_failure_in_a_later_wave_within_what_may_fail_stops_nothing_and_one_more_does(line: Line) -> None:
    line.goes_wrong("fails", "v2", "first-1")
    merge(line, gate=QUICK)
    assert (apply("--wait", "--timeout", "30m"), at(line, "v2")) == (DONE, ALL)
    line.goes_wrong("fails", "v3", "first-1")
    line.goes_wrong("fails", "v3", "first-2")
    merge(line, "v3", gate=QUICK)
    assert (apply("--wait", "--timeout", "30m"), at(line, "v3")) == (STOPPED, CANARIES | FIRST)


def test_a_canary_that_loads_and_dies_opens_nothing_and_stalls(line: Line) -> None:
    line.goes_wrong("dies", "v2", "canary-2")
    merge(line)
    assert apply() == DONE
    line.later(hours=24)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES)
    line.later(hours=24 * 7)
    assert (apply(), at(line, "v2")) == (STOPPED, CANARIES)
    merge(line, "v1")
    assert (apply(), at(line, "v1")) == (DONE, ALL)


def test_canaries_that_are_offline_leave_the_base_and_without_any_nothing_opens(line: Line) -> None:
    line.control.disconnect("canary-1")
    line.later(seconds=60)
    merge(line)
    assert apply() == DONE
    line.later(hours=1.1)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST)

    line.control.disconnect("canary-2")
    line.later(seconds=60)
    merge(line, "v3")
    assert (apply(), at(line, "v3")) == (DONE, CANARIES)
    line.later(hours=24)
    assert (apply(), at(line, "v3")) == (DONE, CANARIES)
    line.control.connect("canary-1")
    line.later(hours=1.1)
    assert (apply(), at(line, "v3")) == (DONE, CANARIES | FIRST)


def test_two_flows_share_their_waves_and_one_that_is_reverted_leaves_the_other_where_it_is(line: Line) -> None:
    line.goes_wrong("fails", "a2", "canary-2", flow="alarms")
    merge(line, "v2", "a2")
    assert (apply(), at(line, "v2"), at(line, "a2", "alarms")) == (DONE, CANARIES, CANARIES)
    line.later(hours=1.1)
    assert (apply(), at(line, "v2"), at(line, "a2", "alarms")) == (STOPPED, CANARIES, CANARIES)

    merge(line, "v2", "a1")
    apply()
    assert (at(line, "v2"), at(line, "a1", "alarms")) == (CANARIES, ALL)
    line.later(hours=1.1)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST)


@pytest.mark.parametrize("former", ["a1", "a2"])
@pytest.mark.parametrize(("kind", "outcome"), [(Kind.EMBEDDED, "unknown"), *((kind, "fails") for kind in Kind)])
def test_the_pins_to_paste_name_what_a_failing_device_ran_before(line: Line, outcome: Any, former: str) -> None:
    """Of a flow that came along, its version before; of one that stayed, however long ago it came, that one."""
    line.goes_wrong(outcome, "v2", "canary-2")
    if former == "a2":
        merge(line, "v1", "a2", rollout="none")
        assert apply() == DONE
        line.later(hours=24)
    merge(line, "v2", "a2")
    assert apply() == DONE
    line.later(hours=1)
    (rollout,) = run_here("status", "plant.yaml", "--format", "json").document["status"][0]["rollouts"]
    (failing,) = rollout["failing"]
    assert sorted(failing["former"].values()) == [former, "v1"]


@pytest.mark.parametrize("filters", [("--target", "flow=alarms"), ("--exclude", "flow=telemetry")])
def test_a_filter_takes_no_flow_from_a_device_whose_wave_is_shut(line: Line, filters: tuple[str, str]) -> None:
    """What `prune` removes waits for the rows of its device that are withheld, chosen or not."""
    line.manifest(
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nprune: devices\n"
        f"limits: {{removals: {{count: 100, percent: 100}}}}\nrollouts: {{careful: {{waves: {POLICY['waves']}}}}}\n"
        "groups: {line: {select: {all: true}, rollout: careful, flows: {telemetry: v2}}}\n"
    )
    assert (apply(*filters), at(line, "a1", "alarms")) == (DONE, ALL - CANARIES)


PIN = "pins: [{device: canary-2, flows: {telemetry: v1}, reason: breaks, until: 2026-12-31}]\n"


def test_a_pin_takes_a_failing_canary_out_at_once_and_the_rollout_goes_on(line: Line) -> None:
    line.goes_wrong("fails", "v2", "canary-2")
    merge(line)
    apply()
    line.later(hours=1.1)
    assert apply() == STOPPED
    merge(line, more=PIN)
    assert (apply(), at(line, "v2")) == (DONE, {"canary-1"} | FIRST)
    line.later(hours=1.1)
    assert (apply(), at(line, "v2")) == (DONE, ALL - {"canary-2"})


def test_newcomers_have_a_wave_of_their_own(line: Line, kind: Kind) -> None:
    merge(line)
    apply()
    line.later(hours=1.1)
    apply()
    for ring in ("canary", "rest"):
        line.control.add_device(Device(name=f"new-{ring}", device_class=kind.device_class, tags={"ring": [ring]}))
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST | {"new-canary"})
    line.later(hours=0.5)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST | {"new-canary"})
    line.later(hours=0.7)
    assert (apply(), at(line, "v2")) == (DONE, ALL | {"new-canary", "new-rest"})


def test_an_approval_raises_what_may_go(line: Line) -> None:
    merge(line, rollout="{policy: careful, up_to: 0}")
    assert (apply(), at(line, "v2")) == (DONE, set())
    for up_to, reached in ((1, CANARIES), (2, CANARIES | FIRST), (3, ALL)):
        merge(line, rollout=f"{{policy: careful, up_to: {up_to}}}")
        for _ in range(2):
            assert (apply(), at(line, "v2")) == (DONE, reached)
            line.later(hours=24 * 9)
    assert apply() == DONE


def test_a_canary_that_is_held_by_approval_never_stalls_and_one_that_is_paused_goes_back(line: Line) -> None:
    merge(line, rollout="{policy: careful, up_to: 1}")
    apply()
    line.later(hours=24 * 30)
    assert apply() == DONE
    merge(line, "v1", rollout="{policy: careful, up_to: 0}")
    assert (apply(), at(line, "v1")) == (DONE, ALL)


@pytest.mark.parametrize("cap", [1, 2, 3])
def test_a_log_that_is_cut_opens_no_wave_sooner(line: Line, cap: int) -> None:
    line.control.switch(log_cap=cap)
    merge(line)
    goes_in_waves(line)


def test_without_its_log_a_revert_goes_in_waves_where_devices_run_the_version(line: Line) -> None:
    line.goes_wrong("fails", "v2", "first-1")
    merge(line, gate=QUICK)
    apply("--wait", "--timeout", "30m")
    assert at(line, "v2") == ALL
    line.control.switch(log_cap=1)
    line.later(hours=1)
    merge(line, "v1")
    assert (apply(), at(line, "v1")) == (DONE, CANARIES | {"first-1"})
    line.later(hours=1.1)
    assert (apply(), at(line, "v1")) == (DONE, CANARIES | FIRST)
    merge(line, "v1", rollout="none")
    assert (apply(), at(line, "v1")) == (DONE, ALL)


def test_windows_hold_waves_and_nothing_that_goes_back(line: Line) -> None:
    nights = "{from: '01:00', to: '05:00'}"
    merge(line, window=nights)
    assert (apply(), at(line, "v2")) == (DONE, set())
    line.later(hours=16)  # 01:00
    assert (apply(), at(line, "v2")) == (DONE, CANARIES)
    line.later(hours=4)  # 05:00
    assert (apply(), at(line, "v2")) == (DONE, CANARIES)
    line.later(hours=20)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST)
    line.later(hours=6)
    merge(line, "v1", window=nights)
    assert (apply(), at(line, "v1")) == (DONE, ALL)


def test_a_wait_sends_when_the_window_opens(line: Line) -> None:
    merge(line, window="{from: '09:10', to: '11:00'}", gate=QUICK)
    assert apply("--wait", "--timeout", "40m") == DONE
    assert at(line, "v2") == ALL


def test_filters_choose_among_what_may_go_and_open_nothing(line: Line) -> None:
    merge(line)
    apply("--target", "device=rest-1")
    assert at(line, "v2") == set()
    assert (apply("--target", "device=canary-1"), at(line, "v2")) == (DONE, {"canary-1"})
    line.later(hours=1.1)
    assert (apply("--exclude", "device=canary-2"), at(line, "v2")) == (DONE, {"canary-1"})
    assert (apply("--target", "flow=telemetry"), at(line, "v2")) == (DONE, CANARIES)
    line.later(hours=1.1)
    two = {"first-1", "first-2"}
    apply(*(word for device in two for word in ("--exclude", f"device={device}")))
    assert at(line, "v2") == CANARIES | FIRST - two
    line.later(hours=1.1)
    apply("--target", "device=rest-1")
    assert at(line, "v2") == CANARIES | FIRST - two


def test_a_filter_that_leaves_a_later_wave_only_makes_no_rollout_stall(line: Line) -> None:
    merge(line)
    assert apply("--target", "device=rest-1") == DONE


def pairs(count: int) -> list[dict[str, Any]]:
    """Machines that stand in for one another, two and two."""
    own = {"deployed": {"telemetry": "v1", "alarms": "a1"}}
    return [
        {"name": f"{side}-{number}", "tags": {"pair": f"{number}", "ring": "rest"}, **own}
        for number in range(1, count + 1)
        for side in ("duty", "spare")
    ]


@pytest.fixture
def paired(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with line_at(tmp_path, monkeypatch, kind, devices=pairs(3)) as running:
        yield running


def together(line: Line, version: str) -> set[str]:
    """The pairs of which both halves have a version released that they do not report."""
    behind = [row["device"] for row in line.control.rows() if row["released"] == version != row["reported"]]
    numbers = [name.split("-")[1] for name in behind]
    return {number for number in numbers if numbers.count(number) > 1}


BUDGET = {"waves": "[{percent: 1}]", "budget": "{by: [pair], unavailable: 1}"}


def test_a_budget_never_sends_to_both_halves_of_a_pair(paired: Line) -> None:
    merge(paired, **BUDGET)
    assert apply() == DONE
    (canary,) = at(paired, "v2")
    paired.later(hours=1.1)
    apply()
    assert len(at(paired, "v2")) == 4  # one half of each pair, and the other half of the canary's
    assert together(paired, "v2") == set()
    apply()
    assert len(at(paired, "v2")) == 4
    paired.later(seconds=6)
    assert (apply(), len(at(paired, "v2"))) == (DONE, 6)
    assert canary in at(paired, "v2")


def test_an_offline_half_holds_the_other_and_neither_a_failed_one_nor_a_revert_is_held(paired: Line) -> None:
    paired.control.disconnect("duty-1")
    paired.later(seconds=60)
    merge(paired, **BUDGET | {"waves": "[{devices: [duty-2]}]"})
    paired.goes_wrong("fails", "v2", "duty-3")
    apply()
    for _ in range(3):
        paired.later(hours=1.1)
        apply()
    assert at(paired, "v1") == {"spare-1"}  # what is away already is sent its version
    merge(paired, "v1", **BUDGET)
    assert (apply(), len(at(paired, "v1"))) == (DONE, 6)


def test_a_wait_goes_on_as_soon_as_the_budget_has_room(paired: Line) -> None:
    merge(paired, **BUDGET, gate=QUICK)
    assert apply("--wait", "--timeout", "30m") == DONE
    assert set(paired.runs().values()) == {"v2"}


def test_what_prune_takes_away_waits_for_what_comes_instead(line: Line) -> None:
    """The group trades `alarms` for nothing: it is pruned from a device when its wave comes, not before."""
    line.manifest(
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nprune: devices\n"
        f"rollouts: {{careful: {{{', '.join(f'{key}: {value}' for key, value in POLICY.items())}}}}}\n"
        "groups: {line: {select: {all: true}, rollout: careful, flows: {telemetry: v2}}}\n"
        "limits: {removals: {count: 100, percent: 100}}\n"
    )
    for reached in (CANARIES, CANARIES | FIRST, ALL):
        assert (apply(), at(line, "v2"), at(line, "a1", "alarms")) == (DONE, reached, ALL - reached)
        line.later(hours=1.1)


def test_a_version_that_somebody_takes_back_by_hand_is_sent_again_in_its_wave(line: Line) -> None:
    merge(line)
    apply()
    line.later(hours=1.1)
    apply()
    line.control.set_released("canary-1", "telemetry", "v1")
    line.control.set_released("rest-1", "telemetry", "v3")
    line.later(hours=1.1)
    assert (apply(), at(line, "v2")) == (DONE, CANARIES | FIRST)
    assert at(line, "v3") == {"rest-1"}
    line.later(hours=1.1)
    assert (apply(), at(line, "v2")) == (DONE, ALL)


@pytest.mark.parametrize("date", [{"absent": True}, {"text": "yesterday"}])
def test_without_the_servers_time_nothing_opens_and_what_goes_back_goes(line: Line, date: Any) -> None:
    merge(line)
    apply()
    line.later(hours=2)
    line.control.fault(faults.Date(**date))
    assert (apply(), at(line, "v2")) == (DONE, CANARIES)
    merge(line, "v1")
    assert (apply(), at(line, "v1")) == (DONE, ALL)


def test_one_stopped_group_does_not_hold_another(line: Line) -> None:
    policy = ", ".join(f"{key}: {value}" for key, value in {**POLICY, "waves": "[{percent: 40}]"}.items())
    line.manifest(
        f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nrollouts: {{careful: {{{policy}}}}}\ngroups:\n"
        "  some: {select: {tags: {ring: first}}, rollout: careful, flows: {telemetry: v2}}\n"
        "  others: {select: {tags: {ring: rest}}, rollout: careful, flows: {telemetry: v3}}\n"
    )
    line.goes_wrong("fails", "v2")
    assert apply() == DONE
    sent = at(line, "v2")
    assert sent
    assert sent < FIRST
    line.later(hours=1.1)
    assert (apply(), at(line, "v2"), at(line, "v3")) == (STOPPED, sent, REST)


def test_the_digest_of_a_review_holds_over_all_steps(line: Line) -> None:
    merge(line)
    reviewed = run_here("plan", "plant.yaml", "--format", "json").document["review_digest"]
    for reached in (CANARIES, CANARIES | FIRST, ALL):
        assert (apply("--expect-digest", reviewed), at(line, "v2")) == (DONE, reached)
        line.later(hours=1.1)
    merge(line, gate="{converged: 80, soak: 30m, sample: 1}")
    assert apply("--expect-digest", reviewed) == 4


RELEASE = When(path="/deployments/(release|replace)$")


TWO_WAVES = {"waves": "[{tags: {ring: canary}}]"}  # to save time


@pytest.mark.parametrize(
    ("kind", "effect"), [(Kind.EMBEDDED, "before"), (Kind.EMBEDDED, "after"), (Kind.EDGE, "after")]
)
def test_killed_in_each_step_it_comes_to_the_same_end(line: Line, effect: str) -> None:
    merge(line, **TWO_WAVES)
    when = RELEASE if effect == "after" else When(path="/deployments$", nth=2)
    for reached in (CANARIES, ALL):
        line.control.fault(faults.SlowHeaders(seconds=60, when=when))
        with line.started("apply", "plant.yaml", "--yes") as process:
            until(lambda: line.control.faults()[0]["fired"])
            process.kill()
            processes.end(process)
        line.control.clear_faults()
        assert (apply(), at(line, "v2")) == (DONE, reached)
        line.later(hours=1.1)


@pytest.mark.parametrize("kind", [Kind.EMBEDDED])
def test_two_runners_at_once_send_what_one_sends(line: Line) -> None:
    merge(line, **TWO_WAVES)
    for reached in (CANARIES, ALL):
        both = [line.start("apply", "plant.yaml", "--yes") for _ in range(2)]
        ends = [processes.end(one) for one in both]
        assert [one.returncode for one in both] == [DONE, DONE], ends
        assert at(line, "v2") == reached
        line.later(hours=1.1)


@pytest.mark.parametrize("kind", [Kind.EDGE])
def test_two_that_wait_at_once_reach_the_end_in_processes_of_their_own(line: Line) -> None:
    merge(line, gate="{converged: 80, soak: 1h, sample: 1}")
    with line.hurrying(3600):
        both = [line.start("apply", "plant.yaml", "--yes", "--wait", "--timeout", "4h") for _ in range(2)]
        ends = [processes.end(one) for one in both]
    assert [one.returncode for one in both] == [DONE, DONE], ends
    assert at(line, "v2") == ALL
