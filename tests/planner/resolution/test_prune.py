"""Omission as removal: each setting against the sentence that defines it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.rules import Prune
from reconciler.model.state import NOTHING, Desired, Live, Place
from reconciler.planner.resolution.prune import omitted, prune
from tests.builders import desired, live

PLACE = Place("m.yaml", 4)
LIVE = live("a/pump=1 a/gps=1 b/pump=1 b/log=1 c/gps=1 d/pump=1>- e/pump=->1 f/pump=- g/")


def pruned(wanted: Desired, setting: Prune, *, seen: Live = LIVE, existing: frozenset[str] | None = None) -> set[str]:
    """The rows that pruning adds."""
    flows = {flow_id for _, flow_id, _ in wanted.rows()}
    after = prune(wanted, seen, setting, flows=flows, place=PLACE, existing=existing)
    before = {(device_id, flow_id): decision for device_id, flow_id, decision in wanted.rows()}
    added = set()
    for device_id, flow_id, decision in after.rows():
        if (device_id, flow_id) in before:
            assert before[device_id, flow_id] == decision
        else:
            assert (decision.version, decision.rule, decision.place) == (None, "prune", PLACE)
            added.add(f"{device_id}/{flow_id}")
    assert before.keys() <= {(device_id, flow_id) for device_id, flow_id, _ in after.rows()}
    return added


def test_false_adds_nothing() -> None:
    wanted = desired("a/pump=1")
    assert prune(wanted, LIVE, Prune.OFF, flows={"pump"}, place=PLACE, existing=None) is wanted


def test_devices_makes_each_declared_device_exhaustive() -> None:
    assert pruned(desired("a/pump=1 b/gps=absent g/pump=1"), Prune.DEVICES) == {"a/gps", "b/pump", "b/log"}


def test_an_undeclared_device_on_the_way_changes_nothing_for_the_others() -> None:
    read = live("a/f=1 a/g=1 b/f=1 b/g=1 c/f=1 c/g=1")
    pruned = prune(desired("a/f=1 c/f=1"), read, Prune.DEVICES, flows={"f"}, place=PLACE, existing=None)
    assert [(device, flow) for device, flow, one in pruned.rows() if one.version is None] == [("a", "g"), ("c", "g")]


def test_devices_stay_in_order() -> None:
    pruned = prune(desired("b/f=1"), live("c/f=1 a/f=1"), Prune.FLOWS, flows={"f"}, place=PLACE, existing=None)
    assert list(pruned.devices) == ["a", "b", "c"]


def test_flows_makes_each_declared_flow_exhaustive_over_the_application() -> None:
    assert pruned(desired("a/pump=1"), Prune.FLOWS) == {"b/pump", "d/pump", "e/pump"}


def test_application_makes_everything_exhaustive() -> None:
    rows = {"a/gps", "b/pump", "b/log", "c/gps", "d/pump", "e/pump"}
    assert pruned(desired("a/pump=1"), Prune.APPLICATION) == rows


def test_a_flow_that_a_rule_declares_without_selecting_a_device_is_declared() -> None:
    after = prune(Desired({}), LIVE, Prune.FLOWS, flows={"gps"}, place=PLACE, existing=None)
    assert {device_id for device_id, _, _ in after.rows()} == {"a", "c"}


def test_custom_node_rows_are_never_added() -> None:
    seen = live("a/pump=1 a/node=1 b/node=1", unmanageable=["a/node", "b/node"])
    for setting in Prune:
        assert pruned(desired("a/pump=1"), setting, seen=seen) == set()


def test_records_of_devices_that_the_device_list_no_longer_has_are_left_alone() -> None:
    rows = pruned(desired("a/pump=1"), Prune.APPLICATION, existing=frozenset("abd"))
    assert rows == {"a/gps", "b/pump", "b/log", "d/pump"}


def test_devices_that_share_their_decisions_share_them_afterwards() -> None:
    decisions = {"pump": desired("a/pump=1").devices["a"]["pump"]}
    wanted = Desired({"a": decisions, "b": decisions, "c": decisions})
    seen = live("a/pump=1 a/gps=1 b/pump=1 b/gps=2 c/pump=1 c/log=1")
    after = prune(wanted, seen, Prune.DEVICES, flows=(), place=PLACE, existing=None).devices
    assert after["a"] is after["b"]
    assert after["a"] is not after["c"]


def rows(versions: list[str]) -> st.SearchStrategy[str]:
    """Short notation of any rows over four devices and three flows."""
    keys = st.tuples(st.sampled_from("abcd"), st.sampled_from(["pump", "gps", "log"]))
    chosen = st.dictionaries(keys, st.sampled_from(versions))
    return chosen.map(lambda some: " ".join(f"{device}/{flow}={version}" for (device, flow), version in some.items()))


@given(
    rows(["1", "1>-", "->1", "-", "2>1"]),
    rows(["1", "absent"]),
    st.sampled_from(list(Prune)),
    st.sampled_from([[], ["a/gps", "b/log"]]),
)
def test_only_live_undeclared_rows_are_added_and_twice_is_once(
    seen_rows: str, declared: str, setting: Prune, custom: list[str]
) -> None:
    """`custom`: rows that are custom nodes where they are live, which only edge deployments have."""
    running = {word.partition("=")[0] for word in seen_rows.split()}
    seen, wanted = live(seen_rows, unmanageable=[row for row in custom if row in running]), desired(declared)
    flows = {flow_id for _, flow_id, _ in wanted.rows()}
    once = prune(wanted, seen, setting, flows=flows, place=PLACE, existing=None)
    for device_id, flow_id, decision in once.rows():
        if decision.rule == "prune":
            assert seen.entry(device_id, flow_id) != NOTHING
            assert flow_id not in wanted.devices.get(device_id, {})
            assert flow_id not in seen.devices[device_id].unmanageable
    assert not list(omitted(once, seen, setting, flows))
