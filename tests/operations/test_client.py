"""What callers in Python rely on: errors before the first write, results after it, however the apply ended."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import reconciler
from reconciler import (
    ApplyFailed,
    ApplyInterrupted,
    ApplyRequest,
    AsyncClient,
    Client,
    Filter,
    Options,
    Refused,
    Result,
    Stale,
    UsageError,
    errors,
)
from reconciler.executor import Observer
from reconciler.model.plan import Plan
from reconciler.model.result import CallResult, CallState
from reconciler.model.rules import Rules
from reconciler.testing import Simulator
from tests.support.processes import usual_signals

HEAD = "apiVersion: reconciler/v1\napplication: 5f0c8a1b2d3e4f5061728394\n"
LEEDS = HEAD + "groups: {leeds: {select: {tags: {site: leeds}}, flows: {telemetry: v1.3.0}}}\n"
WRITES = ("embeddedDeployments.release", "embeddedDeployments.replace", "embeddedDeployments.remove")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Client:
    return Client(simulator.token, api_url=simulator.url)


def rules(folder: Path, text: str = LEEDS) -> tuple[Rules, ...]:
    (folder / "fleet.yaml").write_text(text)
    return reconciler.load(folder)


def writes(simulator: Simulator) -> int:
    counts = simulator.control.counts()
    return sum(counts.get(action, 0) for action in WRITES)


class Once(reconciler.ApplyObserver, Observer):
    """Does something when a call was accepted."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then

    def applying(self, plan: Plan) -> Observer:
        return self

    def call(self, call: CallResult) -> None:
        if call.state is CallState.ACCEPTED:
            self._then()


def check_told(results: Sequence[Result]) -> None:
    (result,) = results
    assert result.wrote
    assert [(call.action, call.attempts) for call in result.calls] == [("release", 1)]


def test_a_plan_that_was_not_approved_is_not_sent(simulator: Simulator, client: Client, tmp_path: Path) -> None:
    shown: list[int] = []

    def approve(plans: Sequence[Plan]) -> bool:
        shown.extend(len(plan.changes) for plan in plans)
        return False

    with pytest.raises(reconciler.ReconcilerError, match="not approved"):
        client.apply(rules(tmp_path), ApplyRequest(approve=approve))
    assert shown == [3]
    assert writes(simulator) == 0


def test_what_guards_refuse_is_in_the_plans_and_raised_by_apply(
    simulator: Simulator, client: Client, tmp_path: Path
) -> None:
    text = LEEDS + "limits: {changes: {count: 1}}\n"
    assert [refusal.guard for refusal in client.plan(rules(tmp_path, text)).refused] == ["changes"]
    with pytest.raises(Refused):
        client.apply(rules(tmp_path, text))
    assert writes(simulator) == 0


def test_a_plan_is_applied_only_while_its_changes_hold(simulator: Simulator, client: Client, tmp_path: Path) -> None:
    plans = client.plan(rules(tmp_path))
    simulator.control.set_released("leeds-1", "telemetry", "v1.3.0")
    (result,) = client.apply(plans)
    assert (result.confirmed, result.total) == (2, 2)
    with pytest.raises(Stale):
        client.apply(rules(tmp_path), ApplyRequest(expect_digest=plans.digest))


def test_a_dry_run_asks_nobody_and_writes_nothing(simulator: Simulator, client: Client, tmp_path: Path) -> None:
    (result,) = client.apply(rules(tmp_path), ApplyRequest(dry_run=True, approve=lambda _: False))
    assert [call.state for call in result.calls] == [CallState.PLANNED]
    assert writes(simulator) == 0


def test_an_unforeseen_error_after_a_write_brings_the_results(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ApplyFailed) as failure:
        client.apply(rules(tmp_path), ApplyRequest(observer=Once(lambda: 1 / 0)))
    check_told(failure.value.results)
    assert isinstance(failure.value.__cause__, ExceptionGroup)


def test_ctrl_c_brings_the_results(client: Client, tmp_path: Path) -> None:
    with usual_signals(), pytest.raises(ApplyInterrupted) as interrupt:
        client.apply(rules(tmp_path), ApplyRequest(observer=Once(lambda: signal.raise_signal(signal.SIGINT))))
    check_told(interrupt.value.results)
    assert interrupt.value.results[0].interrupted


