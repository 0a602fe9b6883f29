"""What work that takes long is waiting for, by name, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest

from reconciler.model.health import Offline, Verdict, Wait
from reconciler.model.result import CallResult, CallState
from reconciler.model.text import counted
from reconciler.render.inert import EXAMPLES, fitting, inert

_LONGEST = 40  # characters of a name
_UNDER_WAY = (CallState.SENT, CallState.ACCEPTED)


def awaited_devices(wait: Wait) -> str:
    """`waiting for 3 of 2,500: york-pump-0899, york-pump-0900 and 1 more`: devices, or nothing.

    A row that drifts is waited for, too: reads may lag behind writes. Offline devices are if the wait's policy says so.
    """
    if wait.verdicts is None:
        return ""
    open_ = {Verdict.PENDING, Verdict.DRIFT, *([Verdict.OFFLINE] if wait.offline == Offline.WAIT else [])}
    names = {row.device_id: row.device_name or row.device_id for row in wait.laggards if row.verdict in open_}
    if not names:
        return ""
    first = nsmallest(EXAMPLES, names.values())
    return _line(f"waiting for {len(names):,} of {sum(wait.verdicts.devices.values()):,}", first, total=len(names))


def awaited_calls(calls: Iterable[CallResult], flow_names: Mapping[str, str]) -> str:
    """`waiting for 2 calls: #0 replace pump-control, #1 release alarms`: those that are under way, or nothing."""
    under_way = [call for call in calls if call.state in _UNDER_WAY]
    if not under_way:
        return ""
    names = [_call(call, flow_names) for call in nsmallest(EXAMPLES, under_way, key=lambda call: call.id)]
    return _line(f"waiting for {counted(len(under_way), 'call')}", names, total=len(under_way))


def _call(call: CallResult, flow_names: Mapping[str, str]) -> str:
    flow_id = call.body.get("flowId")
    flow = (flow_names.get(flow_id) or flow_id) if isinstance(flow_id, str) else ""
    return f"#{call.id} {call.action} {flow}".rstrip()


def _line(head: str, names: Sequence[str], *, total: int) -> str:
    first, *others = (inert(name, limit=_LONGEST) for name in names)
    return fitting([f"{head}: {first}", *others], total=total, indent=0)
