"""`reconciler diff`: two revisions or two folders, without touching the work tree."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run_here
from tests.support.repository import HEAD, differences, git, write

PAGE = """\
**4 differences.**

From `first` to the files.

### Application `575ec8687ae143cd83dc4a97`, embedded

Settings:

- `limits removals count`: nothing to `3`

### Application `575ec8687ae143cd83dc4a97`, embedded

| flow | | from | to | rows |
| --- | --- | --- | --- | ---: |
| `f` | version | `v1` | `v3` | 1 |
| `g` | version | `v1` | `absent` | 1 |
| `h` | version | nothing | `v1` | 1 |

### Application `575ec8687ae143cd83dc4a97`, embedded

No longer declared, or declared absent:

- `pump` `g`: `v1` to `absent` (`manifests/deep/a.yaml:5`)

<details><summary>2 other rows</summary>

- `<all>` `f`: `v1` to `v3` (`base.yaml:2`)
- `pump` `h`: nothing to `v1` (`manifests/deep/a.yaml:5`)

</details>
"""


def test_as_markdown(repository: Path) -> None:
    limits = "limits: {removals: {count: 3}}\n"
    write("manifests/deep/a.yaml", f"{HEAD}extends: ../../base.yaml\n{limits}devices: {{pump: {{g: absent, h: v1}}}}\n")
    ended = run_here("diff", "first", "--format", "markdown")
    assert ended.code == 0
    assert ended.out == PAGE
    ended = run_here("diff", "first", "first", "--format", "markdown")
    assert ended.code == 0
    assert ended.out == "**No differences.**\n\nFrom `first` to `first`.\n"


@pytest.mark.usefixtures("repository")
class TestRevisions:
    def test_two_revisions(self) -> None:
        before = git("status", "--porcelain")
        assert differences("first", "HEAD") == ["<all> f v1 v2 HEAD:base.yaml:2"]
        assert git("status", "--porcelain") == before

    def test_one_revision_is_compared_with_what_is_on_the_disk(self) -> None:
        assert differences("first") == ["<all> f v1 v3 base.yaml:2"]

    def test_the_same_revision_has_no_differences(self) -> None:
        ended = run_here("diff", "HEAD", "main")
        assert ended.code == 0
        assert ended.out == "No differences.\n"

    def test_a_branch_with_a_slash_is_a_revision_where_there_is_no_such_folder(self) -> None:
        assert differences("first", "feature/x") == ["<all> f v1 v2 feature/x:base.yaml:2"]

    def test_from_a_folder_below_the_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("manifests")
        assert differences("first", "HEAD", "--path", "deep") == ["<all> f v1 v2 HEAD:../base.yaml:2"]
        assert differences("first", "HEAD", "--path", ".") == ["<all> f v1 v2 HEAD:../base.yaml:2"]

    def test_a_single_file(self) -> None:
        assert len(differences("first", "HEAD", "--path", "manifests/deep/a.yaml")) == 1

    def test_many_files_take_no_more_processes_than_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(30):
            write(f"manifests/{number}.yaml", HEAD + f"devices: {{pump-{number}: {{g: v1}}}}\n")
            Path(f"manifests/link-{number}.yaml").symlink_to(f"{number}.yaml")
        git("add", ".")
        git("commit", "-qm", "many")
        started: list[str] = []
        start = subprocess.run

        def counted(argv: list[str], **options: Any) -> Any:
            started.extend(argv)
            return start(argv, **options)

        monkeypatch.setattr(subprocess, "run", counted)
        assert len(differences("first", "HEAD")) > 30
        assert started.count("cat-file") <= 5  # for each side: links, manifests, their base

    def test_symlinks_of_a_revision_are_followed_inside_it(self) -> None:
        Path("linked").mkdir()
        Path("linked/a.yaml").symlink_to("../manifests/deep/a.yaml")
        Path("linked/folder").symlink_to("../manifests/deep")
        Path("linked/loop").symlink_to("../linked")
        git("add", ".")
        git("commit", "-qm", "links")
        git("tag", "third")
        write("manifests/deep/a.yaml", HEAD + "devices: {pump: {g: v2}}\n")
        git("commit", "-qam", "fourth")
        found = differences("third", "HEAD", "--path", "linked/folder")
        assert {one.partition(" ")[0] for one in found} == {"<all>", "pump"}

    def test_a_symlink_that_leaves_the_tree_is_refused(self) -> None:
        Path("up.yaml").symlink_to("../outside.yaml")
        write("manifests/deep/a.yaml", HEAD + "extends: ../../up.yaml\n")
        git("add", ".")
        git("commit", "-qm", "links")
        ended = run_here("diff", "first", "HEAD")
        assert ended.code == 1
        assert "HEAD:manifests/deep/a.yaml:3:10: extends ../../up.yaml leaves the git work tree" in ended.err

    def test_a_branch_that_only_the_remote_has_is_suggested(self) -> None:
        git("update-ref", "refs/remotes/origin/trunk", "HEAD")
        ended = run_here("diff", "trunk")
        assert ended.code == 1
        assert "git has no revision 'trunk' (did you mean origin/trunk?)" in ended.err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nowhere"], "git has no revision 'nowhere'"),
            (["no/where"], "no/where is neither a folder nor a git revision"),
            (["--", "--output=x"], "'--output=x' is not a revision"),
            (["first", "--path", "nowhere"], "nowhere: no such file or directory"),
            (["first", "HEAD", "--path", "manifests/nowhere"], "first:manifests/nowhere: no such file or directory"),
            (["first", "HEAD", "--path", "../.."], "first:../..: is outside of the git work tree"),
            ([], "BASE"),
        ],
    )
    def test_what_is_not_there_is_told(self, arguments: list[str], words: str) -> None:
        ended = run_here("diff", *arguments)
        assert ended.code == 1
        assert words in ended.err

    def test_problems_name_the_revision(self) -> None:
        write("manifests/deep/a.yaml", HEAD + "x: 1\n")
        git("commit", "-qam", "bad")
        ended = run_here("diff", "HEAD", "first")
        assert ended.code == 1
        assert 'HEAD:manifests/deep/a.yaml:3:1: unknown key "x"' in ended.err


def test_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, version in (("a", "v1"), ("b", "v2")):
        devices = "".join(f"  pump-{n:02}: {{f: {version}}}\n" for n in range(12))
        write(f"{name}/m.yaml", HEAD + "devices:\n" + devices)
    write("b/m.yaml", Path("b/m.yaml").read_text() + "prune: devices\n")
    ended = run_here("diff", "a", "./b")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[:3] == ["575ec8687ae143cd83dc4a97 (embedded):", "  f v1 → v2", "    pump-00  b/m.yaml:4"]
    assert lines[-3:] == ["    and 3 more", "  prune: false → devices", "13 differences."]
    ended = run_here("-v", "diff", "a", "b")
    assert ended.code == 0
    assert "    pump-11  b/m.yaml:15" in ended.out.splitlines()


def test_outside_git_only_folders_can_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ended = run_here("diff", "HEAD")
    assert ended.code == 1
    assert "not a git repository" in ended.err


def test_the_first_manifest_and_the_last(repository: Path) -> None:
    git("checkout", "-q", "--", "base.yaml")
    git("rm", "-rq", "manifests")
    git("commit", "-qm", "none")
    git("tag", "none")
    came = differences("none", "first")
    assert "pump g None v1 first:manifests/deep/a.yaml:4" in came
    assert "none:manifests: no such file or directory: nothing is declared there" in said("none", "first")
    went = differences("first", "none")
    assert len(went) == len(came)
    ended = run_here("diff", "none", "--path", "manifests")
    assert ended.code == 1
    assert ended.err.count("no such file or directory") == 2


def said(*arguments: str) -> str:
    ended = run_here("diff", *arguments)
    assert ended.code == 0
    return ended.err


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside.yaml", "nowhere.yaml"])
def test_a_symlink_that_leads_out_or_nowhere_is_told_in_a_revision_too(target: str, repository: Path) -> None:
    Path("manifests/evil.yaml").symlink_to(target)
    git("add", ".")
    git("commit", "-qm", "evil")
    for sides in (["first", "HEAD"], ["HEAD", "first"], ["first"]):
        ended = run_here("diff", *sides)
        assert ended.code == 1
        assert re.search(r"^(HEAD:)?manifests/evil.yaml: (is a symlink that leaves|no such)", ended.err)


@pytest.mark.parametrize("arguments", [[""], ["", "first"], ["first", ""], ["first", "--path", ""]])
def test_an_unset_variable_is_no_side(arguments: list[str], repository: Path) -> None:
    ended = run_here("diff", *arguments)
    assert ended.code == 1
    assert "it is empty; is a variable unset?" in ended.err


ROLLOUT = (
    HEAD + "rollouts: {careful: {waves: [{percent: 1}, {percent: 10}], gate: {soak: 24h}}}\n"
    "groups:\n  all: {select: {all: true}, rollout: {policy: careful, up_to: 2}, flows: {f: v1}}\n"
    "devices: {pump: {f: v1}}\n"
)
LOOSE = ROLLOUT.replace("24h", "1h").replace("up_to: 2", "up_to: 3").replace("f: v1}}\ndev", "f: v2}}\ndev")


@pytest.fixture
def loosened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("old/a.yaml", ROLLOUT)
    write("new/a.yaml", LOOSE)


@pytest.mark.usefixtures("loosened")
class TestRollouts:
    def test_as_text(self) -> None:
        ended = run_here("diff", "./old", "./new")
        assert ended.code == 0
        assert ended.out == (
            "575ec8687ae143cd83dc4a97 (embedded):\n"
            "  f v1 → v2\n"
            "    <all>  new/a.yaml:5\n"
            "  policy careful gate.soak: 24h → 1h  (looser)  new/a.yaml:3\n"
            "  rollout of group all: careful up to wave 2 → careful up to wave 3  (looser)  new/a.yaml:5\n"
            "3 differences.\n"
        )
        assert ended.err == (
            'Warning: new/a.yaml:5: in group "all", v2 of f is approved up to wave 3 '
            "(its target changed: lower `up_to` to 1 to approve the waves of the new one, each by itself)\n"
        )

    def test_as_json(self) -> None:
        document = json.loads(run_here("diff", "./old", "./new", "--format", "json").out)
        assert [one["what"] for one in document["differences"]] == ["version", "policy_looser", "rollout_looser"]
        assert [(one["path"], one["line"]) for one in document["warnings"]] == [("new/a.yaml", 5)]
        assert "warnings" not in json.loads(run_here("diff", "./old", "./old", "--format", "json").out)

    def test_as_markdown(self) -> None:
        page = run_here("diff", "./old", "./new", "--format", "markdown").out
        assert '\nWarnings:\n\n- `in group "all", v2 of f is approved up to wave 3`' in page
        assert "- `policy careful gate.soak`, **looser**: `24h` to `1h` (`new/a.yaml:3`)\n" in page
        assert "- `rollout of group all`, **looser**: `careful up to wave 2` to `careful up to wave 3`" in page

    def test_a_row_that_leaves_its_group(self) -> None:
        write("new/a.yaml", ROLLOUT.replace("all: {select: {all: true}", "some: {select: {devices: [pump, valve]}"))
        write("old/a.yaml", ROLLOUT.replace("all: {select: {all: true}", "some: {select: {devices: [pump, valve]}")
              .replace("devices: {pump: {f: v1}}\n", ""))  # fmt: skip
        ended = run_here("diff", "./old", "./new")
        assert ended.out == (
            "575ec8687ae143cd83dc4a97 (embedded):\n"
            "  f rollout careful up to wave 2 → nothing  (looser)\n"
            "    pump  old/a.yaml:5\n"
            "1 difference.\n"
        )
        page = run_here("diff", "./old", "./new", "--format", "markdown").out
        assert "| `f` | rollout, **looser** | `careful up to wave 2` | nothing | 1 |\n" in page
        assert "- `pump` `f`: rollout `careful up to wave 2` to nothing, **looser** (`old/a.yaml:5`)\n" in page
