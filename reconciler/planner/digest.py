"""The fingerprint of what would change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from reconciler.model.plan import Plan


def digest(plans: Iterable[Plan]) -> str:
    """`sha256:` and the hash of application, kind, device, flow, from and to of every change.

    Time, connection state, logs, names and calls never enter.
    """
    rows = sorted(
        (plan.application.id, plan.kind.value, change.device_id, change.flow_id, change.from_version, change.to_version)
        for plan in plans
        for change in plan.changes
    )
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is not valid UTF-8, yet JSON from the API may hold one in a name: hash it rather than fail.
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
