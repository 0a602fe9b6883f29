"""Rollouts that are stopped or stalled, as the problems of a document whose exit code is 7."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import ExitCode, Problem, ReconcilerError
from reconciler.model.rollout import FailingDevice, RolloutReport, RolloutState
from reconciler.model.text import and_more

NAMED = 5  # failing devices in a problem


def ways_on(report: RolloutReport) -> str:
    """What somebody may do about a rollout that is stopped or stalled; empty for others."""
    match report.state:
        case RolloutState.STOPPED if report.failing:
            return "revert the change, merge a fixed version, or pin the failing devices"
        case RolloutState.STOPPED:
            return "revert the change, or change the waves of its policy"
        case RolloutState.STALLED:
            return "see to the devices that are not proven, revert the change, or merge a fixed version"
        case _:
            return ""


class RolloutsStopped(ReconcilerError):
    """Some rollout is stopped or stalled."""

    exit_code = ExitCode.ROLLOUT_STOPPED


def attention(reports: Iterable[RolloutReport]) -> RolloutsStopped | None:
    """The error for those rollouts that need attention: the reason, the failing devices and the ways on of each."""
    problems = [_problem(one) for one in reports if one.needs_attention]
    return RolloutsStopped(problems) if problems else None


def _problem(report: RolloutReport) -> Problem:
    message = f"the rollout of group {report.group} is {report.state}: {report.reason or 'no reason is known'}"
    if report.failing:
        more = and_more(len(report.failing) - NAMED if len(report.failing) > NAMED else 0)
        message += f"; {', '.join(map(_device, report.failing_by_name[:NAMED]))}{more}"
    return Problem(message, hint=ways_on(report))


def _device(device: FailingDevice) -> str:
    error = f": {device.error[:200]}" if device.error else ""
    return f"{device.device_name or device.device_id} {device.verdict}{error}"
