"""What a device had and ran before its targets, as far as its log tells."""

from __future__ import annotations

from reconciler.model.log import UNDATED, last_release, names, unix_time
from reconciler.model.rollout import Rows
from reconciler.model.state import NOTHING, FlowId, LiveDevice, Version


def former_versions(device: LiveDevice, rows: Rows, soak_s: float) -> dict[FlowId, Version | None]:
    """What the device ran before its targets, as far as is known: what it reports, else what was released before."""
    lines = device.evidence.lines
    last = max([index for one in rows if (index := last_release(lines, one)) is not None], default=None)
    former = {}
    for flow_id, target in rows.items():
        reported = device.flows.get(flow_id, NOTHING).reported
        is_told = reported != target and not device.unknown_bundle
        if is_told or last is None or (release := last_release(lines, flow_id)) is None:
            former[flow_id] = reported
        elif _ran_between(device, flow_id, release, last, soak_s):
            former[flow_id] = lines[release].version
        else:
            former[flow_id] = _released_before(device, flow_id, release, reported)
    return former


def _ran_between(device: LiveDevice, flow_id: FlowId, release: int, last: int, soak_s: float) -> bool:
    """Whether a device took up the release of a flow, and ran it for the soak before its last release of any flow."""
    lines, instants, _, _, records = device.evidence
    for index in range(release + 1, last):
        line = lines[index]
        is_own = records is None or line.flow_id == flow_id
        if is_own and line.change == "current" and line.error is None and line.update != "unknownBundle":
            return instants[index] > UNDATED and instants[last] - instants[index] >= soak_s
    return False


def _released_before(device: LiveDevice, flow_id: FlowId, release: int, otherwise: Version | None) -> Version | None:
    """What was released before a release of a flow; `otherwise` where the log does not tell."""
    line = device.evidence.lines[release]
    if device.evidence.records is not None:
        return line.previous
    before = last_release(device.evidence.lines[:release], flow_id)
    if before is not None:
        return device.evidence.lines[before].version
    return None if line.update == "newFlow" else otherwise


def was_offline(device: LiveDevice, rows: Rows) -> bool:
    """Whether a device disconnected before it was given the targets that it does not report."""
    connection = unix_time(device.connection_time)
    if device.connected is not False or connection == UNDATED:
        return False
    if device.unknown_bundle:  # it reports none of them
        return any(_lacked(device, flow_id, target, connection) for flow_id, target in rows.items())
    return all(
        _lacked(device, flow_id, target, connection)
        for flow_id, target in rows.items()
        if device.flows.get(flow_id, NOTHING).reported != target
    )


def _lacked(device: LiveDevice, flow_id: FlowId, target: Version | None, moment: float) -> bool:
    """Whether the log shows that a target was not released at some moment, and was later.

    What was released then is asked, not when the target first was: a log that has lost its oldest lines may have lost
    that, and what it loses must not take a device out of the count. Of a log that does not go back so far, the first
    line must be an add or the target itself. So a lost line misleads only if a device had been given the target, went,
    was given another version and then the target again, and the log has lost all but the last of these.
    """
    lines, instants, _, _, records = device.evidence
    before, first, is_shown = None, None, False
    for index, line in enumerate(lines):
        if not names(line, flow_id) or instants[index] == UNDATED:
            continue
        if instants[index] <= moment:
            before = line
        else:
            first, is_shown = index if first is None else first, is_shown or line.version == target
    if first is None or not is_shown:
        return False
    if before is not None:
        return before.version != target
    is_add = lines[first].update == "newFlow" or (records is not None and lines[first].previous is None)
    is_change = last_release(lines[: first + 1], flow_id) == first
    return is_change and (is_add or lines[first].version == target)
