"""Paths: directories, symlinks, loops, sizes, standard input, and how far `extends` may reach."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from reconciler.errors import ManifestError
from reconciler.manifest.files import MAX_BYTES
from reconciler.manifest.load import load_manifests
from reconciler.model.rules import Rules

APPLICATION = "575ec8687ae143cd83dc4a97"
HEAD = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"
BASE = "apiVersion: reconciler/v1\ngroups: {all: {select: {all: true}, flows: {a: v1}}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory inside of which nothing is a git work tree."""
    inside = tmp_path / "repo"
    inside.mkdir()
    monkeypatch.chdir(inside)
    return inside


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sources(rules: tuple[Rules, ...]) -> list[str]:
    return [source.path for one in rules for source in one.manifests]


def problems(*paths: str | Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_manifests(paths)
    return [str(problem) for problem in caught.value.problems]


def test_a_directory_is_every_yaml_and_yml_below_it(here: Path) -> None:
    for name in ("m/a.yaml", "m/b.yml", "m/deep/er/c.yaml"):
        write(here / name, HEAD + f"devices: {{{Path(name).stem}: {{f: v1}}}}\n")
    for name in ("m/notes.txt", "m/d.yaml.bak", "m/e.YAML", "m/f.json"):
        write(here / name, "not: a manifest")
    assert sources(load_manifests(["m"])) == ["m/a.yaml", "m/b.yml", "m/deep/er/c.yaml"]


def test_paths_are_shown_from_the_working_directory(here: Path) -> None:
    write(here / "m/a.yaml", HEAD)
    assert sources(load_manifests([here / "m"])) == ["m/a.yaml"]
    assert sources(load_manifests(["./m/../m//a.yaml"])) == ["m/a.yaml"]


def test_one_file_reached_by_many_paths_is_one_file(here: Path) -> None:
    write(here / "m/a.yaml", HEAD + "devices: {a: {f: v1}}\n")
    (here / "m/z.yaml").symlink_to("a.yaml")
    (here / "n").symlink_to("m")
    [rules] = load_manifests(["n", "m/z.yaml", "m", "m/a.yaml"])
    assert [source.path for source in rules.manifests] == ["m/a.yaml"]
    assert len(rules.devices) == 1


def test_a_loop_of_directories_ends(here: Path) -> None:
    write(here / "m/a.yaml", HEAD)
    (here / "m/deep").mkdir()
    (here / "m/deep/up").symlink_to("../..")
    (here / "m/self").symlink_to(".")
    assert sources(load_manifests(["m"])) == ["m/a.yaml"]


def test_a_symlink_in_a_directory_may_not_leave_the_work_tree(here: Path) -> None:
    outside = write(here.parent / "outside.yaml", HEAD)
    (here / "m").mkdir()
    (here / "m/a.yaml").symlink_to(outside)
    assert problems("m") == ["m/a.yaml: is a symlink that leaves the work tree (copy the file)"]


def test_a_dangling_symlink_is_a_missing_file(here: Path) -> None:
    (here / "m").mkdir()
    (here / "m/a.yaml").symlink_to("nowhere.yaml")
    assert problems("m") == ["m/a.yaml: no such file or directory (check the path)"]


def test_every_path_that_cannot_be_read_is_told(here: Path) -> None:
    (here / "empty").mkdir()
    os.mkfifo(here / "pipe.yaml")
    assert problems("missing", "empty", "pipe.yaml", "nul\0.yaml") == [
        "empty: no *.yaml or *.yml below this directory (give the directory with the manifests)",
        "missing: no such file or directory (check the path)",
        "nul\0.yaml: cannot be read: a path cannot contain a NUL character",
        "pipe.yaml: not a regular file (give a file, a directory, or - for standard input)",
    ]


def test_a_file_without_permission_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "m/a.yaml", HEAD)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert problems("m") == ["m/a.yaml: cannot be read: Permission denied (check its permissions)"]


