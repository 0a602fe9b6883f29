"""The digest of a plan's changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from reconciler.model.plan import Plan


def digest(plans: Iterable[Plan]) -> str:
    """`sha256:` and a hash over application, kind, device, flow, from and to of every change.

    Time, connection state, logs, names and calls are never included.
    """
    rows = sorted(
        (plan.application.id, plan.kind.value, change.device_id, change.flow_id, change.from_version, change.to_version)
        for plan in plans
        for change in plan.changes
    )
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is not valid UTF-8, but a version name from the API's JSON may contain one: hash it, do not fail.
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
