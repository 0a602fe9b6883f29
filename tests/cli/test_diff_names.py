"""`reconciler diff`: what a name means. What means two things is an error that tells how to write each of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import run_here
from tests.support.repository import HEAD, commit, differences, git, write

pytestmark = pytest.mark.usefixtures("repository")


def refused(*arguments: str) -> str:
    ended = run_here("diff", *arguments)
    assert ended.code == 1
    assert ended.out == ""
    return ended.err


def plant(folder: str) -> None:
    """A folder as a merge request may bring it along: a copy of what is on disk, so that nothing seems to differ."""
    shutil.copytree("manifests", f"{folder}/manifests")
    write(f"{folder}/base.yaml", Path("base.yaml").read_text())


class TestRevisionAndFolder:
    @pytest.mark.parametrize("name", ["HEAD^1", "HEAD", "first", "HEAD~1", "feature/x", "HEAD^{commit}"])
    @pytest.mark.parametrize("arguments", ["{}", "{} HEAD", "first {}"])
    def test_what_is_both_is_neither(self, name: str, arguments: str) -> None:
        plant(name)
        commit_id = git("rev-parse", f"{name}^{{commit}}").strip()
        assert refused(*arguments.format(name).split()) == (
            f"Error: {name} is both a git revision and a file or folder "
            f"(write {commit_id} for the revision, ./{name} for the folder)\n"
        )

    def test_both_spellings_work(self) -> None:
        plant("first")
        base = git("rev-parse", "first").strip()
        assert differences(base) == ["<all> f v1 v3 base.yaml:2"]
        assert differences("./first", "./manifests") == []

    def test_a_full_id_is_the_revision_whatever_is_named_so(self) -> None:
        base = git("rev-parse", "first").strip()
        plant(base)
        assert differences(base) == ["<all> f v1 v3 base.yaml:2"]
        assert differences(base, "HEAD") == ["<all> f v1 v2 HEAD:base.yaml:2"]
        git("branch", base, "HEAD")
        assert differences(base) == ["<all> f v1 v3 base.yaml:2"]
        assert differences(base.upper()) == ["<all> f v1 v3 base.yaml:2"]

    @pytest.mark.parametrize("name", ["ab" * 20, "HEAD^5", "nowhere~1", "nowhere:x", "ORIG_HEAD", "main@{u}"])
    def test_what_is_written_as_a_revision_is_never_a_folder(self, name: str) -> None:
        plant(name)
        assert refused(name)
        assert differences(f"./{name}", "./manifests") == []

    def test_the_folder_of_an_unknown_revision_is_named(self) -> None:
        plant("HEAD^5")
        assert refused("HEAD^5").endswith("; the folder is written ./HEAD^5\n")

    def test_a_path_in_a_revision_is_both_as_well(self) -> None:
        base = git("rev-parse", "first").strip()
        plant("first:manifests")
        assert f"write {base}:manifests for the revision, ./first:manifests for the folder" in refused(
            "first:manifests"
        )
        plant(f"{base}:manifests")
        assert differences(f"{base}:manifests") == differences("first") == ["<all> f v1 v3 base.yaml:2"]

    def test_a_file_counts_as_well(self) -> None:
        write("main", "")
        assert "main is both a git revision and a file or folder" in refused("main")

    def test_a_path_that_is_not_there_is_no_revision(self) -> None:
        assert "there is no folder ./first" in refused("./first")
        assert "there is no folder first/" in refused("first/")


class TestTwoRevisions:
    def test_a_branch_and_a_tag_of_one_name(self) -> None:
        git("tag", "twice", "first")
        git("branch", "twice", "HEAD")
        for sides in (["twice"], ["twice^0"], ["twice:manifests"], ["first", "twice"], ["twice", "first"]):
            said = refused(*sides)
            assert "twice" in said
            assert "means several revisions: refs/tags/twice" in said
            assert " and refs/heads/twice" in said
        assert differences("refs/tags/twice", "refs/heads/twice") == ["<all> f v1 v2 refs/heads/twice:base.yaml:2"]

    def test_git_need_not_warn(self) -> None:
        git("config", "core.warnAmbiguousRefs", "false")
        self.test_a_branch_and_a_tag_of_one_name()

    def test_two_names_of_one_commit_are_one(self) -> None:
        git("tag", "twice", "HEAD")
        git("branch", "twice", "HEAD")
        assert differences("first", "twice") == ["<all> f v1 v2 twice:base.yaml:2"]

    def test_a_branch_named_like_a_short_id(self) -> None:
        short = git("rev-parse", "--short", "first").strip()
        git("branch", short, "HEAD")
        assert f"{short} means several revisions: refs/heads/{short}" in refused(short)
        assert differences(git("rev-parse", "first").strip(), "HEAD") != []

    def test_a_branch_and_a_remote_branch(self) -> None:
        git("update-ref", "refs/remotes/origin/main", "first")
        git("branch", "origin/main", "HEAD")
        assert "refs/heads/origin/main" in refused("origin/main")


class TestRanges:
    def test_two_dots_are_two_sides(self) -> None:
        assert differences("first..HEAD") == differences("first..") == ["<all> f v1 v2 HEAD:base.yaml:2"]

    def test_three_dots_are_what_one_side_did(self) -> None:
        git("checkout", "-q", "-b", "work", "first", "--force")
        write("manifests/deep/a.yaml", HEAD + "extends: ../../base.yaml\ndevices: {pump: {g: v9}}\n")
        commit("ours")
        assert differences("main...work") == ["pump g v1 v9 work:manifests/deep/a.yaml:4"]
        assert differences("main...") == ["pump g v1 v9 HEAD:manifests/deep/a.yaml:4"]
        assert len(differences("main..work")) == 2

    def test_a_range_and_a_side_are_three(self) -> None:
        assert "first..main are two sides already" in refused("first..main", "HEAD")

    def test_a_folder_of_that_name_hides_nothing(self) -> None:
        plant("first..main")
        assert "first..main is both two git revisions and a folder (write ./first..main" in refused("first..main")
        assert differences("./first..main", "./manifests") == []

    def test_histories_without_a_common_commit(self) -> None:
        git("checkout", "-q", "--orphan", "other", "--force")
        commit("root")
        assert "main and other have no commit in common" in refused("main...other")


class TestPaths:
    def test_each_side_may_have_its_own(self) -> None:
        git("mv", "manifests", "fleet")
        commit("moved")
        assert differences("first:manifests", "HEAD:fleet") == ["<all> f v1 v3 HEAD:base.yaml:2"]
        assert differences("first:manifests", "./fleet") == ["<all> f v1 v3 base.yaml:2"]
        assert differences("first:manifests", "--path", "fleet") == ["<all> f v1 v3 base.yaml:2"]
        assert differences("first:manifests/", "HEAD:fleet/") == ["<all> f v1 v3 HEAD:base.yaml:2"]
        assert "a path in a revision does not begin with a /" in refused("first:/manifests")
        assert differences("first:", "HEAD:") == ["<all> f v1 v3 HEAD:base.yaml:2"]

    def test_they_count_from_the_root_unless_they_begin_with_a_dot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("manifests")
        wanted = ["<all> f v1 v2 HEAD:../base.yaml:2"]
        assert differences("first:manifests", "HEAD:manifests/deep") == wanted
        assert differences("first:./deep", "HEAD:../manifests") == wanted

    @pytest.mark.parametrize("sides", [("first", "HEAD"), ("first", "./fleet"), ("first",), ("HEAD", "first")])
    def test_a_folder_that_was_moved_is_not_all_new(self, sides: tuple[str, ...]) -> None:
        git("mv", "manifests", "fleet")
        commit("moved")
        for path in ("fleet",) if "./fleet" in sides else ("fleet", "manifests"):
            said = refused(*sides, "--path", path)
            assert "no such file or directory, but the application is declared in " in said
            assert "give each side its own path: `reconciler diff REV:PATH ./PATH`" in said

    def test_one_application_of_several_that_was_moved_is_not_all_gone(self) -> None:
        other = HEAD.replace("575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a98")
        write("manifests/other.yaml", other + "devices: {valve: {g: v1}}\n")
        commit("another application")
        git("mv", "manifests/deep", "fleet")
        commit("moved")
        for sides in (("first", "HEAD"), ("first",), ("HEAD", "first")):
            said = refused(*sides)
            assert " has nothing of application 575ec8687ae143cd83dc4a97, but the application is declared in " in said

    def test_a_folder_of_another_application_is_new(self) -> None:
        other = HEAD.replace("575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a98")
        write("others/b.yaml", other + "devices: {valve: {g: v1}}\n")
        assert differences("first", "--path", "others") == ["valve g None v1 others/b.yaml:3"]

    def test_a_path_outside_of_the_repository_is_not_empty(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        outside = tmp_path_factory.mktemp("outside")
        write(f"{outside}/a.yaml", HEAD + "devices: {pump: {g: v1}}\n")
        assert "is outside of the git work tree" in refused("first", "--path", str(outside))


@pytest.fixture
def evil(tmp_path: Path) -> Callable[[str], None]:
    """A program named git in a folder, which tells that it ran."""

    def put(folder: str) -> None:
        write(f"{folder}/git", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        Path(folder, "git").chmod(0o755)

    return put


class TestGitItself:
    @pytest.mark.parametrize("entry", ["", ".", "bin", "{here}"])
    def test_it_is_not_taken_from_the_working_directory(
        self, entry: str, evil: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        evil(".")
        evil("bin")
        usual = str(Path(shutil.which("git") or "").parent)
        monkeypatch.setenv("PATH", f"{entry.format(here=tmp_path)}:{usual}")
        assert differences("first", "HEAD") == ["<all> f v1 v2 HEAD:base.yaml:2"]
        assert not Path("ran").exists()

    def test_it_gets_no_token_and_fetches_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = shutil.which("git")
        write(f"{tmp_path}/outer/bin/git", f'#!/bin/sh\nenv >>{tmp_path}/env\nexec {program} "$@"\n')
        Path("outer/bin/git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/outer/bin:/usr/bin:/bin")
        monkeypatch.setenv("LOSANT_API_TOKEN", "secret")
        monkeypatch.setenv("LOSANT_API_TOKEN_575EC8687AE143CD83DC4A97", "secret")
        assert differences("first", "HEAD") == ["<all> f v1 v2 HEAD:base.yaml:2"]
        environment = Path("env").read_text()
        assert "LOSANT" not in environment
        assert "secret" not in environment
        assert {"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none"} <= set(environment.splitlines())

    def test_replaced_objects_are_not_what_was_committed(self) -> None:
        git("replace", git("rev-parse", "first").strip(), git("rev-parse", "HEAD").strip())
        assert differences("first", "HEAD") == ["<all> f v1 v2 HEAD:base.yaml:2"]

    def test_a_repository_of_another_owner(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        said = refused("first")
        assert "belongs to another user" in said
        assert f"if you trust it: git config --global --add safe.directory {tmp_path})" in said
        assert "run this inside a git repository" not in said

    def test_a_folder_whose_name_is_not_utf8(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "m\udcff "
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert differences("first", "HEAD", "--path", "../manifests") == ["<all> f v1 v2 HEAD:../base.yaml:2"]
