"""Results as data and back: the values that were written, and what is said of a document that was edited."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.documents.json import dump
from reconciler.documents.json_schema import output_schema
from reconciler.documents.result import Ended, read_results, result_document
from reconciler.documents.values import KEYS, keys
from reconciler.errors import ExitCode, ManifestError, Problem
from reconciler.model.changes import Op
from reconciler.model.health import Laggard, Offline, StatusReport, Verdict, Verdicts, Wait
from reconciler.model.plan import Guards, Warning
from reconciler.model.result import CallResult, CallState, Move, Moved, Operations, Removal, Result, Unconfirmed
from reconciler.model.rules import Limits, Rules
from reconciler.model.state import Application, ChangedBy, Kind, Place
from reconciler.render.result import result_markdown, result_text

PROBLEM = Problem("it broke", "m.yaml", 3, 5, "mend it")
BODY = {"flowId": "f", "version": "2", "deviceIds": ["a"]}
COUNTS = {verdict: rank for rank, verdict in enumerate(Verdict)}
LAGGARD = Laggard(
    "a", "f", Verdict.FAILED, "2", "2", "1", False, "noon", True, "17", "boom", "now", ChangedBy("user", "ada"), "pump",
    group="york",
)  # fmt: skip
WAIT = Wait(
    Offline.FAIL, 1.25, Verdicts(COUNTS, COUNTS, (LAGGARD, LAGGARD._replace(error=None))), True, "stopped", "no answer"
)
RESULT = Result(
    application=Application("5" * 24, "plant"),
    kind=Kind.EDGE,
    digest=f"sha256:{'0' * 64}",
    review_digest=f"sha256:{'1' * 64}",
    calls=tuple(
        CallResult(number, "release", BODY, 1, (number - 1,), state, 1, 2, "boom", "late", "noon", "night")
        for number, state in enumerate(CallState, start=1)
    ),
    total=7,
    confirmed=1,
    operations=Operations(1, 2, 3),
    moves=(Move("f", "telemetry", Op.UPDATE, "1", "2", 2), Move("g", None, Op.REMOVE, "1", None, 1)),
    removals=(Removal("a", "pump", "g", None, "1", "m.yaml:4"),),
    unconfirmed=(Unconfirmed("a", "f", "2", None, 1, moved_by_other=True, device_name="pump"),),
    collateral=(Moved("b", "f", None, "2", 1, None, "telemetry"),),
    moved_meanwhile=(Moved("c", "f", "2", None),),
    stopped_by="the token has expired",
    warnings=(Warning("device pump was deleted", Place("m.yaml", 4), "remove it"), Warning("odd")),
    notes=("one", "two"),
    wait=WAIT,
)
DRY = replace(
    RESULT, calls=(), unconfirmed=(), collateral=(), dry_run=True, stopped_by=None, wait=replace(WAIT, verdicts=None)
)
CUT = replace(RESULT, interrupted=True, wait=None)


def saved(*results: Result, code: ExitCode = ExitCode.NOT_CONFIRMED, problems: tuple[Problem, ...] = ()) -> Any:
    """The document as another process would read it."""
    return json.loads(dump(result_document(results, "apply", code=code, problems=problems)))


def test_what_is_read_is_what_was_written() -> None:
    for code, problems in ((ExitCode.DONE, ()), (ExitCode.STALE, (PROBLEM, Problem("odd")))):
        data = saved(RESULT, DRY, CUT, code=code, problems=problems)
        Draft202012Validator(output_schema()).validate(data)
        assert read_results(data) == Ended((RESULT, DRY, CUT), code, problems)


def test_a_code_without_a_problem_is_explained() -> None:
    (problem,) = read_results(saved(RESULT)).problems
    assert problem == Problem("at least one call is not confirmed; see results")


def test_what_is_not_known_is_left_out_where_a_result_is_shown() -> None:
    data = saved(RESULT) | {"format_version": "1.7", "more": 1}
    data["results"][0]["calls"][0]["more"] = data["results"][0]["wait"]["more"] = 1
    assert read_results(data, later=True).results == (RESULT,)
    with pytest.raises(ManifestError, match=r"format_version is '1\.7'"):
        read_results(data)
    with pytest.raises(ManifestError, match=r"results\[0\].calls\[0\].more is not a known key"):
        read_results(data | {"format_version": "1"})


def test_words_that_are_not_known_are_shown_as_they_are() -> None:
    data = saved(RESULT) | {"format_version": "1.7"}
    data["error"]["code"] = data["results"][0]["exit_code"] = 8
    data["results"][0]["calls"][0] |= {"state": "withdrawn", "action": "swap"}
    results, code, _ = read_results(data, later=True)
    assert code == 8
    for shown in (result_text(results, code=code), result_markdown(results, exit_code=code)):
        assert "Apply ended with exit code 8: " in shown
        assert "swap, 1 change: withdrawn" in shown
    again = json.loads(dump(result_document(results, "show", code=code)))
    assert (again["error"]["code"], again["results"][0]["calls"][0]["state"]) == (8, "withdrawn")
    with pytest.raises(ManifestError, match=re.escape("error.code must be one of ")):
        read_results(data | {"format_version": "1"})


def test_what_is_interrupted_before_it_sends_says_so() -> None:
    unsent = replace(RESULT, calls=tuple(replace(one, attempts=0) for one in RESULT.calls), interrupted=True)
    count = f"{len(RESULT.calls)} call" + ("s" if len(RESULT.calls) > 1 else "")
    assert f"Apply interrupted: nothing was sent, {count} planned." in result_text([unsent], code=130)
    assert "confirmed." in result_text([RESULT], code=130)


def test_no_field_is_forgotten() -> None:
    """Where the keys of a value are listed one by one, a new field has to be listed too, or be named here."""
    whole = KEYS.keys() - {Limits, Rules}  # these are written by their properties
    fields = {(kind, name) for kind in whole for name in signature(kind).parameters}
    written = {(kind, key.attribute.partition(".")[0]) for kind in whole for key in keys(kind)}
    beside = (Guards, "lock")  # in `locks` of the document, where there is one
    assert fields - written == {(StatusReport, "devices_named"), (Result, "total"), (Result, "confirmed"), beside}


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "results": (lambda d: d.update(results={}), "results must be a list"),
    "state": (
        lambda d: d["results"][0]["calls"][2].update(state="a <b>"), "results[0].calls[2].state must be a word",
    ),
    "exit code": (
        lambda d: d["results"][0].update(exit_code=0), "results[0].exit_code must be 6, according to the calls",
    ),
    "digest": (lambda d: d["results"][0].update(digest="sha256:0"), "results[0].digest must be a digest"),
    "seconds": (lambda d: d["results"][0]["wait"].update(elapsed_s="1"), "results[0].wait.elapsed_s must be a number"),
    "error": (lambda d: d["error"].update(code="2"), "error.code must be a whole number"),
    "wait": (lambda d: d["results"][0].pop("wait"), "results[0].wait is missing"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_result_that_was_edited_is_told_where(edit: str) -> None:
    change, told = EDITS[edit]
    data = saved(RESULT)
    untouched = copy.deepcopy(data)
    change(data)
    with pytest.raises(ManifestError) as raised:
        read_results(data, path="result.json", later=True)
    hint = "save a plan with `plan --out`, a result with `apply --result`, a status with `status --format json`"
    assert raised.value.problems == (Problem(told, "result.json", hint=hint),)
    assert read_results(untouched).results == (RESULT,)
