"""`reconciler diff` where a clone or a checkout is not whole: an error, never rows that seem to come or go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import run_here
from tests.support.repository import HEAD, commit, differences, git, write

WANTED = ["<all> f v1 v2 HEAD:base.yaml:2"]


def refused(*arguments: str) -> str:
    ended = run_here("diff", *arguments)
    assert ended.code == 1
    assert ended.out == ""
    return ended.err


@pytest.fixture
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to clone `repository` into, which is committed and may be filtered."""
    git("checkout", "-q", "--", ".")
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    folder = tmp_path_factory.mktemp("clone")
    monkeypatch.chdir(folder)
    return folder


class TestPartialClones:
    def test_blobs_that_are_missing(self, repository: Path, clone: Path) -> None:
        git("clone", "-q", "--filter=blob:none", f"file://{repository}", ".")
        for sides in (["first"], ["first", "HEAD"], ["HEAD", "first"]):
            said = refused(*sides)
            assert said.startswith("Error: this clone is incomplete: git does not have ")
            assert "`git fetch --refetch --no-filter`" in said
        git("fetch", "-q", "--refetch", "--no-filter")
        assert differences("first", "HEAD") == WANTED

    def test_nothing_is_fetched_behind_ones_back(self, repository: Path, clone: Path) -> None:
        git("clone", "-q", "--filter=blob:none", f"file://{repository}", ".")
        before = git("count-objects", "-v")
        assert refused("first")
        assert git("count-objects", "-v") == before

    def test_the_blobs_that_matter_are_enough(self, repository: Path, clone: Path) -> None:
        write(f"{repository}/notes/old.yaml", "old: 1\n")
        Path(repository, "notes/link.yaml").symlink_to("old.yaml")
        git("-C", str(repository), "add", "notes")
        git("-C", str(repository), "commit", "-qm", "notes")
        git("-C", str(repository), "tag", "noted")
        git("-C", str(repository), "rm", "-qr", "notes")
        git("-C", str(repository), "commit", "-qm", "no notes")
        git("clone", "-q", "--filter=blob:none", f"file://{repository}", ".")
        git("cat-file", "blob", "first:base.yaml")
        git("cat-file", "blob", "first:manifests/deep/a.yaml")
        assert differences("first", "noted") == ["<all> f v1 v2 noted:base.yaml:2"]
        assert "noted:notes" in refused("noted:notes", "HEAD")

    def test_trees_that_are_missing(self, repository: Path, clone: Path) -> None:
        git("clone", "-q", "--filter=tree:0", f"file://{repository}", ".")
        assert "this clone is incomplete" in refused("first", "HEAD")

    def test_a_commit_that_is_missing_is_no_revision(self, repository: Path, clone: Path) -> None:
        git("clone", "-q", "--filter=blob:none", f"file://{repository}", ".")
        assert f"git has no revision '{'ab' * 20}'" in refused("ab" * 20)


class TestShallowClones:
    @pytest.fixture(autouse=True)
    def shallow(self, repository: Path, clone: Path) -> None:
        git("clone", "-q", "--depth=1", f"file://{repository}", ".")

    def test_a_revision_that_is_cut_off(self) -> None:
        said = refused("HEAD^1")
        assert "git has no revision 'HEAD^1' in this clone, which is shallow" in said
        assert "git fetch --unshallow" in said
        assert "fetch-depth: 0, GIT_DEPTH: 0" in said

    def test_a_full_id_can_be_fetched_alone(self, repository: Path) -> None:
        base = git("-C", str(repository), "rev-parse", "first").strip()
        write(f"{base}/manifests/a.yaml", HEAD)  # not taken for it
        assert f"`git fetch --depth=1 origin {base}`" in refused(base)
        git("fetch", "-q", "--depth=1", "origin", base)
        assert differences(base, "HEAD") == WANTED

    def test_the_common_commit_cannot_be_known(self) -> None:
        assert "HEAD...HEAD needs the whole history, and this clone is shallow" in refused("HEAD...HEAD")


