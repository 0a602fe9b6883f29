"""The pages that a newcomer types along, run from top to bottom. `python -m tests.test_pages` writes them anew."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.pages import Block, PageError, Reader, blocks, differs, renewed

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / "tutorial.md", DOCS / "migration.md", *sorted((DOCS / "howto").glob("*.md"))]
ROOT = DOCS.parent


def followed(page: str, folder: Path) -> list[tuple[Block, str]]:
    with ExitStack() as stack:
        return list(Reader(folder, stack).follow(page))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_reader_who_types_along_sees_what_the_page_shows(path: Path, tmp_path: Path) -> None:
    for block, seen in followed(path.read_text(encoding="utf-8"), tmp_path):
        assert not differs(block.text, seen), f"{path.name}, line {block.line}, is out of date. Today it is:\n{seen}"


def test_the_index_lists_every_how_to() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in PAGES if f"({path.relative_to(DOCS).as_posix()})" not in text] == []


def test_what_the_architecture_names_is_in_the_code() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = {name.removeprefix("reconciler/") for name in re.findall(r"`([a-z_/]+(?:/|\.py))`", text)}
    assert named >= {"manifest/", "planner/calls/", "executor/", "executor/call.py"}
    assert [name for name in sorted(named) if not (DOCS.parent / "reconciler" / name).exists()] == []


@pytest.mark.usefixtures("installed")
def test_the_readmes_five_commands_work_as_typed(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    page = re.search(r"^## Try it\n.*?(?=^## )", text, re.DOTALL | re.MULTILINE)
    assert page is not None
    commands = [line for block in blocks(page[0]) for line in block.commands]
    assert len(commands) == 5
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    assert followed(page[0], tmp_path) == []


FILE = "`a/b.txt`:\n\n<!-- file: a/b.txt -->\n```yaml\none: 1\ntwo: 2\n```\n"


def test_files_changes_and_commands_follow_one_another_in_one_shell(tmp_path: Path) -> None:
    page = f"""{FILE}
```sh
export WORD=seen
two() {{ echo two; }}
```
<!-- change: a/b.txt -->
```diff
 one: 1
-two: 2
+two: 3
```
```sh
two \\
  three
cat a/b.txt; echo "$WORD"
```
```text
one: 1
...
seen
```
"""
    assert [(block.text, text) for block, text in followed(page, tmp_path)] == [
        ("one: 1\n...\nseen\n", "one: 1\ntwo: 3\nseen\n")
    ]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```sh\nfalse\ntrue\n```\n", "line 1: false: exit code 1, not 0"),
        ("exit code 2\n\n<!-- exit code: 2 -->\n```sh\nfalse\n```\n", "exit code 1, not 2"),
        ("<!-- exit code: 1 -->\n```sh\nfalse\n```\n", "the prose does not say exit code 1"),
        ("```yaml\na: 1\n```\n", "nothing says what this fence is for"),
        ("```sh\ntrue\n```\n\n```json\n{}\n```\n", "nothing says what this fence is for"),
        ("- a list\n\n  ```sh\n  true\n  ```\n\n```sh\ntrue\n", "a fence of the page is indented"),
        (f"{FILE}\n<!-- change: a/b.txt -->\n```diff\n-two: 3\n```\n", "the change does not fit"),
        ('```sh\nexport A=b\n```\n\n```powershell\n$env:A = "c"\n```\n', "not the same as"),
        ("```sh\nexit 0\n```\n", "the shell ended"),
        ("<!-- file: a.txt -->\n```text\na\n```\n", "the prose does not say which file"),
        ("<!-- another terminal -->\n```sh\nsleep 60\n```\n", "not the simulator"),
    ],
)
def test_a_page_that_does_not_hold_fails(page: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=why):
        followed(page, tmp_path)


@pytest.mark.parametrize(
    ("shown", "seen", "told"),
    [
        ("a\n", "a\n", False),
        ("a\n", "a\nb\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", False),
        ("a\n...\nd\n", "a\nb\nc\n", True),
        ("...\n", "", False),
        ("at 2026-03-02 10:00Z\n", "at 2026-03-02 10:01Z\n", False),
        ("v1.2.3\n", "v1x2.3\n", True),
    ],
)
def test_shown_is_compared_with_seen(shown: str, seen: str, told: bool) -> None:
    assert differs(shown, seen) == told


def test_renewing_keeps_the_length_of_what_is_shortened(tmp_path: Path) -> None:
    page = "```sh\nprintf '1\\n2\\n3\\n4\\n5\\n'\n```\n\n```text\na\nb\n...\nc\n```\n"
    assert "```text\n1\n2\n...\n5\n```\n" in renewed(page, followed(page, tmp_path))


def write_anew(paths: list[Path]) -> None:
    """Put what a reader sees today into the pages."""
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            text = path.read_text(encoding="utf-8")
            path.write_text(renewed(text, followed(text, Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    write_anew([Path(name) for name in sys.argv[1:]] or PAGES)
