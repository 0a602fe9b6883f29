"""The workflow of a release: a tag that fits is built, tested, published and announced; any other ends at once."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from tests.gitops.conftest import Git
from tests.gitops.runner.actions import Event, Run, Runner
from tests.gitops.runner.hub import REPOSITORY, Hub
from tests.gitops.runner.steps import PROJECT, load
from tests.support import processes

RELEASE = ".github/workflows/release.yml"
TREE = [".ci", ".github", "reconciler", "requirements", "LICENSE", "README.md", "pyproject.toml"]
GATE = '#!/usr/bin/env bash\ncd "$1" && sha256sum *\n'  # the real one runs this very test
HOME = f"https://github.com/{REPOSITORY}"
ASTRAY = f"the release is from {HOME}, but Source, Documentation, Changelog, Issues point elsewhere"
# The project as it is now, and as it is with another version and another home: a release is the same for both.
PROJECTS = {"now": ("", ""), "later": ("7.8.9", "somebody/losant-reconciler")}


def edit(file: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, file.read_text(), flags=re.MULTILINE)
    assert count, f"{file}: no {pattern}"
    file.write_text(text)


def live_at(folder: Path, home: str) -> None:
    edit(folder / "pyproject.toml", r"https://github\.com/[\w.-]+/[\w.-]+", f"https://github.com/{home}")


@pytest.fixture(params=list(PROJECTS.values()), ids=list(PROJECTS))
def git(tmp_path: Path, request: pytest.FixtureRequest) -> Git:
    """This project, moved to the home that the runner knows, and about to be released."""
    git = Git(tmp_path / "origin")
    for name in TREE:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, git.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, git.folder / name)
    version, home = request.param
    if home:
        edit(git.folder / "reconciler/__init__.py", r'^__version__ = ".+"$', f'__version__ = "{version}"')
        live_at(git.folder, home)
    live_at(git.folder, REPOSITORY)
    changelog = f"# Changelog\n\n## {version_of(git)} (2026-12-01)\n\nThis one.\n\n- Plans.\n\n## 0.0.1\n\nBefore.\n"
    git.commit({"CHANGELOG.md": changelog, ".ci/run": GATE})
    return git


def version_of(git: Git) -> str:
    (version,) = re.findall(
        r'^__version__ = "(.+)"$', (git.folder / "reconciler/__init__.py").read_text(), re.MULTILINE
    )
    return str(version)


def release(git: Git, tag: str, hub: Hub) -> Run:
    git("tag", tag)
    runner = Runner(git.folder.parent / f"scratch-{tag}", git.folder, hub, {})
    return runner.run(
        load((PROJECT / RELEASE).read_text()), Event("push", f"refs/tags/{tag}", git("rev-parse", tag), {})
    )


def sums(folder: Path) -> list[str]:
    return [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in sorted(folder.iterdir())]


def test_what_is_published_is_what_was_tested(git: Git) -> None:
    version = version_of(git)
    run = release(git, f"v{version}", Hub())
    assert run.conclusion == "success", run.everything
    published = run.artifacts["(published)"]
    assert [file.name for file in sorted(published.iterdir())] == [
        f"losant_reconciler-{version}-py3-none-any.whl",
        f"losant_reconciler-{version}.tar.gz",
    ]
    tests = [job for job in run.jobs if job.name.startswith("test ")]
    assert len(tests) > 1
    for job in tests:
        assert job.log.splitlines() == sums(published)
    about = run.artifacts["about"]
    assert (about / "notes.md").read_text() == "This one.\n\n- Plans.\n"
    (announced,) = run.job("announce").log.splitlines()
    assert announced.startswith(f"gh release create v{version} --repo {REPOSITORY} --verify-tag --title v{version} ")
    for name in (
        "about/losant-reconciler.cdx.json",
        "about/runtime.txt",
        *(f"dist/{file.name}" for file in published.iterdir()),
    ):
        assert name in announced.split()


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="this is a source distribution")
def test_the_source_distribution_has_all_that_the_project_has(tmp_path: Path) -> None:
    """The README's commands and the tests need the lock, the scripts, the workflows and the guides."""
    git = Git(tmp_path / "origin")
    listed = processes.run(["git", "-C", str(PROJECT), "ls-files", "-z"], check=True)
    files = {name for name in listed.stdout.split("\0") if (PROJECT / name).is_file()}
    for name in files:
        (git.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, git.folder / name)
    git.commit({})
    (git.folder / ".venv").symlink_to(sys.prefix)
    processes.run([git.folder / ".ci/build", tmp_path / "dist"], check=True)
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        shipped = {name.partition("/")[2] for name in tar.getnames()}
    assert shipped == files | {"PKG-INFO"}


@pytest.mark.parametrize("git", [PROJECTS["now"]], ids=["now"], indirect=True)
def test_whoever_builds_the_commit_again_gets_the_same_bytes(git: Git) -> None:
    clone = git.folder.parent / "clone"
    git("clone", "-q", str(git.folder), str(clone))
    for folder in (git.folder, clone):
        (folder / ".venv").symlink_to(sys.prefix)
        processes.run([folder / ".ci/build", folder / "dist"], check=True)
    assert sums(git.folder / "dist") == sums(clone / "dist")


def refused(git: Git, tag: str, said: str) -> None:
    git("commit", "-qam", "a mistake", "--allow-empty")
    run = release(git, tag, Hub())
    assert run.conclusion == "failure"
    assert run.job("build").log.splitlines()[-1] == said
    assert run.ran() == ["build"]
    assert not run.artifacts


def test_another_tag_than_the_version_is_not_released(git: Git) -> None:
    refused(git, "v0.0.2", f"reconciler/__init__.py: the tag is v0.0.2, the version {version_of(git)}")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("Unreleased\n\n- More.\n", "the version is {version}, the newest section is Unreleased"),
        ("{version}\n", "the section {version} is empty"),
    ],
)
def test_a_changelog_that_does_not_tell_of_the_version_is_not_released(git: Git, section: str, said: str) -> None:
    version = version_of(git)
    edit(git.folder / "CHANGELOG.md", r"\A# Changelog\n", f"# Changelog\n\n## {section.format(version=version)}")
    refused(git, f"v{version}", f"CHANGELOG.md: {said.format(version=version)}")


def test_a_project_that_lives_elsewhere_is_not_released(git: Git) -> None:
    live_at(git.folder, "OWNER/REPO")
    refused(git, f"v{version_of(git)}", f"pyproject.toml: {ASTRAY}")