def test_a_file_of_50_mb_is_refused_before_it_is_parsed(here: Path) -> None:
    with (here / "big.yaml").open("wb") as file:
        file.truncate(50_000_000)
    [problem] = problems("big.yaml")
    assert problem == "big.yaml: larger than 32 MiB (use groups, or split the devices over several files)"
    assert MAX_BYTES == 32 * 1024 * 1024


def test_standard_input_is_a_file_without_a_name(here: Path) -> None:
    write(here / "base.yaml", BASE)
    [rules] = load_manifests(["-"], stdin=io.BytesIO((HEAD + "extends: base.yaml\n").encode()))
    assert [group.name for group in rules.groups] == ["all"]
    assert [source.path for source in rules.manifests] == ["<stdin>", "base.yaml"]
    with pytest.raises(ManifestError, match="<stdin>:1:1: the file is empty"):
        load_manifests(["-"], stdin=io.BytesIO(b""))


def test_outside_git_extends_stays_in_the_working_directory(here: Path) -> None:
    write(here / "base.yaml", BASE)
    write(here.parent / "base.yaml", BASE)
    write(here / "m/good.yaml", HEAD + "extends: ../base.yaml\n")
    load_manifests(["m/good.yaml"])
    write(here / "m/bad.yaml", HEAD + "extends: ../../base.yaml\n")
    [problem] = problems("m/bad.yaml")
    assert problem.startswith("m/bad.yaml:3:10: extends ../../base.yaml leaves the working directory")


def test_in_git_extends_may_go_up_to_the_root_of_the_work_tree(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".git").mkdir()
    write(here / "base.yaml", BASE)
    write(here.parent / "base.yaml", BASE)
    write(here / "m/good.yaml", HEAD + "extends: ../base.yaml\n")
    write(here / "m/bad.yaml", HEAD + "extends: ../../base.yaml\n")
    monkeypatch.chdir(here / "m")
    assert sources(load_manifests(["good.yaml"])) == ["../base.yaml", "good.yaml"]
    [problem] = problems("bad.yaml")
    assert problem.startswith("bad.yaml:3:10: extends ../../base.yaml leaves the git work tree")


def test_extends_may_not_leave_by_a_symlink(here: Path) -> None:
    write(here.parent / "secret/base.yaml", BASE)
    (here / "door").symlink_to("../secret")
    (here / "direct.yaml").symlink_to("../secret/base.yaml")
    write(here / "a.yaml", HEAD + "extends: door/base.yaml\n")
    write(here / "b.yaml", HEAD + "extends: direct.yaml\n")
    assert [problem.partition(" (")[0] for problem in problems("a.yaml", "b.yaml")] == [
        "a.yaml:3:10: extends door/base.yaml leaves the working directory",
        "b.yaml:3:10: extends direct.yaml leaves the working directory",
    ]


def test_a_loop_of_symlinks_is_told(here: Path) -> None:
    (here / "x.yaml").symlink_to("y.yaml")
    (here / "y.yaml").symlink_to("x.yaml")
    write(here / "a.yaml", HEAD + "extends: x.yaml\n")
    [problem] = problems("a.yaml")
    assert problem.startswith("a.yaml:3:10: ")
    assert len(problems("x.yaml")) == 1


def test_extends_of_a_circle_by_symlinks_is_a_circle(here: Path) -> None:
    write(here / "a.yaml", BASE + "extends: b.yaml\n")
    (here / "b.yaml").symlink_to("a.yaml")
    write(here / "app.yaml", HEAD + "extends: a.yaml\n")
    [problem] = problems("app.yaml")
    assert "extends forms a cycle: a.yaml -> a.yaml" in problem


def test_a_base_that_many_extend_is_read_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "base.yaml", BASE)
    for number in range(20):
        write(here / f"m/{number}.yaml", HEAD.replace("4a97", f"4b{number:02}") + "extends: ../base.yaml\n")
    opened: list[str] = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args: opened.append(self.name) or original(self, *args))  # type: ignore[func-returns-value]
    assert len(load_manifests(["m"])) == 20
    assert opened.count("base.yaml") == 1
