"""Where a device stands, for the logs that once gave another answer: one row of the shortest log for each."""

from __future__ import annotations

import pytest

from reconciler.model.rollout import RolloutVerdict
from reconciler.model.state import EdgeEvidence, Entry, LiveDevice, LogLine
from reconciler.planner.rollout.evidence import Judge
from tests.planner.rollout.worlds import NEVER, NOW, STEP, evidence_of, policy, text_of

SOAK = PATIENCE = STEP * 2


def line(word: str) -> tuple[float, LogLine]:
    """`-9 v2`, `-9 v2 new`, `-8 loads v2`, `-7 error`, `-6 globals`; `?` instead of a time: without a date."""
    at, what, *more = word.split()
    version = (more or [what])[-1].removeprefix("v")
    said = {
        "loads": LogLine("current", bundle=version, update="device"),
        "error": LogLine("current", error="broken"),
        "globals": LogLine("desired", bundle="2", update="globals"),
    }
    release = LogLine(
        "desired", "f", what.removeprefix("v"), what.removeprefix("v"), update="newFlow" if more else "replaceFlow"
    )
    return NEVER if at == "?" else NOW + float(at) * STEP, said.get(what, release)


def verdict(log: str, reported: str, gone: float | None = None) -> RolloutVerdict:
    """Of a device that is given v2 and reports a version; `gone`: when it disconnected."""
    lines = [line(word.strip()) for word in log.split(",") if word.strip()]
    device = LiveDevice(
        {"f": Entry("2", reported)},
        connected=gone is None,
        connection_time=text_of(NOW - 90 * STEP if gone is None else NOW + gone * STEP),
        evidence=evidence_of(lines, NOW - 80 * STEP, reported),
    )
    return Judge(policy(), NOW).judge(device, {"f": "2"}).verdict


@pytest.mark.parametrize(
    ("log", "gone", "expected"),
    [
        ("-9 v2, -8 loads v2", None, "proven"),
        ("-9 v2, -8 loads v2", -6, "proven"),
        ("-9 v2, -8 loads v2", -7, "soaking"),  # it was not seen for the soak
        ("-9 v2, -8 loads v2", 1, "soaking"),  # a date in the future: age 0
        ("-9 v2, -8 loads v2, -1 v2", None, "proven"),  # a repeat is no release
        ("-9 v2, -8 loads v2, -1 globals", None, "proven"),
        ("-9 v2, -8 loads v2, -1 error", None, "proven"),  # an error does not break a run
        ("-9 v2, -8 loads v2, -1 loads v7, -0.5 loads v2", None, "soaking"),  # another bundle does
        ("-9 loads v2, -9 v2, -1 loads v2", None, "soaking"),  # what is of the instant of its release is before it
        ("-9 v1, -8 loads v1, -1 v2", None, "soaking"),  # without a run, from the newest entry
        ("? loads v2, -9 loads v2", None, "proven"),  # what has no date is as if it was lost
        ("-9 loads v2", None, "proven"),
    ],
)
def test_a_device_that_runs_its_target(log: str, gone: float | None, expected: str) -> None:
    assert verdict(log, "2", gone) == expected


@pytest.mark.parametrize(
    ("log", "gone", "expected"),
    [
        ("-9 v1, -8 loads v1, -1 v2", None, "waiting"),
        ("-9 v1, -8 loads v1, -2 v2", None, "waiting"),
        ("-9 v1, -8 loads v1, -3 v2", None, "silent"),
        ("-9 v1, -8 loads v1, -1 v2, -1 error", None, "failed"),  # of the same instant: later
        ("-9 v1, -3 v2, ? error", None, "failed"),
        ("-9 v1, -2 error, -1 v2", None, "waiting"),  # an error of the former version
        ("-9 v1, -5 v2", -7, "offline"),
        ("-9 v1, -5 v2", -5, "silent"),  # it was there when it got it
        ("-5 v2", -7, "offline"),  # the log does not go back to when it disconnected
        ("-6 v1 new, -5 v2", -7, "offline"),
        ("-6 v1, -5 v2", -7, "silent"),  # v2 may have been released before v1, to the device that is gone
        ("-9 v2, -6 v1, -5 v2", -7, "silent"),  # as here: it had v2 when it disconnected
        ("-9 v2, -8 v1, -5 v2", -7, "offline"),  # it had v1, whether or not the log shows the first v2
        ("-8 v1, -5 v2", -7, "offline"),
        ("-9 v2, -5 v2", -7, "silent"),  # a repeat
        ("-1 globals", None, "silent"),  # its release is older than its log
        ("-9 v1, -5 v2, -4 error, -1 globals", None, "failed"),
        ("", None, "silent"),
    ],
)
def test_a_device_that_does_not(log: str, gone: float | None, expected: str) -> None:
    assert verdict(log, "1", gone) == expected


def test_an_edge_device_is_judged_by_the_records_of_its_rows_alone() -> None:
    """Another flow, which a pin decides, has news at every moment; the soak of the first is none the younger."""
    lines = [(NOW - STEP, LogLine("current", "g", "9", "g9"))]
    records = {"f": EdgeEvidence("f2", NOW - 9 * STEP), "g": EdgeEvidence("g9", NOW)}
    flows = {"f": Entry("2", "2"), "g": Entry("9", "9")}
    device = LiveDevice(flows, connected=True, evidence=evidence_of(lines, NOW, None, records))
    assert Judge(policy(), NOW).judge(device, {"f": "2"}).verdict is RolloutVerdict.PROVEN
    assert Judge(policy(), NOW).judge(device, {"f": "2", "g": "9"}).verdict is RolloutVerdict.SOAKING
