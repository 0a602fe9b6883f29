"""The digests of a plan: of its changes, and of the changes together with what guards them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.changes import Changes

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

DEVICES_AT_ONCE = 1_000  # bounds the memory


class Digests(NamedTuple):
    """Both digests of the same plans; whoever expects a plan may give either.

    `changes` is over application, kind, device, flow, from and to of every change. `review` is over these, and over the
    manifests' limits, protections and groups that may be empty, so that none can be altered after a review. Time,
    connection state, logs, names, places, options and calls are in none of them.
    """

    changes: str
    review: str


def digests(plans: Iterable[Plan]) -> Digests:
    """Each is `sha256:` and the hash of a JSON array: the changes, sorted; for the review also the guards, sorted."""
    found = hashlib.sha256(b"[")
    begun = b""
    plans = sorted(plans, key=lambda plan: (plan.application.id, plan.kind))
    for plan in plans:
        for rows in _rows(plan):
            # A lone surrogate is not valid UTF-8, yet JSON from the API may hold one in a name: hash it, do not fail.
            found.update(begun + rows.encode("utf-8", "surrogatepass"))
            begun = b","
    review = found.copy()
    guards = ",".join(json.dumps(part, separators=(",", ":")) for plan in plans for part in _guards(plan))
    review.update((begun if guards else b"") + guards.encode() + b"]")
    found.update(b"]")
    return Digests(f"sha256:{found.hexdigest()}", f"sha256:{review.hexdigest()}")


def digest(plans: Iterable[Plan]) -> str:
    """The digest of the changes."""
    return digests(plans).changes


def _rows(plan: Plan) -> Iterator[str]:
    """The changes of a plan as JSON, sorted, a part at a time; of all that move alike, what they share is made once."""
    changes = Changes.of(plan.changes)
    begin = f"[{_json(plan.application.id)},{_json(plan.kind)},"
    ends = {
        moves: [f",{_json(move.flow_id)},{_json(move.from_version)},{_json(move.to_version)}]" for move in moves]
        for moves in changes.cohorts
    }
    devices = iter(changes.devices.items())
    while some := list(islice(devices, DEVICES_AT_ONCE)):
        heads = [(f'{begin}"{one}"' if one.isalnum() else begin + _json(one), ends[moves]) for one, moves in some]
        yield ",".join([f"{head}{end}" for head, ends_of in heads for end in ends_of])


def _guards(plan: Plan) -> Iterator[list[str | int | None]]:
    """What the manifests guard a plan with, without the places: moving a line alters nothing."""
    limits = plan.guards.limits
    for name, limit in (("removals", limits.removals), ("changes", limits.changes), ("leaving", limits.leaving)):
        yield [plan.application.id, plan.kind, f"limits.{name}", limit.count, _percent(limit.percent)]
    protected = {(one.device_id or "", one.flow_id or "", str(one.forbid)) for one in plan.guards.protect}
    for device_id, flow_id, forbid in sorted(protected):
        yield [plan.application.id, plan.kind, "protect", device_id or None, flow_id or None, forbid]
    for group in plan.guards.may_be_empty:
        yield [plan.application.id, plan.kind, "may_be_empty", group]


def _percent(percent: Decimal | None) -> str | None:
    """However many zeros it was written with."""
    return None if percent is None else f"{percent.normalize():f}"


def _json(value: str | None) -> str:
    return json.dumps(value, ensure_ascii=False)
