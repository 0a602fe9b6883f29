"""The workflow of a release: a tag that fits is built, tested, published and announced; any other ends at once."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from tests.gitops.actions import Event, Run, Runner
from tests.gitops.conftest import Git
from tests.gitops.hub import REPOSITORY, Hub
from tests.gitops.steps import PROJECT, load
from tests.support import processes

RELEASE = ".github/workflows/release.yml"
TREE = [".ci", ".github", "reconciler", "requirements", "LICENSE", "README.md", "pyproject.toml"]
GATE = '#!/usr/bin/env bash\ncd "$1" && sha256sum *\n'  # the real one runs this very test
HOME = f"https://github.com/{REPOSITORY}"
ASTRAY = f"the release is from {HOME}, but Source, Documentation, Changelog, Issues point elsewhere"
CHANGELOG = "# Changelog\n\n## 0.1.0 (2026-12-01)\n\nThe first one.\n\n- Plans.\n\n## 0.0.1\n\nBefore.\n"


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """This project at its home, about to be released."""
    git = Git(tmp_path / "origin")
    for name in TREE:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, git.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, git.folder / name)
    project = (PROJECT / "pyproject.toml").read_text().replace("OWNER/REPO", REPOSITORY)
    git.commit({"pyproject.toml": project, "CHANGELOG.md": CHANGELOG, ".ci/run": GATE})
    return git


def release(git: Git, tag: str, hub: Hub) -> Run:
    git("tag", tag)
    runner = Runner(git.folder.parent / f"scratch-{tag}", git.folder, hub, {})
    return runner.run(
        load((PROJECT / RELEASE).read_text()), Event("push", f"refs/tags/{tag}", git("rev-parse", tag), {})
    )


def sums(folder: Path) -> list[str]:
    return [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in sorted(folder.iterdir())]


def test_what_is_published_is_what_was_tested(git: Git) -> None:
    run = release(git, "v0.1.0", Hub())
    assert run.conclusion == "success", run.everything
    published = run.artifacts["(published)"]
    assert [file.name for file in sorted(published.iterdir())] == [
        "losant_reconciler-0.1.0-py3-none-any.whl",
        "losant_reconciler-0.1.0.tar.gz",
    ]
    tests = [job for job in run.jobs if job.name.startswith("test ")]
    assert len(tests) > 1
    for job in tests:
        assert job.log.splitlines() == sums(published)
    about = run.artifacts["about"]
    assert (about / "notes.md").read_text() == "The first one.\n\n- Plans.\n"
    (announced,) = run.job("announce").log.splitlines()
    assert announced.startswith(f"gh release create v0.1.0 --repo {REPOSITORY} --verify-tag --title v0.1.0 ")
    for name in (
        "about/losant-reconciler.cdx.json",
        "about/runtime.txt",
        *(f"dist/{file.name}" for file in published.iterdir()),
    ):
        assert name in announced.split()

    again = git.folder.parent / "again"
    (git.folder / ".venv").symlink_to(sys.prefix)
    processes.run([git.folder / ".ci/build", again], check=True)
    assert sums(again) == sums(published)


@pytest.mark.parametrize(
    ("tag", "files", "said"),
    [
        ("v0.2.0", {}, "reconciler/__init__.py: the tag is v0.2.0, the version 0.1.0"),
        (
            "v0.1.0",
            {"CHANGELOG.md": f"# Changelog\n\n## Unreleased\n\n- More.\n{CHANGELOG}"},
            "CHANGELOG.md: the version is 0.1.0, the newest section is Unreleased",
        ),
        ("v0.1.0", {"CHANGELOG.md": "# Changelog\n\n## 0.1.0\n"}, "CHANGELOG.md: the section 0.1.0 is empty"),
        (
            "v0.1.0",
            {"pyproject.toml": (PROJECT / "pyproject.toml").read_text()},
            f"pyproject.toml: {ASTRAY}",
        ),
    ],
)
def test_a_tag_that_does_not_fit_is_not_released(git: Git, tag: str, files: dict[str, str], said: str) -> None:
    git.commit({**files, "other": ""})
    run = release(git, tag, Hub())
    assert run.conclusion == "failure"
    assert run.job("build").log.splitlines()[-1] == said
    assert run.ran() == ["build"]
    assert not run.artifacts
