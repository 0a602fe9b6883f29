"""Larger worlds than can be enumerated, at random: soundness, counts, restarts, and the same plan from any order."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.documents.plan import plan_document
from reconciler.documents.saved_plan import read_plans
from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveDevice, RemoveRow, Replace, outcome
from reconciler.model.rules import Limits
from reconciler.model.state import Decision, Desired, Entry, FlowId, Kind, Live, LiveDevice, Row, Version
from reconciler.model.world import CallMode, Filter, Options, World
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.calls.reach import reach
from reconciler.planner.diff import compare
from reconciler.planner.planner import make_plan
from tests.builders import APPLICATION, PLACE, read
from tests.planner.model import ALL_ANSWERS, Answers, Platform, astray
from tests.planner.worlds import allowed, legal_plans, wildcards

VERSIONS = ["1", "2", "3"]
version = st.sampled_from([None, *VERSIONS])
released_versions = st.sampled_from([*VERSIONS, *VERSIONS, None])
slow = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Mostly converged, since that is what makes cohorts."""
    released = draw(released_versions)
    return Entry(released, released if draw(st.integers(0, 9)) else draw(version))


entry = entries()  # made once: a strategy that is made at each draw costs more than the draw
kinds = st.sampled_from(Kind)
targets_of_versions = st.permutations(VERSIONS) | st.lists(version, min_size=3, max_size=3)


def _record(flows: dict[FlowId, Entry], kind: Kind, *, is_odd: bool) -> LiveDevice:
    """An odd embedded device has an unknown bundle, an odd edge device a custom node among its flows."""
    custom = [flow for flow, entry in flows.items() if entry.released][:1]
    return LiveDevice(
        flows,
        unknown_bundle=is_odd and kind is Kind.EMBEDDED,
        unmanageable=frozenset(custom if is_odd and kind is Kind.EDGE else ()),
    )


@st.composite
def worlds(
    draw: st.DrawFn, kind: Kind | None = None, *, flows: int = 3, devices: int = 7, odd_in: int = 21
) -> tuple[Desired, Live]:
    """Mostly cohorts that move as one, some devices on their own, some unmanaged; of either kind unless one is given.

    One device in `odd_in` is odd. Where a cohort goes depends on where it is, so chains and cycles come up often.
    """
    kind = kind or draw(kinds)
    names = "fgh"[:flows]
    targets = {
        flow: {None: draw(version), **dict(zip(VERSIONS, draw(targets_of_versions), strict=True))} for flow in names
    }
    wanted: dict[str, dict[str, Decision]] = {}
    records: dict[str, LiveDevice] = {}
    for device_id in "abcdefghijkl"[: draw(st.sampled_from((devices, devices, devices - 1, 3, 2, 1)))]:
        flows_of = {flow: draw(entry) for flow in names if draw(st.integers(0, 9))}
        records[device_id] = _record(flows_of, kind, is_odd=not draw(st.integers(0, odd_in - 1)))
        released = {flow: flows_of[flow].released if flow in flows_of else None for flow in names}
        wanted[device_id] = {
            flow: Decision(
                targets[flow][released[flow]] if draw(st.integers(0, 15)) else draw(version), PLACE, "device"
            )
            for flow in names
            if draw(st.integers(0, 20))
        }
    return Desired(wanted), Live(records)


@st.composite
def planned_worlds(draw: st.DrawFn) -> World:
    kind = draw(kinds)
    wanted, seen = draw(worlds(kind))
    return World(APPLICATION, kind, wanted, read(seen))


def _wanted(desired: Desired, live: Live) -> dict[Row, Version | None]:
    return {change.row: change.to_version for change in compare(desired, live).changes}


def _is_wildcard(call: PlannedCall) -> bool:
    return not isinstance(call.request, Release | RemoveRow)


@slow
@given(worlds(), st.integers(1, 3), st.sampled_from(CallMode))
def test_calls_are_sound_under_every_reading_and_carry_each_change_once(
    world: tuple[Desired, Live], chunk: int, mode: CallMode
) -> None:
    desired, live = world
    changes = compare(desired, live).changes
    calls = cover(changes, live, mode=mode, chunk=chunk)
    prove(changes, calls, live)
    assert sorted(row for call in calls for row in call.rows) == sorted(change.row for change in changes)
    plain = [(call.request, frozenset(call.after)) for call in calls]
    assert not list(astray(live, _wanted(desired, live), plain, VERSIONS))
    for call in calls:
        assert all(other < call.id for other in call.after)
        if isinstance(call.request, Release):
            assert 1 <= len(call.request.device_ids) <= chunk


