"""What a release wrote, every later version reads: its manifests mean the same, its files are shown and carried out.

Each folder of `tests/released` is of one release, and is never changed once that is out. For the next version copy the
last folder to its name; `python -m tests.test_released` then writes the files of the version that is being worked on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from reconciler.simulator import Clock, Server, serve
from tests.support.cli import run_here
from tests.support.time import START

FOLDER = Path(__file__).parent / "released"
RELEASES = sorted(path.name for path in FOLDER.iterdir())


@contextmanager
def release(name: str) -> Iterator[Server]:
    """The simulator with the fleet of a release."""
    with serve(FOLDER / name / "fleet.yaml", clock=Clock(frozen_at=START)) as server:
        os.environ.update({"LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": server.token})
        yield server


@pytest.fixture(params=RELEASES)
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    shutil.copytree(FOLDER / request.param, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSANT_API_URL", "")
    monkeypatch.setenv("LOSANT_API_TOKEN", "")
    with release(request.param) as server:
        yield server


def saved(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(name).read_text(encoding="utf-8"))
    return data


def test_the_version_in_work_has_its_files() -> None:
    assert __version__ in RELEASES


def test_its_manifests_give_the_same_plan_with_the_same_digests(server: Server) -> None:
    before = saved("plan.json")
    ended = run_here("plan", "--frozen", "--format", "json")
    assert ended.code == 0, ended.err
    now = ended.document
    assert (now["digest"], now["review_digest"]) == (before["digest"], before["review_digest"])
    counts = {name: before["plans"][0]["summary"][name] for name in ("add", "update", "remove", "keep", "withheld")}
    assert now["plans"][0]["summary"] | counts == now["plans"][0]["summary"]


def test_its_lock_is_what_is_locked_today(server: Server) -> None:
    before = Path("manifests/reconciler.lock").read_bytes()
    assert run_here("lock").code == 0
    assert Path("manifests/reconciler.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("plan.json", "Now: 4 changes; withheld: 24"),
        ("result.json", "Apply complete! Resources: 1 added, 2 changed, 1 destroyed."),
        ("status.json", "Rows:"),
    ],
)
def test_its_files_are_shown(server: Server, name: str, line: str) -> None:
    for form in ("text", "markdown", "html", "json"):
        ended = run_here("show", name, "--format", form)
        assert (ended.code, ended.err) == (0, ""), form
        if form == "text":
            assert line in ended.out
        if form == "json":
            assert ended.document["format_version"] == saved(name)["format_version"]


def test_its_saved_plan_is_carried_out(server: Server) -> None:
    ended = run_here("apply", "--plan", "plan.json", "--yes", "--format", "json")
    assert ended.code == 0, ended.err
    (before,) = saved("result.json")["results"]
    assert (ended.result["exit_code"], ended.result["operations"]) == (before["exit_code"], before["operations"])
    assert [call["state"] for call in ended.result["calls"]] == ["confirmed"] * 3


def write_anew() -> None:
    """The files of the version that is being worked on."""
    os.chdir(FOLDER / __version__)
    with release(__version__):
        for argv in (("lock",), ("plan", "--frozen", "--out", "plan.json")):
            ended = run_here(*argv)
            assert ended.code == 0, ended.err
        ended = run_here("apply", "--plan", "plan.json", "--yes", "--result", "result.json")
        assert ended.code == 0, ended.err
        Path("status.json").write_text(run_here("status", "--format", "json").out, encoding="utf-8")


if __name__ == "__main__":
    write_anew()
