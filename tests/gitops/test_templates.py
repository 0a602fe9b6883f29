"""The GitHub workflows that `init` writes are this project's reusable ones, in one repository.

`python -m tests.gitops.test_templates` makes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gitops.runner.steps import PROJECT, load

FILES = PROJECT / "reconciler/cli/init_files"
CALLER = (PROJECT / "docs/github-caller.yml", FILES / "github.yml")
CALLED = [
    (PROJECT / ".github/workflows/reconcile.yml", FILES / "github-jobs.yml"),
    (PROJECT / ".github/workflows/reconcile-applications.yml", FILES / "github-applications.yml"),
]
SETUP = "      - name: Set reconciler up\n        uses: $/.github/actions/setup\n"
CHECKOUT, PYTHON = (
    re.search(rf"actions/{name}@\w+ # v\S+", (PROJECT / place).read_text(encoding="utf-8"))[0]  # type: ignore[index]
    for name, place in (
        ("checkout", ".github/workflows/reconcile.yml"),
        ("setup-python", ".github/actions/setup/action.yml"),
    )
)
FETCH = f"""\
      - name: Check out what to install
        uses: {CHECKOUT}
        with:
          sparse-checkout: .reconciler
          persist-credentials: false

"""
INSTALL = f"""\
      - name: Set Python up
        uses: {PYTHON}
        with:
          python-version: "3.13"

      - name: Set reconciler up
        run: | # zizmor: ignore[github-env] the line written is a folder of ours
          bash .reconciler/install.sh "$RUNNER_TEMP/reconciler"
          echo "$RUNNER_TEMP/reconciler/bin" >> "$GITHUB_PATH"
"""


def made() -> Iterator[tuple[Any, str]]:
    """Each template, and what it is to hold."""
    source, target = CALLER
    text = source.read_text(encoding="utf-8")
    yield target, text.replace("uses: OWNER/REPO/.github/workflows/reconcile.yml@REF", f"uses: {JOBS} {LOCAL}")
    for source, target in CALLED:
        text = source.read_text(encoding="utf-8")
        # Where a job has its own steps from the start, what to install is not there yet.
        text = text.replace(f"    steps:\n{SETUP}", f"    steps:\n{FETCH}{SETUP}").replace(SETUP, INSTALL)
        text = re.sub(
            r"(    permissions:\n)((?:      (?!contents)[\w-]+: write\n)+)", r"\1      contents: read\n\2", text
        )
        text = text.replace("$/.github/workflows/reconcile-applications.yml", f"{APPLICATIONS} {LOCAL}")
        text = text.replace("docs/ci.md in the repository of this file", "docs/ci.md of reconciler")
        yield target, text.replace("Called by reconcile.yml", "Called by reconcile-jobs.yml")


JOBS, APPLICATIONS = (f"./.github/workflows/reconcile-{name}.yml" for name in ("jobs", "applications"))
LOCAL = "# zizmor: ignore[self-repository] GitHub Enterprise Server does not know the other way to say it"


def test_they_are_made_from_the_reusable_ones() -> None:
    for target, text in made():
        assert target.read_text(encoding="utf-8") == text, "python -m tests.gitops.test_templates"


@pytest.mark.parametrize(("source", "target"), CALLED, ids=lambda file: file.name)
def test_jobs_and_steps_are_the_same_but_for_the_installation(source: Any, target: Any) -> None:
    ours, theirs = load(source.read_text(encoding="utf-8")), load(target.read_text(encoding="utf-8"))
    assert ours["on"] == theirs["on"]
    assert ours["permissions"] == theirs["permissions"] == {}
    assert list(ours["jobs"]) == list(theirs["jobs"])
    for key, job in theirs["jobs"].items():
        own = ours["jobs"][key]
        assert {**job["permissions"], "contents": "read"} == {**own["permissions"], "contents": "read"}
        assert job.get("uses", "") == own.get("uses", "").replace("$/", "./")
        differ = ("steps", "permissions", "uses")
        assert {name: one for name, one in job.items() if name not in differ} == {
            name: one for name, one in own.items() if name not in differ
        }
        installs = ("Check out what to install", "Set Python up", "Set reconciler up")
        assert [step for step in job.get("steps", []) if step["name"] not in installs] == [
            step for step in own.get("steps", []) if step["name"] not in installs
        ]
        names = [step["name"] for step in job.get("steps", [])]
        if names:
            assert names[0].startswith("Check ")
            assert names[1:3] == ["Set Python up", "Set reconciler up"]


def test_they_need_no_other_repository() -> None:
    for target, _ in made():
        used = re.findall(r"^ +(?:- )?uses: (\S+)", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert used
        assert all(one.startswith(("./.github/workflows/reconcile-", "actions/")) for one in used)


if __name__ == "__main__":
    for file, new in made():
        file.write_text(new, encoding="utf-8")