@slow
@given(worlds(), st.integers(1, 3))
def test_the_wildcards_save_what_they_say(world: tuple[Desired, Live], chunk: int) -> None:
    """Wildcards of one flow and target tell what they save together; with devices cleared, all removals do."""
    desired, live = world
    changes = compare(desired, live).changes
    calls = cover(changes, live, chunk=chunk)
    clearing = any(isinstance(call.request, RemoveDevice) for call in calls)
    told: dict[object, list[str]] = {}
    for call in filter(_is_wildcard, calls):
        to = outcome(call.request)
        told.setdefault((to is None and clearing) or (call.rows[0][1], to), []).append(call.reason.partition("; ")[2])
    saved = 0
    for reasons in told.values():
        assert len(set(reasons)) == 1
        found = re.fullmatch(r"saves (\d+) calls?(?:, together with (\d+) other wildcards?)?", reasons[0])
        assert found, reasons
        assert int(found[1]) > 0
        assert int(found[2] or 0) == len(reasons) - 1
        saved += int(found[1])
    assert saved == len(cover(changes, live, mode=CallMode.EXPLICIT, chunk=chunk)) - len(calls)


@slow
@given(worlds(flows=1, devices=9), st.integers(1, 3))
def test_one_flow_has_the_fewest_calls_and_of_those_the_fewest_wildcards(
    world: tuple[Desired, Live], chunk: int
) -> None:
    desired, live = world
    changes = compare(desired, live).changes
    assume(changes)
    wanted = {change.row: change.to_version for change in changes}
    calls = cover(changes, live, chunk=chunk)
    fewest = min((len(plan), wildcards) for wildcards, plan in legal_plans(live, wanted, VERSIONS, chunk))
    assert (len(calls), sum(map(_is_wildcard, calls))) == fewest


@slow
@given(worlds(flows=3, devices=4), st.integers(1, 3))
def test_several_flows_never_need_more_calls_than_explicit_ones(world: tuple[Desired, Live], chunk: int) -> None:
    desired, live = world
    changes = compare(desired, live).changes
    explicit = cover(changes, live, mode=CallMode.EXPLICIT, chunk=chunk)
    assert len(cover(changes, live, chunk=chunk)) <= len(explicit)


@slow
@given(worlds(), st.integers(1, 3), st.sampled_from(ALL_ANSWERS), st.integers(0, 10), st.integers(0, 2**32))
def test_a_plan_cut_anywhere_is_finished_by_the_next_one(
    world: tuple[Desired, Live], chunk: int, answers: Answers, cut: int, seed: int
) -> None:
    desired, live = world
    platform = Platform.of(live, answers, random.Random(seed), VERSIONS)
    before = platform.released()
    wanted = _wanted(desired, live)
    after = {row: version for row, version in {**before, **wanted}.items() if version is not None}
    _play(platform, desired, live, chunk, stop=cut)
    _play(platform, desired, _read(platform, live), chunk)
    assert platform.released() == after
    assert not compare(desired, _read(platform, live)).changes


def _read(platform: Platform, first: Live) -> Live:
    """A later read, in which custom nodes are what they were."""
    devices = platform.read().devices
    kept = {one: device.unmanageable for one, device in first.devices.items()}
    return Live({one: device._replace(unmanageable=kept.get(one, frozenset())) for one, device in devices.items()})


def _play(platform: Platform, desired: Desired, live: Live, chunk: int, stop: int = 10_000) -> None:
    """Send calls in some order that `after` permits, with reports in between; no row may ever be anywhere else."""
    changes = compare(desired, live).changes
    wanted = {change.row: change.to_version for change in changes}
    before = platform.released()
    calls = list(cover(changes, live, chunk=chunk))
    done: set[int] = set()
    for _ in range(min(stop, len(calls))):
        platform.report()
        free = [call for call in calls if call.id not in done and done.issuperset(call.after)]
        call = platform.dice.choice(free)
        platform.send(call.request)
        done.add(call.id)
        now = platform.released()
        for row in now.keys() | before.keys():
            assert now.get(row) in {before.get(row), wanted.get(row, before.get(row))}, (row, call)


