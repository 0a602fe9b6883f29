"""Quiet logs: a read that keeps their date only judges every rollout as one that keeps all of each log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.api.embedded import EmbeddedPages
from reconciler.manifest.files import DiskFiles
from reconciler.manifest.load import load
from reconciler.model.rollout import STALLED_S, Rollout, Rollouts, quiet_of
from reconciler.model.rules import Budget, Gate, Limits, Policy, Selector, Wave
from reconciler.model.state import Decision, Desired, Evidence, Kind, Live, LiveDevice, Quiet, Read
from reconciler.model.world import Options, World
from reconciler.planner.planner import make_plan
from tests.api.speaking import listing, records_of
from tests.builders import APPLICATION, PLACE, hex_id

NOW, HOUR, DAY = 1_772_323_200.0, 3600.0, 86400.0
SOAK_S = int(HOUR)
FOR_S = STALLED_S + 2 * SOAK_S + 1
PUMP, FAN, DEVICE = hex_id(1, "f"), hex_id(2, "f"), hex_id(1, "d")
VERSIONS = frozenset({"v1", "v2"})
QUIET = Quiet(FOR_S, VERSIONS)
LONG_AGO = NOW - FOR_S - 5 * DAY - HOUR
WAVE = Wave(PLACE, Selector(PLACE, percent=Decimal(10)))
POLICY = Policy("careful", PLACE, (WAVE, WAVE), Gate(Decimal(50), SOAK_S, 1))


def text_of(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def read(
    *records: Mapping[str, Any], quiet: Quiet | None = QUIET, sent_at: float | None = NOW
) -> dict[str, LiveDevice]:
    pages = EmbeddedPages(evidence=True, quiet=quiet)
    pages.sent_at = sent_at
    return pages.merged(records_of(pages.page(json.dumps(listing(list(records))).encode())))


def released(at: float, version: str = "v1", flow_id: str = PUMP, **more: Any) -> dict[str, Any]:
    line = {"date": text_of(at), "changeType": "desired", "updateType": "replaceFlow", "updateFlowId": flow_id}
    return line | {"desiredVersion": version, "newBundle": "17"} | more


def loaded(at: float, **more: Any) -> dict[str, Any]:
    return {"date": text_of(at), "changeType": "current", "updateType": "device", "newBundle": "17"} | more


def record(*logs: Any, number: int = 1, **fields: Any) -> dict[str, Any]:
    """A connected device that runs what was released to it."""
    base: dict[str, Any] = {
        "id": hex_id(number, "e"),
        "deviceId": hex_id(number, "d"),
        "deviceConnectionInfo": {"time": text_of(LONG_AGO), "connected": 1},
        "flows": {PUMP: {"desiredVersion": "v1", "currentVersion": "v1"}},
        "currentBundleVersion": "17",
        "lastUpdated": text_of(LONG_AGO),
        "logs": [*logs],
    }
    return base | fields


def evidence(*logs: Any, **fields: Any) -> Evidence:
    return read(record(*logs, **fields))[DEVICE].evidence


OLD = released(LONG_AGO - HOUR), loaded(LONG_AGO)


def test_devices_with_quiet_logs_share_one_line_that_is_later_than_all_of_theirs() -> None:
    found = read(record(*OLD), record(released(LONG_AGO - 99 * DAY), number=2))
    first, second = (device.evidence for device in found.values())
    assert first is second
    assert (len(first.lines), list(first.instants)) == (1, [NOW - FOR_S])


@pytest.mark.parametrize(
    ("logs", "fields"),
    [
        ((*OLD, loaded(NOW - FOR_S)), {}),  # a newer line
        ((*OLD, loaded(NOW - FOR_S - HOUR)), {}),  # or one that may be newer, if it named a zone
        ((*OLD, loaded(0, date=None)), {}),
        ((*OLD, loaded(0, date="soon")), {}),
        ((loaded(0, date="1"),), {}),  # none that can be read
        ((*OLD, loaded(LONG_AGO, error="full")), {}),  # an error, which counts as later than all if its date is odd
        ((*OLD, released(0, "v0", date="", error="full")), {}),
        ((), {}),
        (OLD, {"lastUpdated": text_of(NOW)}),
        ((*OLD, released(LONG_AGO - DAY, "v2")), {}),  # a version that a rollout may go back to
        ((*OLD, released(LONG_AGO, flow_id=FAN, desiredVersion=["v2"])), {}),
        (OLD, {"deviceConnectionInfo": {"time": text_of(LONG_AGO), "connected": 0}}),
        (OLD, {"deviceConnectionInfo": None}),
        (OLD, {"unknownBundle": True}),
        (OLD, {"flows": {PUMP: {"desiredVersion": "v2", "currentVersion": "v1"}}}),
    ],
)
def test_a_log_that_may_decide_something_is_kept(logs: tuple[Any, ...], fields: dict[str, Any]) -> None:
    kept = evidence(*logs, **fields)
    assert kept == read(record(*logs, **fields), quiet=None)[DEVICE].evidence
    assert len(kept.lines) == len(logs)


@pytest.mark.parametrize(("sent_at", "for_s"), [(None, 0.0), (NOW, NOW), (NOW, 1e18)])
def test_no_log_is_quiet_without_a_time_to_judge_it_by(sent_at: float | None, for_s: float) -> None:
    quiet = Quiet(for_s, VERSIONS)
    found = read(record(*OLD), quiet=quiet, sent_at=sent_at)
    assert len(found[DEVICE].evidence.lines) == len(OLD)


def test_a_listing_that_is_read_again_is_judged_by_its_new_time() -> None:
    pages = EmbeddedPages(evidence=True, quiet=QUIET)
    body = json.dumps(listing([record(*OLD)])).encode()
    for pages.sent_at, lines in ((NOW, 1), (NOW - 30 * DAY, len(OLD)), (NOW + DAY, 1)):
        assert len(pages.merged(records_of(pages.page(body)))[DEVICE].evidence.lines) == lines


MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION.id}
rollouts:
  careful: {{waves: [{{percent: 1}}], gate: {{soak: 2h}}}}
  slow: {{waves: [{{percent: 1}}], gate: {{soak: 3d}}}}
  unused: {{waves: [{{percent: 1}}], gate: {{soak: 9d}}}}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, rollout: careful, flows: {{{PUMP}: v1, {FAN}: v2}}}}
  york: {{select: {{tags: {{site: york}}}}, rollout: slow, flows: {{{PUMP}: v3}}}}
  hull: {{select: {{tags: {{site: hull}}}}, flows: {{{PUMP}: v4}}}}
"""


