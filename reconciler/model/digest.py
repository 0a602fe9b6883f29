"""The digests of a plan: of its changes, and of the changes together with what guards them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.changes import Changes
from reconciler.model.rules import Policy, Selector
from reconciler.model.state import DeviceId, FlowId, Version

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

DEVICES_AT_ONCE = 1_000  # bounds the memory


class Digests(NamedTuple):
    """Both digests of the same plans; whoever expects a plan may give either.

    `changes` is over application, kind, device, flow, from and to of every change. `review` is over these, with the
    resolved rows of groups with a policy in place of the changes of these groups, and over the manifests' limits,
    protections, policies, locks and groups that may be empty, so that none of them can be altered after a review. Time,
    connection state, logs, names, places, options and calls are in none of them.
    """

    changes: str
    review: str


def digests(plans: Iterable[Plan]) -> Digests:
    """Each is `sha256:` and the hash of a JSON array.

    That of the changes has these, sorted. That of the review has the changes that no rollout waves, then the rows of
    the groups with a policy, changed or not, then the guards, each sorted; so the steps of a rollout do not alter it.
    """
    plans = _sorted(plans)
    changes = _of_changes(plans)
    review = changes.copy()
    if any(plan.rollouts for plan in plans):
        review = _Hash()
        for plan in plans:
            review.add(_rows(plan, _unwaved(plan)))
        for plan in plans:
            review.add(_resolved(plan))
    for plan in plans:
        review.add(json.dumps(part, separators=(",", ":")) for part in _guards(plan))
    return Digests(changes.digest(), review.digest())


def digest(plans: Iterable[Plan]) -> str:
    """The digest of the changes."""
    return _of_changes(_sorted(plans)).digest()


def _sorted(plans: Iterable[Plan]) -> list[Plan]:
    return sorted(plans, key=lambda plan: (plan.application.id, plan.kind))


def _of_changes(plans: Iterable[Plan]) -> _Hash:
    found = _Hash()
    for plan in plans:
        found.add(_rows(plan, Changes.of(plan.changes)))
    return found


class _Hash:
    """The hash of a JSON array whose items are added as text."""

    def __init__(self) -> None:
        self._hash, self._between = hashlib.sha256(b"["), b""

    def add(self, parts: Iterable[str]) -> None:
        """Add items; each part is one of them, or several separated by commas."""
        for part in parts:
            # A lone surrogate is not valid UTF-8, yet JSON from the API may hold one in a name: hash it, do not fail.
            self._hash.update(self._between + part.encode("utf-8", "surrogatepass"))
            self._between = b","

    def copy(self) -> _Hash:
        """The hash so far, to which other items can be added."""
        other = _Hash()
        other._hash, other._between = self._hash.copy(), self._between
        return other

    def digest(self) -> str:
        self._hash.update(b"]")
        return f"sha256:{self._hash.hexdigest()}"


def _unwaved(plan: Plan) -> Changes:
    """The changes that no rollout concerns."""
    holds = plan.rollouts.holds if plan.rollouts else {}
    return Changes.of(plan.changes).picked(holds, lambda hold: hold.wave is None)


def _resolved(plan: Plan) -> Iterator[str]:
    """The rows of the groups with a policy as JSON, sorted, a part at a time."""
    begin = f"[{_json(plan.application.id)},{_json(plan.kind)},"
    of_device: dict[DeviceId, tuple[Mapping[FlowId, Version | None], ...]] = {}
    for rollout in plan.rollouts.groups if plan.rollouts else ():
        for device_id, rows in rollout.rows.items():
            of_device[device_id] = (*of_device.get(device_id, ()), rows)
    shared: dict[tuple[int, ...], list[str]] = {}
    devices = iter(sorted(of_device.items(), key=itemgetter(0)))
    while some := list(islice(devices, DEVICES_AT_ONCE)):
        found = []
        for device_id, parts in some:
            if (key := tuple(map(id, parts))) not in shared:
                flows = sorted((flow_id, to) for rows in parts for flow_id, to in rows.items())
                shared[key] = [f",{_json(flow_id)},{_json(to)}]" for flow_id, to in flows]
            head = begin + _json(device_id)
            found += [head + end for end in shared[key]]
        yield ",".join(found)


def _rows(plan: Plan, changes: Changes) -> Iterator[str]:
    """Changes as JSON, sorted, a part at a time; of all that move alike, what they share is made once."""
    begin = f"[{_json(plan.application.id)},{_json(plan.kind)},"
    ends = {
        moves: [f",{_json(move.flow_id)},{_json(move.from_version)},{_json(move.to_version)}]" for move in moves]
        for moves in changes.cohorts
    }
    devices = iter(changes.devices.items())
    while some := list(islice(devices, DEVICES_AT_ONCE)):
        heads = [(f'{begin}"{one}"' if one.isalnum() else begin + _json(one), ends[moves]) for one, moves in some]
        yield ",".join([f"{head}{end}" for head, ends_of in heads for end in ends_of])


def _guards(plan: Plan) -> Iterator[list[object]]:
    """What the manifests guard a plan with, without the places: moving a line alters nothing."""
    limits = plan.guards.limits
    for name, limit in (("removals", limits.removals), ("changes", limits.changes), ("leaving", limits.leaving)):
        yield [plan.application.id, plan.kind, f"limits.{name}", limit.count, _percent(limit.percent)]
    protected = {(one.device_id or "", one.flow_id or "", str(one.forbid)) for one in plan.guards.protect}
    for device_id, flow_id, forbid in sorted(protected):
        yield [plan.application.id, plan.kind, "protect", device_id or None, flow_id or None, forbid]
    for group in plan.guards.may_be_empty:
        yield [plan.application.id, plan.kind, "may_be_empty", group]
    groups = plan.rollouts.groups if plan.rollouts else ()
    for name, policy in sorted({one.policy.name: one.policy for one in groups}.items()):
        yield [plan.application.id, plan.kind, "rollouts", name, *_policy(policy)]
    for one in groups:
        yield [plan.application.id, plan.kind, "rollout", one.group, one.policy.name, one.up_to]
    contents = {one.content for one in plan.guards.lock.versions} if plan.guards.lock else ()
    for flow_id, version, sha256 in sorted({(one.flow_id, one.version, one.sha256) for one in contents}):
        yield [plan.application.id, plan.kind, "lock", flow_id, version, sha256]


def _policy(policy: Policy) -> Iterator[object]:
    yield [_selector(wave.select) for wave in policy.waves]
    yield [_percent(policy.gate.converged), policy.gate.soak_s, policy.gate.sample, policy.patience_s]
    budget, window = policy.budget, policy.window
    yield [budget.by, budget.count, _percent(budget.percent)] if budget else None
    yield [window.days, window.start_min, window.end_min, window.zone] if window else None


def _selector(selector: Selector) -> object:
    _place, devices, tags, query, is_all, percent, exclude = selector
    named = None if devices is None else sorted({ref.text for ref in devices})
    tagged = None if tags is None else sorted((key, sorted(set(values))) for key, values in tags.items())
    return [named, tagged, query, is_all, _percent(percent), exclude and _selector(exclude)]


def _percent(percent: Decimal | None) -> str | None:
    """However many zeros it was written with."""
    return None if percent is None else f"{percent.normalize():f}"


def _json(value: str | None) -> str:
    return json.dumps(value, ensure_ascii=False)
