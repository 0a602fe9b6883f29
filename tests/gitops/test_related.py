"""Which pull requests change what the manifests are read from: the others need no plan, and so no token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reconciler.ci.related import is_related, read_from
from reconciler.errors import UsageError
from tests.gitops.conftest import PLANT as PLANT_ID
from tests.gitops.conftest import Git, manifest
from tests.gitops.runner.places import Place
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
        ({".github/workflows/fleet.yml": "on: push\n"}, True),
        ({".gitlab-ci.yml": "{}"}, True),
        ({"azure-pipelines.yml": "{}"}, True),
        ({".reconciler/reconciler.txt": "losant-reconciler==2"}, True),
    ],
    ids=["readme", "beside", "manifest", "new", "base", "lock", "mistake", "github", "gitlab", "azure", "version"],
)
def test_what_the_manifests_are_read_from(files: Mapping[str, str], related: bool, git: Git) -> None:
    git.commit(files)
    assert is_related("manifests", "HEAD^1") is related


@pytest.mark.parametrize(
    ("path", "link", "to"),
    [
        ("folder", "folder", "fleets"),
        ("manifests", "manifests/linked", "../fleets"),
        ("manifests", "manifests/linked.yaml", "../fleets/plant.yaml"),
        ("folder/plant.yaml", "folder", "fleets"),
    ],
    ids=["the-path", "a-folder", "a-file", "on-the-way"],
)
def test_what_a_link_leads_to(path: str, link: str, to: str, git: Git) -> None:
    (git.folder / PLANT).unlink()
    (git.folder / link).parent.mkdir(exist_ok=True)
    (git.folder / link).symlink_to(to)
    git.commit({"fleets/plant.yaml": manifest("v1"), "fleets/more.yaml": BASE})
    git.commit({"README.md": "other\n"})
    assert not is_related(path, "HEAD^1")
    git.commit({"fleets/plant.yaml": manifest("v2")})
    assert is_related(path, "HEAD^1")


def test_a_file_that_is_gone_from_a_linked_folder(git: Git) -> None:
    (git.folder / "manifests/linked").symlink_to("../fleets")
    git.commit({"fleets/more.yaml": manifest("v1").replace(PLANT_ID, "a" * 24)})
    (git.folder / "fleets/more.yaml").unlink()
    git.commit({"fleets/README.md": "other\n"})
    assert is_related("manifests", "HEAD^1")


def test_the_lock_beside_a_single_file(git: Git) -> None:
    assert "manifests/reconciler.lock" in read_from(PLANT)
    assert "manifests" not in read_from(PLANT)


def test_where_a_path_filter_comes_first_what_it_does_not_see_is_told_on_its_line(
    there: Place, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipelines of GitHub and GitLab have no filter."""
    (git.folder / "manifests/linked.yaml").symlink_to("../fleets/linked.yaml")
    git.commit({"fleets/linked.yaml": manifest("v1").replace(PLANT_ID, "a" * 24)})
    monkeypatch.chdir(git.folder)
    there.run_for_push()
    ended = there.step("check", "--diff", str(tmp_path / "diff.md"))
    assert ended.code == 0, ended.out + ended.err
    told = [line for line in ended.out.splitlines() if "path filters know it" in line]
    if there.name == "azure":
        assert [
            (f"sourcepath={name};linenumber={line};" in one, base in one)
            for (name, line, base), one in zip(
                [(PLANT, 2, "bases/common.yaml"), ("manifests/linked.yaml", 1, "fleets/linked.yaml")], told, strict=True
            )
        ] == [(True, True)] * 2
    else:
        assert told == []


class TestPush:
    """Which pushes are applied, by the step that decides."""

    @pytest.fixture
    def decided(self, there: Place, git: Git, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
        monkeypatch.chdir(git.folder)

        def decided(before: str) -> str:
            there.run_for_push()
            there.set("CI_COMMIT_BEFORE_SHA", before)
            if there.name == "github":
                event = {"repository": {"default_branch": "main"}, "before": before}
                (there.folder / "event.json").write_text(json.dumps(event))
            ended = there.step("decide", "--only-related")
            assert ended.code == 0, ended.out + ended.err
            return "applied" if "apply: yes" in ended.out else "left"

        return decided

    def test_what_changes_nothing_that_is_read(self, decided: Callable[[str], str], there: Place, git: Git) -> None:
        before = git("rev-parse", "HEAD")
        git.commit({"README.md": "other\n"})
        assert decided(before) == (
            "applied" if there.name == "azure" else "left"
        )  # Azure does not tell what was before
        git.commit({"bases/common.yaml": BASE + "# a comment\n"})
        git.commit({"README.md": "more\n"})
        assert decided(before) == "applied"

    def test_where_it_cannot_be_told(self, decided: Callable[[str], str], git: Git) -> None:
        git.commit({"README.md": "other\n"})
        assert {decided(before) for before in ("c0ffee" * 6 + "c0ff", "0" * 40)} == {"applied"}


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
