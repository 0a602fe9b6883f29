"""`validate --format sarif`: valid by the standard's own schema, whatever the files and their names are."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from jsonschema_rs import Draft4Validator

from tests.cli.test_validate import HEAD
from tests.hostile import NAMES
from tests.support.cli import Ended, run_here

SCHEMA = json.loads((Path(__file__).parents[1] / "vendor/sarif.json").read_text(encoding="utf-8"))
VALIDATOR = Draft4Validator(SCHEMA, validate_formats=True)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_of(ended: Ended) -> dict[str, Any]:
    """The only run of a log that keeps the standard, and what services ask beside it."""
    VALIDATOR.validate(ended.document)
    (run,) = ended.document["runs"]
    assert isinstance(run, dict)
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= rules
    assert all(len(result["locations"]) == 1 for result in run["results"])
    return run


def told(result: dict[str, Any]) -> tuple[str, str, int | None, int | None, str]:
    place = result["locations"][0]["physicalLocation"]
    region = place.get("region", {})
    uri = place["artifactLocation"]["uri"]
    return result["level"], uri, region.get("startLine"), region.get("startColumn"), result["message"]["text"]


def test_each_problem_is_a_result_at_its_place() -> None:
    Path("a.yaml").write_text(HEAD + "devices: {pump: {f: develop}}\nkind: cloud\n")
    ended = run_here("validate", "--format", "sarif", "a.yaml")
    assert ended.code == 1
    run = run_of(ended)
    assert [told(result) for result in run["results"]] == [
        ("error", "a.yaml", 3, 21, '"f": "develop" is not deployable (use a version of the flow)'),
        ("error", "a.yaml", 4, 7, '"kind": expected "embedded" or "edge", found "cloud"'),
    ]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1, "toolExecutionNotifications": []}]
    assert len(ended.err.splitlines()) == 2


def test_sound_manifests_have_no_results_and_warnings_are_told() -> None:
    Path("a.yaml").write_text(HEAD + "pins: [{device: a, flows: {f: v1}, reason: x, until: 2020-01-01}]\n")
    Path("b.yaml").write_text("apiVersion: reconciler/v1\n")
    ended = run_here("validate", "--format=sarif", "a.yaml")
    assert ended.code == 0
    [result] = run_of(ended)["results"]
    assert told(result)[:3] == ("warning", "a.yaml", 3)
    assert run_of(run_here("validate", "--format=sarif", "b.yaml"))["results"] == []


def test_what_is_in_no_file_is_a_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEAD + "x: 1\n").encode())))
    for words, text in (
        (["-"], '<stdin>:3:1: unknown key "x"'),
        (["--application", "x", "a.yaml"], "Error: "),
        (["--no-such-option"], "Error: "),
    ):
        Path("a.yaml").write_text(HEAD)
        ended = run_here("validate", "--format", "sarif", *words)
        assert ended.code == 1
        run = run_of(ended)
        [invocation] = run["invocations"]
        assert (run["results"], invocation["executionSuccessful"]) == ([], False)
        [notification] = invocation["toolExecutionNotifications"]
        assert notification["message"]["text"].startswith(text)


def test_a_file_that_does_not_exist_is_a_result_without_a_line() -> None:
    [result] = run_of(run_here("validate", "--format", "sarif", "nope.yaml"))["results"]
    assert told(result)[:4] == ("error", "nope.yaml", None, None)


@pytest.mark.parametrize("name", NAMES)
def test_names_from_files_are_text_and_nothing_else(name: str) -> None:
    named = json.dumps(name.replace("\0", ""))
    Path("a.yaml").write_text(f"{HEAD}devices: {{{named}: {{f: [x]}}}}\n{named}: 1\n", encoding="utf-8")
    ended = run_here("validate", "--format", "sarif", "a.yaml")
    assert ended.code == 1
    run = run_of(ended)
    assert run["results"]
    for result in run["results"]:
        text = result["message"]["text"]
        assert text.isprintable()
        assert "](" not in text
        assert text.count("{") == 2 * text.count("{{")
        assert text.count("}") == 2 * text.count("}}")
    assert not any(line.startswith(("::", "##")) for line in ended.out.splitlines())


@pytest.mark.parametrize(
    "name", ["a b.yaml", "a:b.yaml", "50%.yaml", "x#y?.yaml", "ä\u202e.yaml", "a\\b.yaml", "[a](b){0}.yaml"]
)
def test_the_place_of_a_file_with_an_odd_name_is_a_uri_that_leads_there(name: str) -> None:
    Path("m").mkdir()
    Path("m", name).write_text(HEAD + "x: 1\n")
    for given in (f"m/{name}", str(Path("m", name).absolute())):
        [result] = run_of(run_here("validate", "--format", "sarif", given))["results"]
        uri = urlsplit(told(result)[1])
        assert (uri.query, uri.fragment, uri.netloc) == ("", "", "")
        assert Path(os.fsdecode(unquote_to_bytes(uri.path))).samefile(given)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_a_name_that_is_no_unicode() -> None:
    path = os.fsdecode(b"\xff.yaml")
    Path(path).write_text(HEAD + "x: 1\n")
    [result] = run_of(run_here("validate", "--format", "sarif", path))["results"]
    assert told(result)[1] == "%FF.yaml"


def test_of_very_many_the_first_are_told() -> None:
    Path("a.yaml").write_text(f"{HEAD}devices:\n" + "".join(f"  pump-{one}: {{f: develop}}\n" for one in range(600)))
    run = run_of(run_here("validate", "--format", "sarif", "a.yaml"))
    assert len(run["results"]) == 500
    [notification] = run["invocations"][0]["toolExecutionNotifications"]
    assert "100 more problems are not shown" in notification["message"]["text"]


def test_no_other_command_has_it() -> None:
    ended = run_here("plan", "--format", "sarif")
    assert (ended.code, ended.out) == (1, "")
