"""`promote`, asked of both applications: did the versions prove themselves, are they there, are they the same?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from reconciler.api.client import LosantApi
from reconciler.discovery import Extent, discover
from reconciler.errors import NotFound, PermissionDenied, Problem, Refused
from reconciler.health.verdict import judge
from reconciler.model.health import Laggard, Verdict
from reconciler.model.plan import Warning
from reconciler.model.rollout import RolloutVerdict
from reconciler.model.rules import Gate, Policy, Rules
from reconciler.model.state import NO_RECORD, DeviceId, Flow, FlowId, Place
from reconciler.model.text import and_more, counted, is_id
from reconciler.model.versions import Content, Published
from reconciler.model.world import World
from reconciler.operations.editing.carry import Carried, Promotion
from reconciler.operations.editing.places import Said, owner
from reconciler.operations.gateway import ApiOf, Gateway
from reconciler.planner.diff import difference_of
from reconciler.planner.resolution.names import Spelling
from reconciler.planner.rollout.evidence import Judge
from reconciler.planner.rollout.look import look
from reconciler.planner.rollout.report import utc_date
from reconciler.planner.rollout.waves import rows_by_group
from reconciler.runtime import utc_today

_LISTED = 5
_SCOPES = "the token needs the scopes flows.get, flowVersions.get and flowVersion.get"
_UNCONVERGED = (Verdict.FAILED, Verdict.DRIFT, Verdict.WITHHELD, Verdict.PENDING)


@dataclass(slots=True)
class Findings:
    """Why a promotion is refused, and what else a reviewer should know."""

    refused: list[Problem] = field(default_factory=list)
    warnings: list[Warning] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refusal(self, *, strict: bool) -> Refused | None:
        """The error, if there is one; with `strict` warnings refuse, too."""
        problems = list(self.refused)
        if strict and self.warnings:
            count = counted(len(self.warnings), "warning")
            problems.append(Problem(f"refused (strict): {count} above", hint="see to them, or leave out --strict"))
        return Refused(dict.fromkeys(problems)) if problems else None


async def question(promotion: Promotion, source: Rules, gateway: Gateway, *, soak_s: float | None = None) -> Findings:
    """Ask whether what is carried has converged where it comes from, and is there where it goes. Sends GET only.

    `soak_s`: the devices must have been seen running it for so long, judged as rollouts judge.

    Raises:
        ManifestError: names, devices, flows or versions that the source does not have.
        ApiError, IncompleteRead: reading failed.
    """
    findings = Findings()
    async with gateway.open() as api_of:
        api = api_of(source.application.id, source.kind)
        extent = Extent(evidence=soak_s is not None)
        world = await discover(source, api, today=utc_today(), extent=extent)
        _ask_for_proof(promotion, world, findings)
        if soak_s is not None and not findings.refused:
            _ask_for_soak(promotion, world, findings, soak_s)
        await _ask_for_versions(promotion, api_of, findings)
    findings.refused.sort(key=lambda one: one.sort_key)
    findings.warnings = sorted(dict.fromkeys(findings.warnings), key=lambda one: one.sort_key)
    return findings


# --- has it converged? ------------------------------------------------------------------------------------------


def _ask_for_proof(promotion: Promotion, world: World, findings: Findings) -> None:
    """Judge every row that the groups decide, whichever flow: a device runs all of its flows as one bundle."""
    groups = {one.source.name: one.source for one in promotion.carried}
    laggards: dict[str, list[Laggard]] = defaultdict(list)
    ran: set[Place] = set()
    for group, place, laggard in _rows(world, groups):
        if laggard is None:
            ran.add(place)
        else:
            laggards[group].append(laggard)
    for name, said in groups.items():
        lagging = [one for one in laggards[name] if one.verdict in _UNCONVERGED]
        if lagging:
            hint = "see `reconciler status`; wait, or pass --unchecked"
            message = f"refused (not converged): {said.what} has {_summed(lagging)}"
            findings.refused.append(said.place.problem(message, hint))
        if offline := [one for one in laggards[name] if one.verdict is Verdict.OFFLINE]:
            findings.notes.append(f"not counted in {said.what}, not connected: {_listed(offline)}")
    by_flow: dict[tuple[str, str], list[Carried]] = defaultdict(list)
    for one in promotion.carried:
        by_flow[promotion.flows.meant(one.source.document, one.source.rule.flow.text), one.version].append(one)
    for (_, version), same in by_flow.items():
        flow = same[0].source.rule.flow.text
        if not any(one.source.place in ran for one in same):
            message = f"refused (not converged): no device of the group runs {flow} {version} yet"
            hint = "one must have run it; wait, or pass --unchecked"
            findings.refused.append(same[0].source.place.problem(message, hint))


def _ask_for_soak(promotion: Promotion, world: World, findings: Findings, soak_s: float) -> None:
    """Each connected device of the groups must be proven, by the gate of a rollout with this soak."""
    rows = rows_by_group(world.desired.devices)
    for name, said in {one.source.name: one.source for one in promotion.carried}.items():
        policy = Policy(name, said.place, (), Gate(soak_s=ceil(soak_s)))
        judge_soak = Judge(policy, world.read.server_time).judge
        due: dict[DeviceId, float] = {}
        for device_id, own in rows.get(name, {}).items():
            record = world.live.devices.get(device_id, NO_RECORD)
            found = judge_soak(record, own)
            if record.connected and found.verdict is not RolloutVerdict.PROVEN:
                due[device_id] = found.due
        if due:
            devices = counted(len(due), "device")
            verb = "has" if len(due) == 1 else "have"
            first = ", ".join(world.device_name(one) or one for one in sorted(due, key=due.__getitem__)[:_LISTED])
            named = f"{first}{and_more(max(0, len(due) - _LISTED), '')}"
            message = f"refused (not soaked): {devices} of {said.what} {verb} not run it for so long yet: {named}"
            when = utc_date(max(due.values()))
            hint = f"at the earliest {when}" if when else "see `reconciler status`"
            findings.refused.append(said.place.problem(message, f"{hint}; wait, or give a shorter --soak"))


def _rows(world: World, groups: Mapping[str, Said]) -> Iterator[tuple[str, Place, Laggard | None]]:
    """The rows that groups decide: the group, the place that says it, and what lags."""
    looked = None
    if world.rollouts:
        changes = difference_of(world).changes
        looked = look(world.rollouts, changes, world.read, world.flow_names)
    for device_id, flow_id, decision in world.desired.rows():
        record = world.live.devices.get(device_id, NO_RECORD)
        if decision.group is None or decision.group not in groups or flow_id in record.unmanageable:
            continue
        laggard = judge(
            (device_id, flow_id),
            decision.version,
            record,
            reachable=record.connected is True,
            flow_name=world.flow_name(flow_id),
            device_name=world.device_name(device_id),
            rollouts=looked,
        )
        yield decision.group, decision.place, laggard


def _summed(laggards: Sequence[Laggard]) -> str:
    counts = Counter(one.verdict for one in laggards)
    numbers = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in _UNCONVERGED if counts[verdict])
    lag = "lags" if len(laggards) == 1 else "lag"
    return f"{counted(len(laggards), 'row')} that {lag} ({numbers}): {_listed(laggards)}"


def _listed(laggards: Sequence[Laggard]) -> str:
    ordered = sorted(
        laggards,
        key=lambda one: (one.verdict is not Verdict.FAILED, one.device_name or "", one.device_id, one.flow_name or ""),
    )
    rows = [f"{one.device_name or one.device_id} {one.flow_name or one.flow_id}" for one in ordered[:_LISTED]]
    return ", ".join(rows) + and_more(max(0, len(laggards) - _LISTED), "")


# --- is it there, and the same? ---------------------------------------------------------------------------------


async def _ask_for_versions(promotion: Promotion, api_of: ApiOf, findings: Findings) -> None:
    first = promotion.carried[0]
    source, target = (_Side(promotion, api_of(*owner(one.document))) for one in first)
    different: dict[tuple[str, str, str], Carried] = {}
    for one in promotion.carried:
        different.setdefault((source.meant(one.source), target.meant(one.target), one.version), one)
    for one in different.values():
        await _ask_for_version(one, source, target, findings)


async def _ask_for_version(carried: Carried, source: _Side, target: _Side, findings: Findings) -> None:
    """Refuse a version that does not exist; warn if it is not the same, or that cannot be told."""
    version, place = carried.version, carried.target.place
    what = f"flow {carried.target.rule.flow.text} {version}"
    try:
        await target.find(carried.target, version)
    except PermissionDenied:
        message = f"not verified: whether application {target.api.application_id} has {what}"
        findings.warnings.append(Warning(message, place, _SCOPES))
        return
    except NotFound as error:
        problem = error.problems[0]
        findings.refused.append(place.problem(f"refused (no such version): {problem.message}", problem.hint))
        return
    try:
        here, there = (await source.content(carried.source, version), await target.content(carried.target, version))
    except (PermissionDenied, NotFound):
        findings.warnings.append(Warning(f"not verified: whether {what} is the same in both", place, _SCOPES))
        return
    if here.sha256 != there.sha256:
        hint = "definitions hold ids that may differ by application; compare the two in Losant"
        findings.warnings.append(Warning(f"{what} is not the same in both applications", place, hint))


class _Side:
    """The flows of one application, by what its manifests call them."""

    def __init__(self, promotion: Promotion, api: LosantApi) -> None:
        self.api = api
        self._flows = promotion.flows
        self._listed: tuple[Flow, ...] | None = None

    def meant(self, said: Said) -> str:
        """The id or the Losant name of a flow."""
        return self._flows.meant(said.document, said.rule.flow.text)

    async def content(self, said: Said, version: str) -> Content:
        """What a version is. Raises as `find` does."""
        return await self.api.content(*await self.find(said, version))

    async def find(self, said: Said, version: str) -> tuple[FlowId, Published]:
        """A version, and its flow.

        Raises:
            NotFound: the flow or the version does not exist; the message says which.
            PermissionDenied: the token may not tell.
        """
        flow_id = await self._id(said)
        found = await self.api.published(flow_id, names=[version])
        if not found:
            known = await self.api.versions(flow_id)
            hint = Spelling(known).hint(version) or "publish it there first"
            owner_id = self.api.application_id
            raise NotFound(f"flow {said.rule.flow.text} of application {owner_id} has no version {version}", hint=hint)
        return flow_id, found[0]

    async def _id(self, said: Said) -> FlowId:
        meant = self.meant(said)
        if is_id(meant):
            return meant
        if self._listed is None:
            self._listed = await self.api.flows()
        flows = self._listed
        found = [one.id for one in flows if one.name == meant]
        if len(found) == 1:
            return found[0]
        where = f"application {self.api.application_id}"
        if found:
            raise NotFound(f"{len(found)} flows of {where} are named {meant}", hint=f"use an id: {', '.join(found)}")
        hint = Spelling({one.name for one in flows if one.name}).hint(meant) or "check the spelling"
        raise NotFound(f"{where} has no flow named {meant}", hint=hint)
