"""What a pull request is shown as its difference, where the base is not what it seems."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.ci.check import difference
from reconciler.errors import UsageError
from tests.support.repository import HEAD, commit, git, make_repository, write


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_repository()
    return tmp_path


def shown(path: str = "manifests") -> str:
    return difference(path, "HEAD^1", max_bytes=10_000)


def test_a_base_that_cannot_be_read_is_told_with_its_problem() -> None:
    write("manifests/deep/a.yaml", HEAD + "devises: {}\n")
    commit("bad")
    write("manifests/deep/a.yaml", HEAD)
    commit("good")
    assert shown() == ('The manifests of the base cannot be compared, so there is no diff: `unknown key "devises"`.')


def test_a_folder_that_was_moved_is_not_everything_new() -> None:
    git("mv", "manifests", "fleet")
    commit("moved")
    text = shown("fleet")
    assert "everything is new" not in text
    assert "but the application is declared in manifests/deep/a.yaml" in text


def test_the_first_manifest_is_everything_new() -> None:
    other = HEAD.replace("4a97", "4a98")
    write("plants/b.yaml", other + "devices: {valve: {g: v1}}\n")
    commit("first")
    assert shown("plants") == "The base has no manifests there: everything is new."


def test_a_folder_named_like_the_base_is_an_error() -> None:
    commit("three")
    write("HEAD^1/a.yaml", HEAD)
    with pytest.raises(UsageError, match=r"HEAD\^1 is both a git revision and a file or folder"):
        shown()


def test_a_base_that_was_not_fetched_is_an_error_and_not_everything_new(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("three")
    folder = tmp_path_factory.mktemp("clone")
    git("clone", "-q", "--depth=1", f"file://{repository}", str(folder))
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match="in this clone, which is shallow"):
        shown()


def test_the_revision_of_a_page_is_asked_of_the_same_git(monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.ci.command import git as asked

    monkeypatch.setenv("LOSANT_API_TOKEN", "secret")
    started: list[dict[str, str]] = []
    run = subprocess.run

    def noted(*arguments: object, **options: object) -> object:
        started.append(dict(options["env"]))  # type: ignore[call-overload]
        return run(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", noted)
    assert asked("rev-parse", "HEAD") != ""
    assert [env.get("LOSANT_API_TOKEN") for env in started] == [None]