def test_what_is_quiet_follows_from_the_groups_with_a_policy(tmp_path: Any) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(MANIFEST)
    (rules,) = load([path], DiskFiles()).rules
    assert quiet_of(rules) == Quiet(STALLED_S + 2 * 3 * DAY + 1, frozenset({"v1", "v2", "v3"}))
    path.write_text(MANIFEST.replace("v3", "absent"))
    (rules,) = load([path], DiskFiles()).rules
    assert quiet_of(rules) is None


# Against a read that keeps everything.

moments = st.sampled_from(
    [LONG_AGO - 99 * DAY, LONG_AGO - HOUR, LONG_AGO, LONG_AGO + HOUR, NOW - FOR_S, NOW - 3 * DAY, NOW - HOUR, NOW + DAY]
)
shifts = st.sampled_from(["Z", "Z", "Z", "+14:00", "-12:00", ""])
weeks = st.builds(lambda at: "{}-W{:02}-{}".format(*datetime.fromtimestamp(at, UTC).isocalendar()), moments)
dates = st.one_of(
    weeks,
    st.builds(lambda at, zone: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}{zone}", moments, shifts),
    st.builds(lambda at, shift: text_of(at)[:-1] + shift, moments, shifts),
    st.sampled_from([None, "", "soon", "1"]),
)
flow_ids = st.sampled_from([PUMP, FAN])
versions = st.sampled_from(["v1", "v2", "v0"])
lines = st.one_of(
    st.builds(
        lambda flow, version, update: released(0, version, flow, updateType=update),
        flow_ids,
        versions,
        st.sampled_from(["newFlow", "replaceFlow"]),
    ),
    st.builds(lambda bundle: loaded(0, newBundle=bundle), st.sampled_from(["16", "17"])),
    st.just(loaded(0, error="full", newBundle=None)),
    st.builds(lambda flow: released(0, "v0", flow, error="full"), flow_ids),
    st.just({"changeType": "desired", "updateType": "clear"}),
    st.just({"changeType": "desired", "updateType": "globals", "newBundle": "18"}),
)
logs = st.lists(st.builds(lambda line, date: {**line, "date": date}, lines, dates), max_size=5)
steady = st.lists(
    st.builds(lambda line, at: {**line, "date": text_of(at)}, lines, st.sampled_from([LONG_AGO - DAY, LONG_AGO])),
    max_size=5,
)
went_back = st.builds(
    lambda flow: [
        released(LONG_AGO - 3 * DAY, "v2", flow, newBundle="16"),
        loaded(LONG_AGO - 2 * DAY, newBundle="16"),
        released(LONG_AGO - DAY, "v1", flow),
        loaded(LONG_AGO),
    ],
    flow_ids,
)
entries = st.sampled_from([*[("v1", "v1"), ("v2", "v2"), ("v0", "v0")] * 2, ("v2", "v1"), (None, None)])