@pytest.fixture
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another repository, with a manifest."""
    folder = tmp_path_factory.mktemp("module")
    git("init", "-q", "-b", "main", str(folder))
    write(f"{folder}/a.yaml", HEAD + "devices: {pump: {g: v1}}\n")
    git("-C", str(folder), "add", ".")
    git("-C", str(folder), "commit", "-qm", "one")
    return str(folder)


@pytest.mark.usefixtures("repository")
class TestSubmodules:
    @pytest.mark.parametrize("path", ["fleet", "fleet/a.yaml", "outer", "link", "fleet/."])
    def test_its_files_are_not_all_new(self, path: str, module: str) -> None:
        git("submodule", "--quiet", "add", module, "fleet")
        git("submodule", "--quiet", "add", module, "outer/inner")
        Path("link").symlink_to("fleet")
        commit("submodules")
        for sides in (["HEAD"], ["first", "HEAD"], ["HEAD", "first"]):
            assert "is in the submodule " in refused(*sides, "--path", path)

    def test_a_base_in_it_is_not_missing(self, module: str) -> None:
        git("submodule", "--quiet", "add", module, "fleet")
        write("manifests/deep/a.yaml", HEAD + "extends: ../../fleet/a.yaml\n")
        commit("submodule")
        assert "extends ../../fleet/a.yaml is in the submodule fleet" in refused("HEAD", "first")

    def test_its_files_are_not_all_gone(self, module: str) -> None:
        write("fleet/a.yaml", HEAD + "devices: {pump: {g: v1}}\n")
        commit("folder")
        git("tag", "folder")
        git("rm", "-qr", "fleet")
        git("submodule", "--quiet", "add", module, "fleet")
        commit("submodule")
        git("submodule", "--quiet", "deinit", "--force", "fleet")
        assert "fleet: is a submodule that is not checked out (git submodule update --init)" in refused(
            "folder", "--path", "fleet"
        )


@pytest.mark.usefixtures("repository")
class TestCheckouts:
    def test_what_a_sparse_checkout_leaves_out_is_not_gone(self) -> None:
        write("manifests/other/b.yaml", HEAD + "devices: {valve: {g: v1}}\n")
        commit("other")
        git("sparse-checkout", "set", "manifests/deep")
        assert "manifests/other/b.yaml: is left out by a sparse checkout" in refused("HEAD")
        git("sparse-checkout", "set", "elsewhere")
        assert "is left out by a sparse checkout" in refused("HEAD")
        git("sparse-checkout", "disable")
        assert differences("HEAD") == []

    def test_a_link_that_was_checked_out_as_text_is_not_gone(self) -> None:
        Path("manifests/more").symlink_to("../common")
        write("common/b.yaml", HEAD + "devices: {valve: {g: v1}}\n")
        commit("link")
        git("config", "core.symlinks", "false")
        Path("manifests/more").unlink()
        git("checkout", "-q", "--", "manifests/more")
        assert "manifests/more: is a symlink that was checked out as a text file" in refused("HEAD")

    def test_a_bare_repository_has_nothing_on_disk(
        self, repository: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git("clone", "-q", "--bare", str(repository), ".")
        assert differences("first", "main") == ["<all> f v1 v2 main:base.yaml:2"]
        assert "must be run in a work tree" in refused("main")

    def test_a_folder_link_that_leaves_the_tree_is_told(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        outside = tmp_path_factory.mktemp("outside")
        write(f"{outside}/b.yaml", HEAD + "devices: {valve: {g: v1}}\n")
        Path("manifests/more").symlink_to(outside)
        Path("manifests/notes.txt").symlink_to(outside / "notes.txt")
        commit("link")
        for sides in (["HEAD", "first"], ["first", "HEAD"], ["first"]):
            [problem] = refused(*sides).splitlines()
            assert problem.endswith("manifests/more: is a symlink that leaves the work tree (copy the file)")
