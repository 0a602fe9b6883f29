"""The contract of the ports: one suite, two subjects. What the fake says, the client against a simulator says too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import NotFound, UsageError
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import NO_EVIDENCE, Application, Device, Entry, Flow, Kind, LogLine, Quiet
from reconciler.model.versions import Published
from tests.builders import entry
from tests.contract.subjects import APPLICATION, FAN, FLOWS, LATE, PUMP, THINGS, UNKNOWN, Side, open_side, rows
from tests.fakes import Match

D1, D2, D3, D4, D5, D6, D7, SHELF = (thing.id for thing in THINGS)
START_ROWS = {(thing.id, flow_id): entry(text) for thing in THINGS for flow_id, text in thing.rows.items()}

both = pytest.mark.parametrize("side", ["fake", "client"])
kinds = pytest.mark.parametrize("kind", list(Kind))


def during(side: str, script: Callable[[Side], Awaitable[None]], *, kind: Kind = Kind.EMBEDDED, **options: Any) -> None:
    """Run a script in a fresh world."""

    async def go() -> None:
        async with open_side(side, kind, **options) as opened:
            await script(opened)

    asyncio.run(go())


@both
@kinds
def test_the_application(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        assert await world.api.application() == Application(APPLICATION, "plant")

    during(side, script, kind=kind)


@both
@kinds
def test_live_state(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        live = (await world.api.live()).live
        assert rows(live) == START_ROWS
        assert list(live.devices) == sorted(live.devices)
        assert set(live.devices) == {D1, D2, D3, D5, D6, D7}
        assert live.flow_names == {PUMP: "pump", FAN: "fan"}
        assert live.only_flow is None
        assert [live.devices[key].name for key in (D1, D2, D6, D7)] == ["pump-1", "pump-2", "twin", "twin"]
        assert [live.devices[key].connected for key in (D1, D2, D5)] == [True, False, None]
        assert not any(live.devices[key].logs for key in (D1, D5, D6)), "converged: nobody asks for the log"

    during(side, script, kind=kind)


@both
@kinds
def test_reads_that_follow_each_other_say_so(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        reads = [await world.api.live(), await world.api.live(flow_id=FAN), await world.api.live(device_id=D1)]
        times = [time for read in reads for time in (read.began, read.ended)]
        assert times == sorted(times)

    during(side, script, kind=kind)


@both
@kinds
def test_live_state_of_one_flow(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        live = (await world.api.live(flow_id=FAN)).live
        assert live.only_flow == FAN
        assert rows(live) == {key: seen for key, seen in START_ROWS.items() if key[1] == FAN}
        assert set(live.devices) == {D1, D3, D7}
        assert live.flow_names == {FAN: "fan"}
        nobody = (await world.api.live(flow_id=LATE)).live
        assert dict(nobody.devices) == {}
        assert nobody.only_flow == LATE

    during(side, script, kind=kind)


@both
def test_live_state_of_one_device(side: str) -> None:
    async def script(world: Side) -> None:
        live = (await world.api.live(device_id=D1)).live
        assert rows(live) == {(D1, PUMP): Entry("v1", "v1"), (D1, FAN): Entry("1.10", "1.10")}
        assert set(live.devices) == {D1}
        with pytest.raises(NotFound):
            await world.api.live(device_id=UNKNOWN)

    during(side, script)


@both
@kinds
def test_the_log_of_a_settled_device_comes_where_the_device_was_asked_for(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        await world.api.send(Release(PUMP, "v2", (D1,)))
        world.settle()
        assert not (await world.api.live()).live.devices[D1].logs
        logs = (await world.api.live(device_id=D1)).live.devices[D1].logs
        assert {log.source_type for log in logs} == {"apiToken", "device"}
        assert [(log.flow_id, log.version) for log in logs if log.change == "desired"] == [(PUMP, "v2")]

    during(side, script, kind=kind)


@both
@kinds
@pytest.mark.parametrize("evidence", [False, True])
def test_every_read_has_the_servers_time(side: str, kind: Kind, evidence: bool) -> None:
    async def script(world: Side) -> None:
        for flow_id, device_id in ((None, None), (FAN, None), (None, D1)):
            read = await world.api.live(flow_id=flow_id, device_id=device_id, evidence=evidence)
            assert read.server_time == world.began

    during(side, script, kind=kind)


@both
@kinds
def test_of_quiet_logs_a_line_may_be_all_that_is_kept(side: str, kind: Kind) -> None:
    """It is later than all of the log; who asks about the devices gets the same answers."""

    async def script(world: Side) -> None:
        whole = (await world.api.live(evidence=True)).live.devices
        brief = (await world.api.live(evidence=True, quiet=Quiet(-2 * 24 * 3600, frozenset()))).live.devices
        for device_id, device in brief.items():
            kept, log = device.evidence, whole[device_id].evidence
            assert kept == log or (len(kept.lines) == 1 and kept.instants[0] > max(log.instants))
            assert device._replace(evidence=log) == whole[device_id]

    during(side, script, kind=kind)


@both
@kinds
def test_evidence_is_the_log_of_every_device_oldest_first(side: str, kind: Kind) -> None:
    """Also of those that are settled, whose log nobody else asks for."""

    async def script(world: Side) -> None:
        await world.api.send(Release(PUMP, "v2", (D1, D5)))
        world.settle()
        await world.api.send(Release(FAN, "v1", (D1,)))
        live = (await world.api.live(evidence=True)).live
        evidence = live.devices[D1].evidence
        current = LogLine("current", PUMP, "v2") if kind is Kind.EDGE else LogLine("current")
        assert [line._replace(bundle=None, update=None, previous=None) for line in evidence.lines[-3:]] == [
            LogLine("desired", PUMP, "v2"),
            current,
            LogLine("desired", FAN, "v1"),
        ]
        assert list(evidence.instants) == sorted(evidence.instants)
        assert world.began <= evidence.instants[-1] <= evidence.updated < inf
        assert (set(evidence.records) if evidence.records is not None else None) == (
            {PUMP, FAN} if kind is Kind.EDGE else None
        )
        assert not live.devices[D6].logs
        assert all(device.evidence is NO_EVIDENCE for device in (await world.api.live()).live.devices.values())

    during(side, script, kind=kind)


@both
@kinds
def test_devices(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        api = world.api
        found = await api.devices()
        assert [device.id for device in found] == [D1, D2, D3, D4, D5, D6, D7]
        assert found[2] == Device(D3, "pump-3", kind.device_class, {"site": ("york",), "role": ("a", "b")})
        assert await api.device_count() == 7

        async def ids(**question: Any) -> list[str]:
            return [device.id for device in await api.devices(**question)]

        assert await ids(any_class=True) == [D1, D2, D3, D4, D5, D6, D7, SHELF]
        assert await ids(ids=[D5, UNKNOWN, D1]) == [D1, D5]
        assert await ids(ids=[D5, SHELF]) == [D5]
        assert await ids(ids=[D5, SHELF], any_class=True) == [D5, SHELF]
        assert await ids(ids=[]) == []
        assert await ids(names=["twin", "nobody", "PUMP-1"]) == [D6, D7]
        assert await ids(names=["shelf"]) == []
        assert await ids(names=()) == []
        assert await ids(query="{}") == [D1, D2, D3, D4, D5, D6, D7]
        assert await ids(query='{"name": {"$startsWith": "pump-"}}') == [D1, D2, D3, D5]
        assert await ids(query='{"tags": {"$tagKey": "site", "$tagValue": "leeds"}}') == [D1, D2]
        assert await ids(query='{"tags": {"$tagKey": "role", "$tagValue": "b"}}') == [D3, D4]
        assert await ids(query=json.dumps({"$or": [{"name": "bare"}, {"id": D1}]})) == [D1, D4]
        assert await ids(query='{"deviceClass": "standalone"}') == []
        assert await ids(query='{"deviceClass": "standalone"}', any_class=True) == [SHELF]
        assert await ids(query='{"name": "twin"}', ids=[D6, D1]) == [D6]
        with pytest.raises(UsageError, match="JSON object"):
            await ids(query="[]")

    during(side, script, kind=kind)


@both
@kinds
def test_deleted_devices(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        world.delete(D1)
        world.delete(D6)
        api = world.api
        assert await api.devices(deleted=True, names=["pump-1"]) == (
            Device(D1, "pump-1", kind.device_class, {"site": ("leeds",)}),
        )
        assert [one.id for one in await api.devices(deleted=True, names=["twin", "pump-2"], any_class=True)] == [D6]
        assert [one.id for one in await api.devices(deleted=True)] == [D1, D6]
        assert [one.id for one in await api.devices(ids=[D1, D2, SHELF], any_class=True)] == [D2, SHELF]
        record = (await api.live()).live.devices[D1]
        assert (record.name, record.connected, record.flows[PUMP]) == ("pump-1", False, Entry("v1", "v1"))

    during(side, script, kind=kind)


@both
@kinds
def test_flows_and_versions(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        api = world.api
        flow_class = "embedded" if kind is Kind.EMBEDDED else "edge"
        assert await api.flows() == tuple(Flow(key, name, flow_class) for key, (name, _) in FLOWS.items())
        assert await api.versions(PUMP) == ("v1", "v2", "v3")
        assert await api.versions(FAN) == ("1.10", "v1")
        assert await api.versions(FAN, names=["1.10", "1.1", "V1"]) == ("1.10",)
        assert await api.versions(FAN, names=[]) == ()
        listed = await api.published(PUMP)
        assert [one.version for one in listed] == ["v1", "v2", "v3"]
        assert await api.published(FAN, names=["v1", "v7"]) == (await api.published(FAN))[1:]
        (content,) = [await api.content(PUMP, one) for one in listed[1:2]]
        assert (content.flow_id, content.version, content.id, content.created) == (PUMP, *listed[1])
        with pytest.raises(NotFound):
            await api.content(PUMP, Published("v9", UNKNOWN, listed[0].created))
        with pytest.raises(NotFound):
            await api.published(UNKNOWN, names=["v1"])
        with pytest.raises(NotFound):
            await api.versions(UNKNOWN)
        with pytest.raises(NotFound):
            await api.versions(UNKNOWN, names=["v1"])

    during(side, script, kind=kind)


EFFECTS: list[tuple[Request, dict[tuple[str, str], str]]] = [
    (Release(PUMP, "v2", (D1, D4)), {(D1, PUMP): "v2>v1", (D4, PUMP): "v2>-"}),
    (Release(PUMP, "v2", (D2,)), {}),
    (Release(PUMP, None, (D1, D2, D4)), {(D1, PUMP): "->v1", (D2, PUMP): "->v1"}),
    (Release(FAN, None, (D3,)), {(D3, FAN): "-"}),
    (Release(LATE, "v1", (D7,)), {(D7, LATE): "v1>-"}),
    (Release(PUMP, "v2", (D1, UNKNOWN, SHELF)), {(D1, PUMP): "v2>v1"}),
    (RemoveRow(PUMP, D1), {(D1, PUMP): "->v1"}),
    (RemoveRow(LATE, D1), {}),
    (RemoveDevice(D1), {(D1, PUMP): "->v1", (D1, FAN): "->1.10"}),
    (RemoveDevice(D4), {}),
    (RemoveFlow(FAN), {(D1, FAN): "->1.10", (D3, FAN): "-", (D7, FAN): "->v1"}),
    (RemoveFlow(LATE), {}),
]


@both
@kinds
@pytest.mark.parametrize(("request_", "moved"), EFFECTS)
def test_effects(side: str, kind: Kind, request_: Request, moved: dict[tuple[str, str], str]) -> None:
    async def script(world: Side) -> None:
        await world.api.send(request_)
        expected = {**START_ROWS, **{key: entry(text) for key, text in moved.items()}}
        assert rows((await world.api.live()).live) == {
            key: seen for key, seen in expected.items() if seen != (None, None)
        }

    during(side, script, kind=kind)


@both
@kinds
@pytest.mark.parametrize(
    ("match", "old", "moved"),
    [
        (Match.RELEASED, "v1", {D1: "v3>v1", D5: "v3>v1"}),
        (Match.REPORTED, "v1", {D1: "v3>v1", D2: "v3>v1", D3: "v3>v1", D5: "v3>v1"}),
        (Match.EITHER, "v1", {D1: "v3>v1", D2: "v3>v1", D3: "v3>v1", D5: "v3>v1"}),
        (Match.BOTH, "v1", {D1: "v3>v1", D5: "v3>v1"}),
        (Match.RELEASED, "v2", {D2: "v3>v1"}),
        (Match.REPORTED, "v2", {}),
        (Match.EITHER, "v2", {D2: "v3>v1"}),
        (Match.BOTH, "v2", {}),
    ],
)
def test_replace_under_every_reading(side: str, kind: Kind, match: Match, old: str, moved: dict[str, str]) -> None:
    async def script(world: Side) -> None:
        await world.api.send(Replace(PUMP, old, "v3"))
        expected = {**START_ROWS, **{(device_id, PUMP): entry(text) for device_id, text in moved.items()}}
        assert rows((await world.api.live()).live) == expected

    during(side, script, kind=kind, match=match)


@both
@kinds
def test_what_is_released_is_reported_later_by_connected_devices(side: str, kind: Kind) -> None:
    async def script(world: Side) -> None:
        await world.api.send(Release(PUMP, "v3", (D1, D2, D3)))
        await world.api.send(RemoveRow(FAN, D7))
        world.settle()
        live = (await world.api.live()).live
        assert live.entry(D1, PUMP) == Entry("v3", "v3")
        assert live.entry(D2, PUMP) == Entry("v3", "v1"), "offline"
        assert live.entry(D7, FAN) == Entry(None, None)
        assert [log.version for log in live.devices[D2].logs if log.change == "desired"][-1:] == ["v3"]

    during(side, script, kind=kind)


@both
def test_a_release_may_be_refused_for_an_unknown_device(side: str) -> None:
    async def script(world: Side) -> None:
        with pytest.raises(NotFound) as raised:
            await world.api.send(Release(PUMP, "v2", (D1, UNKNOWN)))
        assert not raised.value.outcome_unknown
        assert rows((await world.api.live()).live) == START_ROWS

    during(side, script, skip_unknown=False)


@both
def test_what_somebody_else_does_is_seen(side: str) -> None:
    async def script(world: Side) -> None:
        world.set_released(D1, PUMP, "v2")
        world.set_released(D1, FAN, None)
        live = (await world.api.live()).live
        assert live.entry(D1, PUMP) == Entry("v2", "v1")
        assert live.entry(D1, FAN) == Entry(None, "1.10")

    during(side, script)


owners = st.lists(st.sampled_from([D1, D2, D3, D4, D5, D6, D7]), min_size=1, max_size=4, unique=True).map(tuple)
replaces = st.builds(
    Replace, st.just(PUMP), st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(["v1", "v2", "v3", None])
)
requests = (
    replaces
    | replaces
    | st.builds(Release, st.just(PUMP), st.sampled_from(["v1", "v2", "v3", None]), owners)
    | st.builds(Release, st.just(FAN), st.sampled_from(["v1", "1.10", None]), owners)
    | st.builds(RemoveRow, st.sampled_from([PUMP, FAN]), st.sampled_from([D1, D2, D3, D7]))
    | st.builds(RemoveDevice, st.sampled_from([D1, D2, D3, D4]))
    | st.builds(RemoveFlow, st.sampled_from([PUMP, FAN]))
)


@given(st.sampled_from(list(Match)), st.lists(requests | st.none(), min_size=3, max_size=12))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_both_sides_tell_the_same_story(match: Match, steps: list[Request | None]) -> None:
    """Any calls, with devices taking what is released in between (None), under any reading of replace."""

    async def story(side: str) -> list[object]:
        seen: list[object] = []
        async with open_side(side, Kind.EMBEDDED, match=match) as world:
            for step in steps:
                if step is None:
                    world.settle()
                else:
                    await world.api.send(step)
                live = (await world.api.live()).live
                names = {key: device.name for key, device in live.devices.items() if device.flows}
                seen.append((rows(live), names, dict(live.flow_names)))
        return seen

    assert asyncio.run(story("fake")) == asyncio.run(story("client"))
