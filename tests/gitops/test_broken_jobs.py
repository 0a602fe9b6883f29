"""What a job is told wrongly is a clear error, and no fault of ours: place, cause, remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gitops.conftest import PLANT
from tests.gitops.runner.places import Place


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("there", [name], indirect=True)


@only("gitlab")
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("CI_MERGE_REQUEST_IID", "abc", "CI_MERGE_REQUEST_IID is not a number: abc (write digits alone"),
        (
            "CI_PROJECT_DIR",
            "/nowhere/at/all",
            "/nowhere/at/all/reconciler-ci cannot be made: No such file or directory",
        ),
    ],
)
def test_on_gitlab(variable: str, value: str, told: str, there: Place) -> None:
    there.run_for(1, head="c")
    there.set(variable, value)
    ended = there.step("decide")
    assert ended.code == 1
    assert told in ended.out + ended.err
    assert "bug" not in ended.out + ended.err


@only("github")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "event.json: No such file or directory (GITHUB_EVENT_PATH has to be as GitHub sets it)"),
        ("{", "event.json: it is not JSON"),
        ("[]", "event.json is not an object"),
        ('{"pull_request": {"number": 1}}', "the event is not as GitHub documents it"),
        ('{"repository": []}', "the event is not as GitHub documents it"),
    ],
)
def test_the_event_of_github(text: str | None, told: str, there: Place) -> None:
    there.run_for(1, head="c")
    (there.folder / "event.json").unlink()
    if text is not None:
        (there.folder / "event.json").write_text(text)
    ended = there.step("decide")
    assert ended.code == 1
    assert told in ended.out
    assert "bug" not in ended.out + ended.err


@only("github")
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "GITHUB_OUTPUT is not set (this step is for a job of GitHub Actions)"),
        ("/nowhere/output", "GITHUB_OUTPUT cannot be written: /nowhere/output: No such file or directory"),
    ],
)
def test_the_outputs_of_github(value: str, told: str, there: Place) -> None:
    there.run_for_push()
    there.set("GITHUB_OUTPUT", value)
    ended = there.step("decide")
    assert ended.code == 1
    assert told in ended.out


def test_a_folder_that_exists_is_not_written_into(there: Place, tmp_path: Path) -> None:
    there.run_for_push()
    ended = there.step("plan", "--application", PLANT, "--kind", "embedded", "--out", str(tmp_path))
    assert ended.code == 1
    assert "cannot be made: File exists (give --out a folder that does not exist yet)" in ended.out


def test_no_folder_of_results_is_no_silence(there: Place) -> None:
    ended = there.step("mark", "--results", "/nowhere")
    assert ended.code == 1
    assert "there is no folder /nowhere with results (collect what the jobs of `apply` left" in ended.out
    (there.folder / "empty").mkdir()
    assert there.step("mark", "--results", "empty").code == 0