@slow
@given(planned_worlds(), st.integers(1, 3), st.integers(0, 2**32))
def test_the_order_of_inputs_does_not_matter(world: World, chunk: int, seed: int) -> None:
    dice = random.Random(seed)
    options = Options(chunk=chunk)
    texts = set()
    shuffled = world._replace(desired=_shuffled(world.desired, dice), read=read(_shuffled_live(world.live, dice)))
    for each in (world, shuffled):
        plan = make_plan(each, limits=Limits(), manifests=(), options=options)
        texts.add(json.dumps(plan_document([plan], "plan")))
        assert [call.reason for call in plan.calls if not call.reason] == []
    assert len(texts) == 1


def _shuffled(desired: Desired, dice: random.Random) -> Desired:
    devices = list(desired.devices.items())
    dice.shuffle(devices)
    return Desired({device_id: dict(dice.sample(list(flows.items()), len(flows))) for device_id, flows in devices})


def _shuffled_live(live: Live, dice: random.Random) -> Live:
    devices = list(live.devices.items())
    dice.shuffle(devices)
    return Live(
        {
            device_id: device._replace(flows=dict(dice.sample(list(device.flows.items()), len(device.flows))))
            for device_id, device in devices
        }
    )


filters = st.lists(
    st.one_of(
        st.builds(Filter, st.just("device"), st.sampled_from("ab")), st.builds(Filter, st.just("flow"), st.just("f"))
    ),
    max_size=2,
)


@slow
@given(planned_worlds(), filters, filters, st.integers(1, 2))
def test_a_partial_plan_moves_nothing_outside_its_scope(
    world: World, targets: list[Filter], excludes: list[Filter], chunk: int
) -> None:
    desired, live = world.desired, world.live
    assume({"a", "b"} <= live.devices.keys() and any("f" in device.flows for device in live.devices.values()))
    options = Options(targets=tuple(targets), excludes=tuple(excludes), chunk=chunk)
    plan = make_plan(world, limits=Limits(), manifests=(), options=options)
    named = [(one.by, one.text) for one in targets], [(one.by, one.text) for one in excludes]

    def in_scope(row: Row) -> bool:
        chosen, left_out = (("device", row[0]) in each or ("flow", row[1]) in each for each in named)
        return (chosen or not targets) and not left_out

    wanted = {row: to for row, to in _wanted(desired, live).items() if in_scope(row)}
    assert {change.row: change.to_version for change in plan.changes} == wanted
    assert plan.partial == bool(targets or excludes)
    plain = [(call.request, frozenset(call.after)) for call in plan.calls]
    assert not list(astray(live, wanted, plain, VERSIONS))


@slow
@given(planned_worlds(), st.integers(1, 3))
def test_saving_and_reading_gives_the_same_document(world: World, chunk: int) -> None:
    plan = make_plan(world, limits=Limits(), manifests=(), options=Options(chunk=chunk))
    saved = json.loads(json.dumps(plan_document([plan], "plan")))
    assert plan_document(read_plans(saved), "plan") == saved


@slow
@given(worlds(flows=2), st.integers(1, 3))
def test_replaces_are_never_both_for_one_old_version(world: tuple[Desired, Live], chunk: int) -> None:
    desired, live = world
    calls = cover(compare(desired, live).changes, live, chunk=chunk)
    olds = [(call.request.flow_id, call.request.old) for call in calls if isinstance(call.request, Replace)]
    assert len(olds) == len(set(olds))


def _cycling(dice: random.Random) -> tuple[Desired, Live]:
    """Cohorts of one flow that move in cycles and chains, with an odd row or device now and then; of either kind."""
    kind = dice.choice(list(Kind))
    versions = ["1", "2", "3", "4"][: dice.randint(2, 4)]
    target: dict[str, str | None] = dict(zip(versions, dice.sample(versions, len(versions)), strict=True))
    if dice.random() < 0.3:
        target[versions[0]] = dice.choice([None, "4"])
    wanted, records = {}, {}
    for device_id in "abcdefghijkl"[: dice.randint(4, 11)]:
        old = dice.choice(versions)
        reported = old if dice.random() < 0.95 else dice.choice(versions)
        records[device_id] = _record({"f": Entry(old, reported)}, kind, is_odd=dice.random() < 0.02)
        wanted[device_id] = {"f": Decision(target[old] if dice.random() < 0.97 else None, PLACE, "device")}
    return Desired(wanted), Live(records)


