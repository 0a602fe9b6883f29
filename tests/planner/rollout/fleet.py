"""A model of the API, of devices that take up what they are given, and of Git: what rollouts must hold in, at any time.

It keeps the truth beside the logs: when each version was given to a device and since when it runs what it reports. The
log of a device may be cut; the truth is not. Everything is a value, so that a moment can be gone back to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.model.log import in_order
from reconciler.model.plan import Plan
from reconciler.model.requests import Request
from reconciler.model.rollout import Rollout
from reconciler.model.rules import Limits, Policy
from reconciler.model.state import (
    Decision,
    Desired,
    DeviceId,
    EdgeEvidence,
    Entry,
    Evidence,
    FlowId,
    Kind,
    Live,
    LiveDevice,
    LogLine,
    Read,
    Version,
)
from reconciler.model.world import Options, World
from reconciler.planner.planner import make_plan
from tests.builders import APPLICATION, PLACE
from tests.planner.model import Answers, act
from tests.planner.rollout.worlds import NEVER, STEP, evidence_of, text_of

FLOWS = "fgh"
LONG_AGO = 1_772_323_200.0 - 30 * 86400
BEGIN = 1_772_323_200.0
ANSWERS = Answers()
NO_LIMITS = Limits(None, None)

Versions = tuple[Version | None, ...]  # by flow


class Given(NamedTuple):
    """A release, in truth."""

    at: float
    flow: int
    version: Version | None


class Machine(NamedTuple):
    """A device with its record. `loaded`: since when it runs what it reports; `erred`: when it last failed."""

    released: Versions
    reported: Versions
    log: tuple[tuple[float, LogLine], ...]
    loaded: float
    given: tuple[Given, ...]
    ran: tuple[tuple[float, Versions], ...]
    connected: bool = True
    since: float = LONG_AGO  # when it connected or disconnected
    is_unknown: bool = False
    erred: float = NEVER
    seen: float = NEVER  # when it last said anything
    is_cut: bool = False

    @property
    def behind(self) -> bool:
        return self.released != self.reported or self.is_unknown

    def last_given(self, flows: Iterable[int]) -> float:
        """When the last of some flows was given to it."""
        mine = [one.at for one in self.given if one.flow in flows]
        return max(mine, default=NEVER)

    def had(self, flow: int, at: float) -> Version | None:
        """What was released to it at a moment."""
        had = [one.version for one in self.given if one.flow == flow and one.at <= at]
        return had[-1] if had else None


def new_machine(flows: int, version: Version = "1", kind: Kind = Kind.EMBEDDED) -> Machine:
    """A device that has run one version of each flow for long."""
    empty = Machine((None,) * flows, (None,) * flows, (), LONG_AGO, (), ())
    for flow in range(flows):
        empty = given(empty, flow, version, LONG_AGO, kind)
    return loads(empty, LONG_AGO + 60, kind)


def bundle_of(versions: Versions) -> str:
    return "+".join(version or "-" for version in versions)


def given(one: Machine, flow: int, version: Version | None, at: float, kind: Kind) -> Machine:
    """The API releases a version of a flow to it."""
    before = one.released[flow]
    released = (*one.released[:flow], version, *one.released[flow + 1 :])
    name = FLOWS[flow]
    if kind is Kind.EDGE:
        line = LogLine("desired", name, version, version and f"{name}{version}", previous=before)
    else:
        update = "removeFlow" if version is None else "newFlow" if before is None else "replaceFlow"
        line = LogLine("desired", name, version, bundle_of(released), update=update)
    is_new = version != before
    return one._replace(
        released=released,
        log=(*one.log, (at, line)),
        given=(*one.given, Given(at, flow, version)) if is_new else one.given,
    )


def loads(one: Machine, at: float, kind: Kind) -> Machine:
    """It takes up all that is released to it, and says so."""
    if kind is Kind.EDGE:
        lines = [
            (at, LogLine("current", FLOWS[flow], new, new and f"{FLOWS[flow]}{new}", previous=old))
            for flow, (old, new) in enumerate(zip(one.reported, one.released, strict=True))
            if old != new
        ]
    else:
        lines = [(at, LogLine("current", None, None, bundle_of(one.released), update="device"))]
    ran = (*one.ran, (at, one.released))
    return one._replace(
        reported=one.released, log=(*one.log, *lines), loaded=at, ran=ran, is_unknown=False, seen=at, erred=NEVER
    )


def fails(one: Machine, at: float, kind: Kind) -> Machine:
    """It cannot load what is released to it, and says so."""
    if kind is Kind.EDGE:
        lines = [
            (at, LogLine("current", FLOWS[flow], error="broken"))
            for flow, (old, new) in enumerate(zip(one.reported, one.released, strict=True))
            if old != new
        ]
    else:
        lines = [(at, LogLine("current", None, error="broken", update="device"))]
    return one._replace(log=(*one.log, *lines), erred=at, seen=at)


def gets_lost(one: Machine, at: float) -> Machine:
    """It reports a bundle that nobody knows."""
    line = LogLine("current", None, None, "?", update="unknownBundle")
    return one._replace(log=(*one.log, (at, line)), is_unknown=True, seen=at, ran=(*one.ran, (at, ())))


class Git(NamedTuple):
    """What is merged. `pins`: rows that pins decide."""

    versions: Versions
    up_to: int | None = None
    pins: frozenset[tuple[DeviceId, int, Version | None]] = frozenset()

    def target(self, device_id: DeviceId, flow: int) -> Version | None:
        pinned = [version for one, other, version in self.pins if (one, other) == (device_id, flow)]
        return pinned[0] if pinned else self.versions[flow]

    def waved(self, device_id: DeviceId) -> list[int]:
        """The flows that the group decides on a device."""
        pinned = {flow for one, flow, _ in self.pins if one == device_id}
        return [flow for flow in range(len(self.versions)) if flow not in pinned]


class Saved(NamedTuple):
    """A plan that somebody has, and what Git said when it was made."""

    plan: Plan
    git: Git


class Fleet(NamedTuple):
    """A moment. `bad`: what becomes of a version on a device, where it does not load."""

    machines: tuple[Machine, ...]
    waves: tuple[int, ...]
    policy: Policy
    git: Git
    bad: frozenset[tuple[int, Version, str]] = frozenset()
    kind: Kind = Kind.EMBEDDED
    now: float = BEGIN
    history: tuple[Git, ...] = ()
    sets: tuple[str, ...] = ()
    saved: Saved | None = None

    @property
    def ids(self) -> list[DeviceId]:
        return [f"{number:024x}" for number in range(len(self.machines))]

    def with_machine(self, index: int, machine: Machine) -> Fleet:
        return self._replace(machines=(*self.machines[:index], machine, *self.machines[index + 1 :]))

    def merge(self, git: Git) -> Fleet:
        return self._replace(git=git, history=(*self.history, self.git))

    # What devices do

    def take(self, index: int) -> Fleet:
        """A device tries what is released to it."""
        one = self.machines[index]
        if not one.connected or not one.behind:
            return self
        outcomes = {what for number, version, what in self.bad if number == index and version in one.released}
        if "fails" in outcomes:
            return self.with_machine(index, fails(one, self.now, self.kind))
        if "silent" in outcomes:
            return self
        if "unknown" in outcomes and self.kind is Kind.EMBEDDED:
            return self.with_machine(index, gets_lost(one, self.now))
        return self.with_machine(index, loads(one, self.now, self.kind))

    def toggle(self, index: int) -> Fleet:
        """A device connects or disconnects."""
        one = self.machines[index]
        return self.with_machine(index, one._replace(connected=not one.connected, since=self.now))

    def cut(self, keep: int) -> Fleet:
        """The logs lose all but their newest entries."""
        return self._replace(machines=tuple(cut(one, keep, self.kind) for one in self.machines))

    def passes(self, seconds: float = STEP) -> Fleet:
        return self._replace(now=self.now + seconds)

    # What reconciler sees and does

    def read(self) -> Read:
        devices = {one: self._record(machine) for one, machine in zip(self.ids, self.machines, strict=True)}
        return Read(Live(devices), 0.0, 0.0, self.now)

    def _record(self, one: Machine) -> LiveDevice:
        flows = {
            FLOWS[flow]: Entry(*pair)
            for flow, pair in enumerate(zip(one.released, one.reported, strict=True))
            if pair != (None, None)
        }
        updated = max([one.seen, *(at for at, _ in one.log)])
        records = None
        bundle = "?" if one.is_unknown else bundle_of(one.reported)
        if self.kind is Kind.EDGE:
            records = {
                FLOWS[flow]: EdgeEvidence(version and f"{FLOWS[flow]}{version}", updated)
                for flow, version in enumerate(one.reported)
                if FLOWS[flow] in flows
            }
        named = {line.bundle for _, line in one.log}
        evidence: Evidence = evidence_of(one.log, updated, bundle if bundle in named else None, records)
        return LiveDevice(
            flows,
            connected=one.connected,
            connection_time=text_of(one.since),
            unknown_bundle=one.is_unknown,
            evidence=evidence,
        )

    def world(self, read: Read | None = None) -> World:
        desired: dict[DeviceId, dict[FlowId, Decision]] = {}
        for one in self.ids:
            waved = self.git.waved(one)
            desired[one] = {
                FLOWS[flow]: Decision(self.git.target(one, flow), PLACE, "group leeds" if flow in waved else "pin")
                for flow in range(len(self.git.versions))
            }
        rows = {
            one: mine
            for one, decisions in desired.items()
            if (mine := {flow: it.version for flow, it in decisions.items() if it.group})
        }
        waves = {one: wave for one, wave in zip(self.ids, self.waves, strict=True) if one in rows}
        sets = {one: (name,) for one, name in zip(self.ids, self.sets, strict=True)} if self.sets else {}
        rollout = Rollout("leeds", PLACE, self.policy, self.git.up_to, rows, waves, sets)
        return World(
            APPLICATION,
            self.kind,
            Desired(desired),
            read or self.read(),
            groups=frozenset({"leeds"}),
            rollouts=(rollout,),
        )

    def plan(self, read: Read | None = None) -> Plan:
        return make_plan(self.world(read), limits=NO_LIMITS, manifests=(), options=Options())

    def send(self, requests: Iterable[Request]) -> Fleet:
        """The API accepts requests."""
        fleet = self
        for request in requests:
            for index, device_id in enumerate(self.ids):
                for flow in range(len(self.git.versions)):
                    machine = fleet.machines[index]
                    entry = Entry(machine.released[flow], machine.reported[flow])
                    what = act(request, (device_id, FLOWS[flow]))
                    if what and what.touches(entry, ANSWERS):
                        fleet = fleet.with_machine(index, given(machine, flow, what.new, self.now, self.kind))
        return fleet

    # The truth

    def runs_targets(self, index: int, git: Git) -> bool:
        one, device_id = self.machines[index], self.ids[index]
        return not one.is_unknown and all(
            one.released[flow] == one.reported[flow] == git.target(device_id, flow) for flow in git.waved(device_id)
        )

    def is_proven(self, index: int, git: Git) -> bool:
        """Whether a device has run its targets for the soak, and was seen to."""
        one = self.machines[index]
        since = max(one.loaded, one.last_given(git.waved(self.ids[index])))
        until = self.now if one.connected else one.since
        return self.runs_targets(index, git) and until - since >= self.policy.gate.soak_s

    def is_released(self, index: int, git: Git) -> bool:
        one, device_id = self.machines[index], self.ids[index]
        return all(one.released[flow] == git.target(device_id, flow) for flow in git.waved(device_id))

    def was_offline(self, index: int, git: Git) -> bool:
        """Whether it went before it was given the targets that it does not report."""
        one, device_id = self.machines[index], self.ids[index]
        lacks = [
            flow for flow in git.waved(device_id) if one.reported[flow] != git.target(device_id, flow) or one.is_unknown
        ]
        return (
            not one.connected
            and self.is_released(index, git)
            and any(one.had(flow, one.since) != git.target(device_id, flow) for flow in lacks)
        )

    def has_failed(self, index: int, git: Git) -> bool:
        one = self.machines[index]
        return (
            self.is_released(index, git)
            and not self.runs_targets(index, git)
            and one.erred > NEVER
            and one.erred >= one.last_given(git.waved(self.ids[index]))
        )

    def evidence(self, flow: int, git: Git, *waves: int) -> list[int]:
        return [
            index
            for index, device_id in enumerate(self.ids)
            if self.waves[index] in waves and flow in git.waved(device_id)
        ]

    def allowed(self, flow: int, git: Git, wave: int) -> tuple[list[int], int]:
        """The base of some waves, and how many of it may fail."""
        base = [one for one in self.evidence(flow, git, *range(1, wave + 1)) if not self.was_offline(one, git)]
        return base, int((100 - self.policy.gate.converged) * len(base) // 100)

    def has_passed(self, wave: int, git: Git) -> bool:
        """Whether a wave has passed, in truth."""
        proving = [flow for flow, version in enumerate(git.versions) if version is not None]
        if not any(self.evidence(flow, git, wave) for flow in proving):
            return all(self.is_released(index, git) for index, one in enumerate(self.waves) if one == wave)
        for flow in proving:
            own = self.evidence(flow, git, wave)
            base, allowed = self.allowed(flow, git, wave)
            proven = [one for one in base if self.is_proven(one, git)]
            living = [one for one in own if self.is_proven(one, git)]
            if len(base) - len(proven) > allowed or len(living) < min(self.policy.gate.sample, len(own)):
                return False
        return True

    def is_broken(self, git: Git) -> bool:
        """Whether so many devices failed that it must be stopped."""
        for wave in set(self.waves):
            for flow, version in enumerate(git.versions):
                if version is not None:
                    base, allowed = self.allowed(flow, git, wave)
                    if sum(self.has_failed(one, git) for one in base) > allowed:
                        return True
        return False

    def rows(self) -> Iterator[tuple[int, DeviceId, int]]:
        for index, device_id in enumerate(self.ids):
            for flow in range(len(self.git.versions)):
                yield index, device_id, flow

    def is_away(self, index: int) -> bool:
        """Whether a device is away in truth: gone, or loading, without an error and within patience."""
        one = self.machines[index]
        flows = range(len(one.released))
        if not one.connected:
            return True
        if self.kind is Kind.EMBEDDED:
            return one.behind and self._is_loading(one, flows)
        return any(one.released[flow] != one.reported[flow] and self._is_loading(one, [flow]) for flow in flows)

    def _is_loading(self, one: Machine, flows: Iterable[int]) -> bool:
        since = one.last_given([*flows])
        return one.erred < since and self.now - since <= self.policy.patience_s

    def was_given_again(self, index: int) -> bool:
        """Whether a lost line may hide what a device that is gone had: it had the target before and was given it again.

        Or it was given two versions since, and its log has lost what came before them.
        """
        one, device_id = self.machines[index], self.ids[index]
        for flow in range(len(one.released)):
            mine = [each for each in one.given if each.flow == flow]
            had = any(each.version == self.git.target(device_id, flow) and each.at <= one.since for each in mine)
            if not one.connected and (had or (one.is_cut and sum(each.at > one.since for each in mine) > 1)):
                return True
        return False


def cut(one: Machine, keep: int, kind: Kind) -> Machine:
    """Without the oldest entries; on an edge device, each record has its own log."""
    log = in_order(one.log)
    kept = log[-keep:]
    if kind is Kind.EDGE:
        mine = [[entry for entry in log if entry[1].flow_id == flow][-keep:] for flow in FLOWS]
        kept = [entry for entry in log if any(entry in some for some in mine)]
    return one._replace(log=tuple(kept), is_cut=one.is_cut or len(kept) < len(log))