def test_results_outlive_a_cancellation(simulator: Simulator, tmp_path: Path) -> None:
    async def cancelled() -> Sequence[Result]:
        client = AsyncClient(simulator.token, api_url=simulator.url)
        tasks: list[asyncio.Task[None]] = []

        def cancel() -> None:
            tasks[0].cancel()

        run = client.applying(rules(tmp_path), ApplyRequest(observer=Once(cancel)))
        assert run.results == ()
        tasks.append(asyncio.create_task(run.carry_out()))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        return run.results

    check_told(asyncio.run(cancelled()))


def test_the_token_is_checked_at_once_and_never_shown() -> None:
    with pytest.raises(reconciler.ReconcilerError) as error:
        Client("Bearer secret-secret-secret")
    assert "must not start with the word Bearer" in str(error.value)
    assert "secret" not in str(error.value)


def test_what_signatures_and_docstrings_name_is_offered() -> None:
    offered = {name: getattr(reconciler, name) for name in reconciler.client.__all__}
    spoken = [method for one in (AsyncClient, Client, reconciler.ApplyObserver) for method in vars(one).values()]
    spoken = [one for one in [*offered.values(), *spoken] if inspect.isfunction(one) and one.__name__ != "_gateway"]
    hints = [hint for one in [*spoken, ApplyRequest] for hint in get_type_hints(one).values()]
    named = {one.__name__ for hint in hints for one in parts(hint) if one.__module__.startswith("reconciler.")}
    raised = {name for name in vars(errors) if any(re.search(rf"\b{name}\b", str(one.__doc__)) for one in spoken)}
    assert {"Rules", "Observer", "Wait"} < named
    assert {"UsageError", "ApiError", "IncompleteRead"} < raised
    assert named | raised <= offered.keys()


def parts(hint: Any) -> Iterator[type]:
    """A type, and the types that it is made of."""
    if isinstance(hint, type):
        yield hint
    for one in hint if isinstance(hint, list) else get_args(hint):  # a list: the parameters of a callable
        yield from parts(one)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: Client("t", parallelism=0), "give 1 to 32"),
        (lambda: Client("t", parallelism=33), "give 1 to 32"),
        (lambda: AsyncClient("t", parallelism=-1), "give 1 to 32"),
        (lambda: Options(chunk=0), "give 1 to 1000"),
        (lambda: Options(chunk=-1), "give 1 to 1000"),
        (lambda: Options(chunk=5000), "give 1 to 1000"),
        (lambda: Options(calls="explicit"), "give a `CallMode`"),  # type: ignore[arg-type]
        (lambda: Filter("site", "x"), "filter by device, flow or group"),
        (lambda: Client("t").plan("manifests"), "give what `load` or `plan` returned"),  # type: ignore[arg-type]
        (lambda: Client("t").plan(None), "give what `load` or `plan` returned"),  # type: ignore[arg-type]
        (lambda: Client("t").status([1]), "give what `load` or `plan` returned"),  # type: ignore[list-item]
        (lambda: Client("t").apply(["manifests"]), "give what `load` or `plan` returned"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_told_with_its_remedy(call: Callable[[], object], remedy: str) -> None:
    with pytest.raises(UsageError, match=re.escape(remedy)):
        call()


def test_rules_and_plans_come_in_any_iterable(simulator: Simulator, client: Client, tmp_path: Path) -> None:
    loaded = rules(tmp_path)
    plans = client.plan(one for one in loaded)
    assert [len(plan.changes) for plan in plans] == [3]
    assert client.status(iter(loaded)).reports[0].rows["drift"] == 3  # type: ignore[index]
    simulator.control.set_released("leeds-1", "telemetry", "v1.3.0")
    (result,) = client.apply([plan for plan in plans if plan.changes])
    assert (result.confirmed, result.total) == (2, 2), "plans in a list are still plans: one row was done already"
    with pytest.raises(UsageError, match="expected an iterable of `Rules` or `Plan`"):
        client.apply([*loaded, *plans])


def test_a_client_in_a_running_loop_says_what_to_use_instead(client: Client, tmp_path: Path) -> None:
    async def main() -> None:
        for method in (client.plan, client.apply, client.status):
            with pytest.raises(UsageError, match="use `AsyncClient`"):
                method(rules(tmp_path))

    asyncio.run(main())  # a coroutine that nobody awaited would be a warning, and those are errors
    gc.collect()


def test_only_what_is_offered_is_there() -> None:
    assert {name for name in reconciler.client.__all__ if getattr(reconciler, name) is None} == set()
    assert {*reconciler.client.__all__, "__version__"} == set(dir(reconciler))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = reconciler.nothing  # type: ignore[attr-defined]
