"""The digest of a plan's changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.model.changes import Changes

if TYPE_CHECKING:
    from reconciler.model.plan import Plan


def digest(plans: Iterable[Plan]) -> str:
    """`sha256:` and a hash over application, kind, device, flow, from and to of every change.

    Time, connection state, logs, names and calls are never included.
    """
    ordered = sorted(plans, key=lambda plan: (plan.application.id, plan.kind))
    text = f"[{','.join(rows for plan in ordered if (rows := _rows(plan)))}]"
    # A lone surrogate is not valid UTF-8, yet JSON from the API may hold one in a name: hash it rather than fail.
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _rows(plan: Plan) -> str:
    """The changes of a plan as JSON, sorted. What follows the device's id is written once for all that move alike."""
    changes = Changes.of(plan.changes)
    begin = f"[{_json(plan.application.id)},{_json(plan.kind)},"
    ends = {
        moves: [f",{_json(move.flow_id)},{_json(move.from_version)},{_json(move.to_version)}]" for move in moves]
        for moves in changes.cohorts
    }
    return ",".join(
        [
            ",".join([f"{head}{end}" for end in ends[moves]])
            for device_id, moves in changes.devices.items()
            if (head := f"{begin}{_json(device_id)}")
        ]
    )


def _json(value: str | None) -> str:
    return json.dumps(value, ensure_ascii=False)
