"""Which pull requests change what the manifests are read from: the others need no plan, and so no token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.ci.related import is_related
from reconciler.errors import UsageError
from tests.gitops.conftest import Git, manifest
from tests.support import processes

PLANT = "manifests/plant.yaml"
BASED = manifest("v1").replace("application:", "extends: ../bases/common.yaml\napplication:", 1)
BASE = "apiVersion: reconciler/v1\nprotect: []\n"


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    git = Git(tmp_path / "repository")
    git.commit({PLANT: BASED, "bases/common.yaml": BASE, "README.md": "hello\n"})
    monkeypatch.chdir(git.folder)
    return git


@pytest.mark.parametrize(
    ("files", "related"),
    [
        ({"README.md": "other\n"}, False),
        ({"bases/unused.yaml": BASE, "manifests.md": "x"}, False),
        ({PLANT: BASED + "# a comment\n"}, True),
        ({"manifests/more.yaml": BASE}, True),
        ({"bases/common.yaml": BASE + "# a comment\n"}, True),
        ({"manifests/reconciler.lock": "{}"}, True),
        ({PLANT: "nonsense: true\n"}, True),
    ],
    ids=["readme", "beside", "manifest", "new", "base", "lock", "mistake"],
)
def test_what_the_manifests_are_read_from(files: Mapping[str, str], related: bool, git: Git) -> None:
    git.commit(files)
    assert is_related("manifests", "HEAD^1") is related


def test_a_base_that_is_no_longer_extended_is_a_change_of_the_manifest(git: Git) -> None:
    git.commit({PLANT: manifest("v1"), "bases/common.yaml": BASE + "# a comment\n"})
    assert is_related("manifests", "HEAD^1")


def test_a_clone_without_the_base_cannot_tell(git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git.commit({"README.md": "other\n"})
    clone = tmp_path / "clone"
    processes.run(["git", "clone", "-q", "--depth=1", git.folder.as_uri(), str(clone)], check=True)
    monkeypatch.chdir(clone)
    with pytest.raises(UsageError, match="in this clone, which is shallow"):
        is_related("manifests", "HEAD^1")
