"""Small worlds, all of them: the rules are safe on each, tight, and the chosen plan is safe and short.

A sample runs by default. `RECONCILER_EXHAUSTIVE=1` runs every world: the embedded ones take about an hour and a half
on one core, the edge ones, which are fewer, less.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice

import pytest

from reconciler.model.plan import PlannedCall
from reconciler.model.requests import Release, RemoveRow, Replace
from reconciler.model.state import Kind, Live, Row, Version
from reconciler.model.world import CallMode
from reconciler.planner.calls.cover import cover
from reconciler.planner.calls.prove import prove
from reconciler.planner.diff import compare
from tests.planner.model import astray
from tests.planner.worlds import Calls, Size, Spec, allowed, build, goals, legal_plans, sure, wildcards

WHOLE = os.environ.get("RECONCILER_EXHAUSTIVE") == "1"
SIZES = {
    "one flow, three devices, three versions": Size(devices=3, flows=1, versions=3),
    "two flows, two devices, two versions": Size(devices=2, flows=2, versions=2),
}
SHARDS = 4
SAMPLES = {Kind.EMBEDDED: 250, Kind.EDGE: 100}  # worlds in each shard


def _plain(calls: tuple[PlannedCall, ...]) -> Calls:
    return [(call.request, frozenset(call.after)) for call in calls]


def _is_wildcard(call: PlannedCall) -> bool:
    return not isinstance(call.request, Release | RemoveRow)


def _check_world(spec: Spec, kind: Kind, versions: list[Version]) -> None:
    desired, live = build(spec, kind)
    changes = compare(desired, live).changes
    wanted = {change.row: change.to_version for change in changes}
    assert wanted == goals(spec, kind)
    for chunk in (1, 2):
        plans = list(legal_plans(live, wanted, versions, chunk))
        calls = cover(changes, live, chunk=chunk)
        prove(changes, calls, live)
        assert sorted(row for call in calls for row in call.rows) == sorted(wanted)
        assert not list(astray(live, wanted, _plain(calls), versions))
        fewest = min((len(plan), narrow) for narrow, plan in plans)
        assert (len(calls), sum(map(_is_wildcard, calls))) == fewest, f"{calls} for {live}"
        explicit = cover(changes, live, mode=CallMode.EXPLICIT, chunk=chunk)
        prove(changes, explicit, live)
        assert all(isinstance(call.request, Release) and not call.after for call in explicit)
        assert len(calls) <= len(explicit)
        for _, plan in plans:
            assert not list(astray(live, wanted, plan, versions)), plan
    _check_tight(live, wanted, versions)


def _check_tight(live: Live, wanted: Mapping[Row, Version | None], versions: list[Version]) -> None:
    """What the rule forbids and would be of use does go wrong under some reading, in some order."""
    for request in wildcards(live, wanted, versions):
        if isinstance(request, Replace) and sure(request, live, wanted) and not allowed(request, live, wanted):
            rest = {row: to for row, to in wanted.items() if row not in sure(request, live, wanted)}
            calls: Calls = [(request, frozenset())]
            calls += [(Release(flow, to, (device,)), frozenset()) for (device, flow), to in rest.items()]
            assert list(astray(live, wanted, calls, versions)), f"{request} is forbidden on {live} and does no harm"


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", Kind)
def test_small_world(kind: Kind, size: Size, shard: int) -> None:
    size = size._replace(kind=kind)
    worlds = islice(size.all(), shard, None, SHARDS) if WHOLE else size.some(SAMPLES[kind], seed=shard)
    for spec in worlds:
        _check_world(spec, kind, size.names)
