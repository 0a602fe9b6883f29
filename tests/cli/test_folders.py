"""Which files of a folder are manifests, what is said of the others, and paths that are no files of a disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.cli import RECONCILER, run_here
from tests.support.repository import HEAD, commit, differences, git, write

APPLICATION = "575ec8687ae143cd83dc4a97 embedded: "


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def manifest(name: str, device: str = "pump") -> None:
    write(name, HEAD + f"devices: {{{device}: {{f: v1}}}}\n")


def refused(*arguments: str) -> list[str]:
    ended = run_here("validate", *arguments)
    assert ended.code == 1
    assert ended.out == ""
    return ended.err.splitlines()


class TestNamesWithADot:
    def test_they_are_not_picked(self) -> None:
        manifest("m/a.yaml")
        Path("m/.#a.yaml").symlink_to("me@host.4711:1")  # Emacs has a.yaml open
        Path("m/._a.yaml").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
        Path("m/.a.yaml.swp").write_bytes(b"b0VIM 9.0")
        write("m/.git/x.yaml", "not: a manifest")
        write("m/deep/.idea/x.yaml", "not: a manifest")
        ended = run_here("validate", "m")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == APPLICATION + "m/a.yaml\n1 file checked, no problems found.\n"

    def test_in_a_revision_neither(self) -> None:
        git("init", "-q", "-b", "main")
        manifest("manifests/a.yaml")
        commit("one")
        Path("manifests/.#a.yaml").symlink_to("me@host.4711:1")
        write("manifests/.x/._a.yaml", "\0")
        commit("two")
        assert differences("HEAD^", "main") == differences("main") == []

    def test_a_path_that_is_given_is_read_whatever_its_name(self) -> None:
        manifest(".ci/.m.yaml")
        assert run_here("validate", ".ci/.m.yaml").out.startswith(APPLICATION + ".ci/.m.yaml\n")
        manifest(".ci/m.yaml")
        assert run_here("validate", ".ci").out.startswith(APPLICATION + ".ci/m.yaml\n")

    def test_init_does_not_take_one_for_a_manifest(self) -> None:
        git("init", "-q")
        write("manifests/._m.yaml", "")
        assert "manifests/fleet.yaml" in run_here("init", "--no-workflow").out
        assert Path("manifests/fleet.yaml").exists()


LIKE = ["M.YAML", "n.Yml", "a.yaml.txt", "b.yml.bak", "c.yaml~", "d.yaml.orig"]
OTHERS = ["notes.txt", "f.json", "README.md", "yaml", "g.yamlx"]


class TestWhatLooksLikeAManifest:
    def test_it_is_said(self) -> None:
        manifest("m/a.yaml")
        for name in LIKE + OTHERS:
            manifest(f"m/{name}")
        ended = run_here("validate", "m")
        assert ended.code == 0
        assert ended.err.splitlines() == [
            f"Warning: m/{name} looks like a manifest, but is not read "
            "(rename it to end in .yaml or .yml, in lower case, or move it elsewhere)"
            for name in sorted(LIKE)
        ]

    def test_where_nothing_is_picked_it_is_the_hint(self) -> None:
        manifest("m/M.YAML")
        hint = "(m/M.YAML is not picked: rename it to end in .yaml or .yml, in lower case)"
        assert refused("m") == [f"m: no *.yaml or *.yml below this directory {hint}"]

    def test_diff_says_it_of_both_sides(self) -> None:
        git("init", "-q", "-b", "main")
        manifest("manifests/a.yaml")
        manifest("manifests/b.yaml.bak")
        commit("one")
        git("mv", "manifests/b.yaml.bak", "manifests/B.YAML")
        ended = run_here("diff", "HEAD")
        assert (ended.code, ended.out) == (0, "No differences.\n")
        assert [line.partition(" looks")[0] for line in ended.err.splitlines()] == [
            "Warning: HEAD:manifests/b.yaml.bak",
            "Warning: manifests/B.YAML",
        ]

    def test_a_file_that_is_given_is_read(self) -> None:
        manifest("M.YAML")
        ended = run_here("validate", "M.YAML")
        assert (ended.code, ended.err) == (0, "")


class TestLinkedFolders:
    @pytest.fixture(autouse=True)
    def linked(self, tmp_path: Path) -> None:
        manifest("m/a.yaml")
        manifest(f"{tmp_path}/outside/deep/b.yaml")
        Path(tmp_path, "outside/deep/loop").symlink_to("/")
        Path("m/away").symlink_to(tmp_path / "outside")

    @pytest.mark.parametrize("in_git", [True, False])
    def test_one_that_leaves_the_work_tree_is_not_walked(
        self, monkeypatch: pytest.MonkeyPatch, *, in_git: bool
    ) -> None:
        if in_git:
            git("init", "-q")
        walked: list[str] = []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: walked.append(os.fspath(path)) or scandir(path))  # type: ignore[func-returns-value]
        assert refused("m") == ["m/away: is a symlink that leaves the work tree (copy the file)"]
        assert walked == ["m"]

    def test_one_that_stays_is_followed(self) -> None:
        Path("m/away").unlink()
        manifest("common/b.yaml", "valve")
        Path("m/near").symlink_to("../common")
        assert run_here("validate", "m").out.startswith(APPLICATION + "m/a.yaml, m/near/b.yaml\n")

    def test_one_that_was_checked_out_as_text_is_told(self) -> None:
        Path("m/away").unlink()
        manifest("common/b.yaml", "valve")
        Path("m/near").write_text("../common")
        [problem] = refused("m")
        assert problem.startswith("m/near: is a symlink to the folder ../common that was checked out as a text file (")


class TestOpenPipes:
    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return processes.run(["bash", "-c", script, "bash", *RECONCILER])

    @pytest.mark.parametrize(
        "script",
        [
            '"$@" validate <(cat m.yaml)',
            'cat m.yaml | "$@" validate /dev/stdin',
            'cat m.yaml | "$@" validate /dev/fd/0',
            'cat m.yaml | "$@" validate /proc/self/fd/0',
            '"$@" validate /dev/stdin <m.yaml',
        ],
    )
    def test_they_are_read(self, script: str) -> None:
        write("base.yaml", "apiVersion: reconciler/v1\n")
        write("m.yaml", HEAD + "extends: base.yaml\n")
        done = self.shell(script)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("\n2 files checked, no problems found.\n")

    def test_their_problems_have_a_place(self) -> None:
        write("m.yaml", HEAD + "x: 1\n")
        done = self.shell('cat m.yaml | "$@" validate /dev/stdin')
        assert done.returncode == 1
        assert done.stderr.startswith('/dev/stdin:3:1: unknown key "x"')

    def test_a_device_is_not_read(self) -> None:
        assert refused("/dev/zero") == [
            "/dev/zero: not a regular file (give a file, a directory, or - for standard input)"
        ]


class TestWithoutAWorkingDirectory:
    @pytest.fixture
    def gone(self, here: Path) -> str:
        return 'mkdir gone && cd gone && rmdir ../gone && "$@" '

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        program = [str(Path(sys.executable).with_name("reconciler"))]
        return processes.run(["bash", "-c", script, "bash", *program])

    def test_absolute_paths_are_read(self, gone: str, here: Path) -> None:
        manifest("m/a.yaml")
        for path in ("m", "m/a.yaml"):
            done = self.run(gone + f"validate {here}/{path}")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"{APPLICATION}{here}/m/a.yaml\n")

    @pytest.mark.parametrize(
        "command", ["validate", "validate x", "diff main", "init --no-workflow", "schema", "diff ./a ./b"]
    )
    def test_what_needs_one_says_so_and_is_no_bug(self, gone: str, command: str) -> None:
        done = self.run(gone + command)
        assert done.returncode == (0 if command == "schema" else 1)
        assert "bug" not in done.stderr
        assert "Traceback" not in done.stderr
        if command not in ("schema", "diff ./a ./b"):
            assert "working directory" in done.stderr


BEGINNINGS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n": "the file is a Git LFS pointer (",
    b"\0GITCRYPT\0\x8f\xff\x00": "the file is encrypted by git-crypt (`git-crypt unlock`",
    b"$ANSIBLE_VAULT;1.1;AES256\n6162\n": "the file is encrypted by Ansible Vault (",
    b"-----BEGIN PGP MESSAGE-----\n\nabc\n": "the file is encrypted by PGP (",
    b"../common/base.yaml": "the file is a symlink to ../common/base.yaml that was checked out as text (",
    b"b.yml": "the file is a symlink to b.yml that was checked out as text (",
}


class TestWhatGitLeftBehind:
    @pytest.mark.parametrize("data", BEGINNINGS)
    def test_it_is_told_as_what_it_is(self, data: bytes) -> None:
        Path("m.yaml").write_bytes(data)
        [problem] = refused("m.yaml")
        assert problem.startswith("m.yaml:1:1: " + BEGINNINGS[data])

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_every_conflict_is_told_once(self, ending: str) -> None:
        lines = [
            *HEAD.splitlines(), "<<<<<<< HEAD", "kind: edge", "||||||| base", "=======", "kind: embedded",
            ">>>>>>> feature/x", "devices:", "<<<<<<<", "  a: {f: v1}", "=======", ">>>>>>>", "  b: {f: v1}",
            ">>>>>>> late",
        ]  # fmt: skip
        Path("m.yaml").write_bytes(ending.join(lines).encode())
        assert refused("m.yaml") == [
            f"m.yaml:{place} (resolve it, and remove the marks)"
            for place in (
                "3:1: a merge conflict is not resolved: <<<<<<< HEAD",
                "10:1: a merge conflict is not resolved: <<<<<<<",
                "15:1: a merge conflict is not resolved: >>>>>>> late",
            )
        ]

    def test_marks_inside_a_text_are_text(self) -> None:
        reason = "|\n      <<<<<<< HEAD\n      =======\n      >>>>>>> x\n"
        write("m.yaml", HEAD + f"pins:\n  - device: a\n    flows: {{f: v1}}\n    reason: {reason}")
        assert run_here("validate", "m.yaml").code == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{a: 1e999999}", "a query holds a number that JSON cannot hold"),
        ("{a: [{b: -1e400}]}", "a query holds a number that JSON cannot hold"),
        ("'{\"a\": 1e999999}'", "a query holds a number that JSON cannot hold"),
        ("'{\"a\": NaN}'", "a query holds a number that JSON cannot hold"),
        ("'{\"a\": [-Infinity]}'", "a query holds a number that JSON cannot hold"),
        ('\'{"a": "\\ud800"}\'', "a query holds half of a surrogate pair, which is not text"),
    ],
)
def test_a_query_holds_only_what_can_be_sent(query: str, words: str) -> None:
    write("m.yaml", HEAD + f"groups: {{all: {{select: {{query: {query}}}, flows: {{f: v1}}}}}}\n")
    [problem] = refused("m.yaml")
    assert problem.startswith(f'm.yaml:3:32: "query": {words} (')