@pytest.mark.parametrize("chunk", [1, 2])
def test_cycles_are_cut_where_it_costs_least(chunk: int) -> None:
    dice, waiting = random.Random(chunk), 0
    for _ in range(600):
        desired, live = _cycling(dice)
        changes = compare(desired, live).changes
        if not changes:
            continue
        wanted = {change.row: change.to_version for change in changes}
        calls = cover(changes, live, chunk=chunk)
        prove(changes, calls, live)
        versions = ["1", "2", "3", "4"]
        assert not list(astray(live, wanted, [(call.request, frozenset(call.after)) for call in calls], versions))
        fewest = min((len(plan), wildcards) for wildcards, plan in legal_plans(live, wanted, versions, chunk))
        assert (len(calls), sum(map(_is_wildcard, calls))) == fewest
        waiting += "would wait for each other" in " ".join(call.reason for call in calls)
    assert waiting > 30  # cycles that were cut


def _decommissioning(dice: random.Random) -> tuple[Desired, Live]:
    """Devices that lose most of their flows, in few versions, with something kept here and there; of either kind."""
    kind = dice.choice(list(Kind))
    flows, wanted, records = "fghij"[: dice.randint(2, 5)], {}, {}
    for device_id in "abcdef"[: dice.randint(2, 6)]:
        held = [flow for flow in flows if dice.random() < 0.8]
        entries = {flow: dice.choice("112") for flow in held}
        fates = {flow: dice.choices([None, "9", "kept"], [75, 10, 15])[0] for flow in held}
        rows = {flow: Entry(version, version) for flow, version in entries.items()}
        records[device_id] = _record(rows, kind, is_odd=dice.random() < 0.05)
        wanted[device_id] = {
            flow: Decision(version, PLACE, "device") for flow, version in fates.items() if version != "kept"
        }
    return Desired(wanted), Live(records)


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_removals_over_several_flows_are_no_more_than_those_of_each_flow_alone(chunk: int) -> None:
    """Those are as few as can be without clearing devices, which only ever spares calls; mostly as many as can be."""
    dice, cleared, worse, versions = random.Random(chunk), 0, 0, ["1", "2", "9"]
    for _ in range(150):
        desired, live = _decommissioning(dice)
        changes = compare(desired, live).changes
        wanted = {change.row: change.to_version for change in changes}
        if sum(allowed(request, live, wanted) for request in wildcards(live, wanted, versions)) > 9:
            continue
        calls = cover(changes, live, chunk=chunk)
        prove(changes, calls, live)
        plans = [plan for _, plan in legal_plans(live, wanted, versions, chunk)]
        alone = min(len(plan) for plan in plans if not any(isinstance(one, RemoveDevice) for one, _ in plan))
        worse += len(calls) > min(map(len, plans))
        assert len(calls) <= alone
        if devices := sum(isinstance(call.request, RemoveDevice) for call in calls):
            assert len(calls) < alone
            cleared += devices
    assert cleared > 3
    assert worse < 5


@slow
@given(worlds(Kind.EDGE, odd_in=3), st.integers(1, 3))
def test_custom_nodes_are_in_no_change_and_in_no_call(world: tuple[Desired, Live], chunk: int) -> None:
    """Neither named, nor in the reach of a wildcard whose outcome is another than what is released there."""
    desired, live = world
    custom = {(device_id, flow) for device_id, device in live.devices.items() for flow in device.unmanageable}
    assume(custom)
    changes = compare(desired, live).changes
    calls = cover(changes, live, chunk=chunk)
    assert custom.isdisjoint(change.row for change in changes)
    for call in calls:
        assert custom.isdisjoint(call.rows)
        for row in custom & reach(call.request, live, {}):
            assert live.entry(*row).released == outcome(call.request)