@st.composite
def records(draw: st.DrawFn, number: int) -> dict[str, Any]:
    pairs = {one: draw(entries) for one in (PUMP, FAN)}
    return record(
        *draw(st.one_of(logs, steady, steady, went_back)),
        number=number,
        flows={one: {"desiredVersion": pair[0], "currentVersion": pair[1]} for one, pair in pairs.items()},
        unknownBundle=draw(st.sampled_from([False, False, False, True])),
        deviceConnectionInfo={"time": text_of(draw(moments)), "connected": draw(st.sampled_from([1, 1, 1, 0]))},
        lastUpdated=draw(st.one_of(st.just(text_of(LONG_AGO)), st.just(text_of(LONG_AGO)), dates)),
    )


Fleet = tuple[dict[str, Any], ...]
fleets = st.integers(1, 2).flatmap(lambda size: st.tuples(*[records(number) for number in range(1, size + 1)]))
targets = st.fixed_dictionaries({}, optional=dict.fromkeys([PUMP, FAN], st.sampled_from(sorted(VERSIONS))))


def told(
    fleet: Fleet, rows: Mapping[str, str], waves: list[int], budget: int | None, quiet: Quiet | None
) -> tuple[Rollouts, object]:
    """All that a plan says and sends. With a budget, a pin moves the first device, beside what the group decides."""
    live = Live(read(*fleet, quiet=quiet))
    decided = {
        one: {flow: Decision(version, PLACE, "group leeds") for flow, version in rows.items()} for one in live.devices
    }
    mine, sets = dict.fromkeys(live.devices, rows), {}
    if budget is not None:
        pinned, sets = min(live.devices), dict.fromkeys(live.devices, ("",))
        decided[pinned] = {flow: decision._replace(rule="pin") for flow, decision in decided[pinned].items()}
        del mine[pinned]
    numbers = dict(zip(mine, waves, strict=False))
    policy = POLICY._replace(budget=None if budget is None else Budget((), budget, None))
    rollout = Rollout("leeds", PLACE, policy, None, mine, numbers, sets)
    world = World(
        APPLICATION,
        Kind.EMBEDDED,
        desired=Desired(decided),
        read=Read(live, 0.0, 0.0, NOW),
        groups=frozenset({"leeds"}),
        rollouts=(rollout,),
    )
    plan = make_plan(world, limits=Limits(None, None), manifests=(), options=Options())
    assert plan.rollouts
    return plan.rollouts, (plan.calls, plan.warnings)


@settings(max_examples=1_000)
@given(
    fleets, targets.filter(bool), st.lists(st.integers(1, 3), min_size=2, max_size=2), st.sampled_from([None, None, 1])
)
def test_a_read_that_keeps_no_quiet_logs_judges_alike(
    fleet: Fleet, rows: dict[str, str], waves: list[int], budget: int | None
) -> None:
    assert told(fleet, rows, waves, budget, QUIET) == told(fleet, rows, waves, budget, None)


def test_a_budget_without_room_names_no_date_for_a_device_that_is_sent_something() -> None:
    """It is away from now on; and the date that is kept of a quiet log would be another at each reading."""
    fleet = record(*OLD), record(*OLD, number=2)
    rollouts, _ = told(fleet, {PUMP: "v2"}, [1, 1], 1, QUIET)
    why = f"the budget has no room: the group (1 of 1 away: {DEVICE}, sent something now)"
    assert str(rollouts.reports[0].reason).endswith(why)
