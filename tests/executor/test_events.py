"""The events of whatever run there is: read to the end or torn at any byte, they say what the result says."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.cli.events.log import EventLog
from reconciler.documents.json import dump
from reconciler.documents.result import result_document
from reconciler.executor import Execution
from reconciler.model.health import Laggard, Offline, Verdict, Verdicts, Wait
from tests.builders import desired, live
from tests.executor.test_properties import fault, stages
from tests.executor.worlds import Stage, plan_for
from tests.fakes import FakeClock
from tests.support.events import check_fold, folded, of, read


class Kept:
    """A sink that keeps what it gets."""

    problem: str | None = None
    is_unread = False

    def __init__(self) -> None:
        self.text = ""
        self.closed = 0

    def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.text += line.decode("ascii")

    def close(self) -> None:
        self.closed += 1


async def told(stage: Stage, faults: list[Any], steps: int | None) -> tuple[str, str, dict[str, Any]]:
    """The events before the last word and all of them, and the document of the result; cut after so many turns."""
    plan, read_ = await stage.plan()
    kept = Kept()
    log = EventLog(kept, stage.clock, command="apply")
    log.planned([plan])
    execution = Execution(plan, read_, stage.api, clock=stage.clock, rng=random.Random(0), observe=log.applying(plan))
    for action, error, effect, skip, times in faults:
        stage.api.fail(action, error, effect=effect, skip=skip, times=times, late_s=skip * 8 + 1)
    task = asyncio.create_task(execution.carry_out())
    if steps is not None:
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    so_far, result = kept.text, execution.result()
    log.ended(result.exit_code, (), [result])
    assert kept.closed == 1
    return so_far, kept.text, json.loads(dump(result_document([result], "apply", code=result.exit_code)))


@settings(max_examples=60, deadline=None)
@given(
    stage=stages(),
    faults=st.lists(fault, max_size=5),
    steps=st.one_of(st.none(), st.integers(1, 60)),
    share=st.floats(0, 1),
)
def test_events_fold_to_the_result(stage: Stage, faults: list[Any], steps: int | None, share: float) -> None:
    so_far, text, document = asyncio.run(told(stage, faults, steps))
    check_fold(read(text), document)
    # Killed before the last word, they know every state all the same ...
    known = folded([json.loads(line) for line in so_far.splitlines()])
    states = [{call["id"]: call["state"] for call in calls} for calls in known.values()]
    assert states == [
        {call["id"]: call["state"] for call in one["calls"]} for one in document["results"] if one["calls"]
    ]
    # ... and killed at any byte, every line but the last is whole.
    *whole, torn = text[: int(share * len(text))].split("\n")
    assert text.startswith("\n".join([*whole, torn]))
    assert [json.loads(line)["seq"] for line in whole] == list(range(1, len(whole) + 1))


def laggards(text: str) -> tuple[Laggard, ...]:
    """`a/f=failed b/f=pending`."""
    found = []
    for word in text.split():
        row, _, verdict = word.partition("=")
        device, _, flow = row.partition("/")
        error = "no memory" if verdict == "failed" else None
        found.append(Laggard(device, flow, Verdict(verdict), "2", "2", "1", error=error, device_name=device.upper()))
    return tuple(sorted(found, key=lambda one: -list(Verdict).index(one.verdict)))


def looked(text: str) -> Wait:
    found = laggards(text)
    rows = {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
    return Wait(Offline.SKIP, 1.0, Verdicts(rows | {Verdict.CONVERGED: 9 - len(found)}, {}, found))


def test_a_device_that_fails_or_comes_back_is_told_once() -> None:
    plan = plan_for(desired("a/f=2"), live("a/f=1"))
    kept = Kept()
    log = EventLog(kept, FakeClock(), command="apply")
    looks = [
        "a/f=pending b/f=offline c/f=failed d/f=pending",
        "a/f=pending b/f=offline c/f=failed d/f=pending",
        "a/f=failed a/g=pending b/f=pending c/f=pending d/f=pending",
        "a/f=failed d/f=pending",
        "d/f=failed",
    ]
    for look in looks[:3]:
        log.waiting(plan)(looked(look))
    for look in looks[3:]:  # another wait of the same run
        log.waiting(plan)(looked(look))
    log.waiting(plan)(replace(looked(""), verdicts=None))
    log.ended(0)
    events = read(kept.text)
    seen = [(one["device_name"], one["before"], one["verdict"], one["error"]) for one in of(events, "verdict")]
    assert seen == [
        ("C", None, "failed", "no memory"),
        ("A", None, "failed", "no memory"),
        ("C", "failed", "pending", None),
        ("B", "offline", "pending", None),
        ("D", None, "failed", "no memory"),
        ("A", "failed", "converged", None),
    ]
    counts = [one["verdicts"] for one in of(events, "rows")]
    assert [one["converged"] for one in counts] == [5, 4, 7, 8]  # the second look showed nothing new


def test_a_later_step_goes_on_counting() -> None:
    plan = plan_for(desired("a/f=2 b/f=2 c/f=2"), live("a/f=1 b/f=1 c/f=1"))
    kept = Kept()
    log = EventLog(kept, FakeClock(), command="apply")
    first, second = log.applying(plan), log.applying(plan)
    first.rows(3, 3)
    second.rows(1, 2)
    log.ended(0)
    assert [(one["confirmed"], one["total"]) for one in of(read(kept.text), "rows")] == [(0, 3), (0, 6), (3, 6), (4, 5)]
