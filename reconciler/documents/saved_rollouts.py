"""Reads the rollouts of a saved plan, checked like the rest of it: an apply judges by what they say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from reconciler.documents.parts import ChangePart, PlanPart
from reconciler.documents.reading import wrong
from reconciler.documents.waved import GroupPart, PolicyPart, WavedPart, WavePart
from reconciler.model.changes import Change, Changes
from reconciler.model.rollout import Hold, Rollout, RolloutReport, Rollouts, RolloutState, Withheld
from reconciler.model.rules import Budget, Policy, Selector, Wave, Window
from reconciler.model.state import DeviceId, FlowId, Version

HOLD: Final = ("wave", "withheld", "goes_back")
_MINUTES = 24 * 60
_Sets: TypeAlias = Mapping[tuple[str, ...], Mapping[DeviceId, tuple[str, ...]]]


def read_waved(part: WavedPart, *at: str | int) -> tuple[Rollout, ...]:
    """The rollouts of a document; raises `Misshapen` where it cannot have been written so."""
    names = [group.group for group in part.groups]
    if not names or names != sorted(set(names)):
        raise wrong("must be sorted by group, each once", *at, "groups")
    shared = _read_sets(part, *at, "sets")
    policies: dict[str, PolicyPart] = {}
    found = []
    for number, group in enumerate(part.groups):
        here = (*at, "groups", number)
        if policies.setdefault(group.policy.name, group.policy) != group.policy:
            raise wrong(f"differs from that of another group with policy {group.policy.name}", *here, "policy")
        rollout = _read_group(group, *here)
        found.append(
            rollout if group.policy.budget is None else _with_sets(rollout, group.policy.budget, shared, *here)
        )
    _check_rows(found, *at, "groups")
    return tuple(found)


def _read_group(part: GroupPart, *at: str | int) -> Rollout:
    policy = _read_policy(part.policy, *at, "policy")
    last = len(policy.waves) + 1
    if part.up_to is not None and part.up_to > last:
        raise wrong(f"must be at most {last}, the number of waves", *at, "up_to")
    rows: dict[DeviceId, Mapping[FlowId, Version | None]] = {}
    waves: dict[DeviceId, int] = {}
    for number, some in enumerate(part.rows):
        here = (*at, "rows", number)
        if not 1 <= some.wave <= last:
            raise wrong(f"must be from 1 to {last}", *here, "wave")
        if not some.flows or not some.device_ids:
            raise wrong("must have flows and devices", *here)
        before = len(rows)
        rows.update(dict.fromkeys(some.device_ids, some.flows))
        if len(rows) != before + len(some.device_ids):
            raise wrong("has a device twice", *here, "device_ids")
        waves.update(dict.fromkeys(some.device_ids, some.wave))
    return Rollout(part.group, part.place, policy, part.up_to, rows, waves)


def _read_policy(part: PolicyPart, *at: str | int) -> Policy:
    if not part.waves:
        raise wrong("must not be empty", *at, "waves")
    if part.gate.converged > 100:
        raise wrong("must be at most 100", *at, "gate", "converged")
    if part.gate.sample < 1:
        raise wrong("must be at least 1", *at, "gate", "sample")
    if part.budget and (part.budget.count is None) == (part.budget.percent is None):
        raise wrong("must have either count or percent", *at, "budget")
    if part.window:
        _check_window(part.window, *at, "window")
    waves = tuple(_read_wave(wave, *at, "waves", number, "select") for number, wave in enumerate(part.waves))
    return Policy(part.name, part.place, waves, part.gate, part.patience_s, part.budget, part.window)


def _read_wave(part: WavePart, *at: str | int) -> Wave:
    selector: Selector | None = None
    for place, devices, tags, is_all, percent in reversed(part.select):
        selector = Selector(place, devices, tags, None, is_all, percent, selector)
    if selector is None:
        raise wrong("must not be empty", *at)
    return Wave(selector.place, selector)


def _check_window(window: Window, *at: str | int) -> None:
    if not window.days or any(day > 6 for day in window.days):
        raise wrong("must be numbers from 0 (Monday) to 6", *at, "days")
    for key, minute in (("start_min", window.start_min), ("end_min", window.end_min)):
        if minute >= _MINUTES:
            raise wrong("must be less than 1440", *at, key)
    if window.start_min == window.end_min:
        raise wrong("must differ from start_min", *at, "end_min")
    try:
        ZoneInfo(window.zone)
    except (KeyError, ValueError, OSError):
        raise wrong("must be a time zone", *at, "zone") from None


def _read_sets(part: WavedPart, *at: str | int) -> _Sets:
    needed = {one.policy.budget.by for one in part.groups if one.policy.budget and one.policy.budget.by}
    if [one.by for one in part.sets] != sorted(needed):
        raise wrong("must be those of the budgets, sorted by tags", *at)
    found: dict[tuple[str, ...], dict[DeviceId, tuple[str, ...]]] = {}
    for number, one in enumerate(part.sets):
        sets = found[one.by] = {device_id: some.names for some in one.devices for device_id in some.device_ids}
        if len(sets) != sum(len(some.device_ids) for some in one.devices):
            raise wrong("has a device twice", *at, number, "devices")
        if not all(some.names for some in one.devices):
            raise wrong("must have names", *at, number, "devices")
    return found


def _with_sets(rollout: Rollout, budget: Budget, shared: _Sets, *at: str | int) -> Rollout:
    sets = shared[budget.by] if budget.by else dict.fromkeys(rollout.rows, ("",))
    if not sets.keys() >= rollout.rows.keys():
        raise wrong("has a device that is in no set of the budget", *at, "rows")
    return rollout._replace(sets=sets)


def _check_rows(rollouts: Iterable[Rollout], *at: str | int) -> None:
    """No row is decided by two groups."""
    flows: dict[DeviceId, frozenset[FlowId]] = {}
    for number, rollout in enumerate(rollouts):
        for device_id, rows in rollout.rows.items():
            before = flows.get(device_id, frozenset())
            if not before.isdisjoint(rows):
                raise wrong(f"has a row of device {device_id} that another group decides", *at, number, "rows")
            flows[device_id] = before | rows.keys()


# --- what the plan says of them ---------------------------------------------------------------------------------


def rollouts_of(part: PlanPart, changes: Sequence[Change], *at: str | int) -> Rollouts | None:
    """The rollouts of a plan, checked against its changes; None if no group has a policy."""
    if part.waved is None:
        if part.rollouts:
            raise wrong("is missing", *at, "waved")
        for number, item in enumerate(part.changes):
            if key := next((key for key in HOLD if key in item), None):
                raise wrong("is not a known key of a plan without rollouts", *at, "changes", number, key)
        return None
    groups = read_waved(part.waved, *at, "waved")
    _check_reports(part.rollouts, groups, *at, "rollouts")
    holds = _Holds(groups)
    each = [
        holds.of(item, change, *at, "changes", number)
        for number, (item, change) in enumerate(zip(part.changes, changes, strict=True))
    ]
    sent = Changes.of(change for change, hold in zip(changes, each, strict=True) if hold.withheld is None)
    _check_states(part.rollouts, holds, *at, "rollouts")
    return Rollouts(groups, part.rollouts, sent, _by_device(changes, each))


class _Holds:
    """What a document says of each change, checked against the groups. `sent`, `withheld`: by group, of its own rows.

    `sent` leaves out what goes back, which every rollout sends.
    """

    def __init__(self, groups: Sequence[Rollout]) -> None:
        self._groups = groups
        self.sent: set[str] = set()
        self.withheld: dict[str, set[str]] = defaultdict(set)

    def of(self, item: ChangePart, change: Change, *at: str | int) -> Hold:
        for key in HOLD:
            if key not in item:
                raise wrong("is missing", *at, key)
        hold = Hold(item["wave"], item["withheld"], item["goes_back"])
        mine = [one for one in self._groups if change.device_id in one.rows]
        decider = next((one for one in mine if change.flow_id in one.rows[change.device_id]), None)
        if decider is not None:
            self._check_own(decider, change, hold, *at)
        elif hold.wave is not None and not self._may_follow(mine, change, hold):
            raise wrong("must be null, since no group with a policy decides the row", *at, "wave")
        if hold.withheld is not None and (hold.wave is None or hold.goes_back):
            raise wrong("must be null for a change without a wave, or that goes back", *at, "withheld")
        if hold.withheld is not None and item["call"] is not None:
            raise wrong("must be null for a change that is withheld", *at, "call")
        return hold

    def _may_follow(self, mine: Iterable[Rollout], change: Change, hold: Hold) -> bool:
        """Whether it may be a removal by `prune`, which waits with other rows of its device."""
        return change.to_version is None and hold.wave in [one.waves[change.device_id] for one in mine]

    def _check_own(self, rollout: Rollout, change: Change, hold: Hold, *at: str | int) -> None:
        wave, target = rollout.waves[change.device_id], rollout.rows[change.device_id][change.flow_id]
        if hold.wave != wave:
            raise wrong(f"must be {wave}, according to the group {rollout.group}", *at, "wave")
        if change.to_version != target:
            raise wrong(f"must be {target or 'null'}, according to the group {rollout.group}", *at, "to")
        if hold.withheld is not None:
            self.withheld[rollout.group].add(hold.withheld)
        elif not hold.goes_back:
            self.sent.add(rollout.group)


def _by_device(changes: Iterable[Change], holds: Iterable[Hold]) -> dict[DeviceId, tuple[Hold, ...]]:
    """The holds of the devices that some rollout concerns; devices that are alike share them."""
    found: dict[DeviceId, list[Hold]] = defaultdict(list)
    for change, hold in zip(changes, holds, strict=True):
        found[change.device_id].append(hold)
    shared: dict[tuple[Hold, ...], tuple[Hold, ...]] = {}
    return {
        device_id: shared.setdefault(key := tuple(of_device), key)
        for device_id, of_device in found.items()
        if any(hold.wave is not None for hold in of_device)
    }


def _check_reports(reports: Sequence[RolloutReport], groups: Sequence[Rollout], *at: str | int) -> None:
    """A report says what its group says: name, policy, `up_to`, and the waves, which have no more devices than it."""
    if [one.group for one in reports] != [one.group for one in groups]:
        raise wrong("must be those of the groups in `waved`", *at)
    for number, (report, group) in enumerate(zip(reports, groups, strict=True)):
        if (report.policy, report.up_to) != (group.policy.name, group.up_to):
            raise wrong("must have the policy and the `up_to` of its group", *at, number)
        if [wave.wave for wave in report.waves] != list(range(1, group.last_wave + 1)):
            raise wrong(f"must be the waves 1 to {group.last_wave}", *at, number, "waves")
        sizes = Counter(group.waves.values())
        for place, wave in enumerate(report.waves):
            if wave.devices > sizes[wave.wave]:
                raise wrong(
                    f"must be at most {sizes[wave.wave]}, the devices of the wave",
                    *at,
                    number,
                    "waves",
                    place,
                    "devices",
                )


def _check_states(reports: Sequence[RolloutReport], holds: _Holds, *at: str | int) -> None:
    """What is sent and withheld fits the state: neither can be edited without the other."""
    for number, report in enumerate(reports):
        if report.state not in list(RolloutState):
            continue  # of a later version
        reasons, is_stopped = holds.withheld[report.group], report.state is RolloutState.STOPPED
        fits = reasons <= {Withheld.STOPPED} if is_stopped else Withheld.STOPPED not in reasons
        if report.group in holds.sent:
            fits = fits and report.state is RolloutState.OPEN
        if reasons:
            fits = fits and report.state is not RolloutState.COMPLETE
        if not fits:
            raise wrong("does not match what is sent and withheld", *at, number, "state")
