"""Pins for failing devices as YAML to paste: every flow that the group decides on them, at its former version.

Names and versions may contain anything, so they are double-quoted. What `inert` makes of hidden characters and of
commands of a CI system is an escape sequence of YAML, too, which gives the same text again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.model.log import unix_time
from reconciler.model.rollout import FailingDevice, RolloutReport
from reconciler.model.state import FlowId, Version
from reconciler.render.inert import inert
from reconciler.runtime import utc_today

FOR_DAYS: Final = 30
_UNDECLARABLE = frozenset({"absent", "develop", "default"})  # as versions, they mean something else


def pin_lines(
    report: RolloutReport, devices: Iterable[FailingDevice], flow_names: Mapping[FlowId, str]
) -> Iterator[str]:
    """The block `pins:` for failing devices of a rollout."""
    yield "pins:"
    for pin in pinned(report, devices, flow_names):
        yield from pin.split("\n")


def pinned(report: RolloutReport, devices: Iterable[FailingDevice], flow_names: Mapping[FlowId, str]) -> list[str]:
    """One item of the block for each device, which ends 30 days after it was judged."""
    until = _until(report)
    return ["\n".join(_pin(report.group, device, flow_names, until=until)) for device in devices]


def _until(report: RolloutReport) -> str:
    """By the server's time, so that a wrong clock here does no harm; by this clock only where there is none."""
    try:
        return (datetime.fromtimestamp(unix_time(report.judged_at), UTC).date() + timedelta(days=FOR_DAYS)).isoformat()
    except (ValueError, OverflowError):
        return (utc_today() + timedelta(days=FOR_DAYS)).isoformat()


def _pin(group: str, device: FailingDevice, flow_names: Mapping[FlowId, str], *, until: str) -> Iterator[str]:
    odd = [version for version in device.former.values() if version in _UNDECLARABLE]
    if odd:
        yield f"  # {inert(device.device_name or device.device_id)} ran {quoted(odd[0])}, which cannot be declared"
        return
    yield f"  - device: {quoted(device.device_id)}{_comment(device.device_name)}"
    yield "    flows:"
    for flow_id, version in sorted(device.former.items()):
        yield f"      {quoted(flow_id)}: {_version(version)}{_comment(flow_names.get(flow_id))}"
    error = f": {device.error}" if device.error else ""
    reason = f"{device.verdict} in the rollout of {group}{error}"
    yield f"    reason: {quoted(reason[:200])}"
    yield f"    until: {until}"


def _version(version: Version | None) -> str:
    return "absent" if version is None else quoted(version)


def quoted(text: str) -> str:
    """A double-quoted scalar that shows no hidden character."""
    return '"' + inert(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _comment(name: str | None) -> str:
    return f"  # {inert(name)}" if name else ""
