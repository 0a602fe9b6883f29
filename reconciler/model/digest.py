"""The digest of a plan's changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from reconciler.model.changes import Changes

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

DEVICES_AT_ONCE = 1_000  # bounds the memory


def digest(plans: Iterable[Plan]) -> str:
    """`sha256:` and a hash over application, kind, device, flow, from and to of every change.

    Time, connection state, logs, names and calls are never included.
    """
    found = hashlib.sha256(b"[")
    begun = b""
    for plan in sorted(plans, key=lambda plan: (plan.application.id, plan.kind)):
        for rows in _rows(plan):
            # A lone surrogate is not valid UTF-8, yet JSON from the API may hold one in a name: hash it, do not fail.
            found.update(begun + rows.encode("utf-8", "surrogatepass"))
            begun = b","
    found.update(b"]")
    return f"sha256:{found.hexdigest()}"


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


def _json(value: str | None) -> str:
    return json.dumps(value, ensure_ascii=False)
