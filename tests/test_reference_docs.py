"""The pages that are looked things up in: what they say of the code is what the code says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from reconciler.api.http.connection import ACCEPT_VERSION
from reconciler.documents.json import FORMAT_VERSION
from reconciler.errors import ExitCode
from reconciler.manifest.json_schema import SCHEMA_ID
from tests.support.literals import literals

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


ERRORS = re.findall(r"^### `(.*)`$", page("troubleshooting"), re.MULTILINE)


@pytest.fixture(scope="module")
def texts() -> str:
    return "\n".join(" ".join(text.split()) for text in literals())


def test_every_error_of_the_page_is_one_that_the_code_writes(texts: str) -> None:
    assert len(ERRORS) == len(set(ERRORS)) > 30
    assert [error for error in ERRORS if error not in texts] == []


def test_a_text_that_nobody_writes_is_found(texts: str) -> None:
    assert "no API token for the application …" not in texts


def test_the_index_lists_every_page() -> None:
    listed = {link for link in re.findall(r"\]\(([^)#]+\.md)\)", page("README")) if not link.startswith("..")}
    pages = {path.relative_to(DOCS).as_posix() for path in (*DOCS.glob("*.md"), *DOCS.glob("howto/*.md"))}
    assert listed | {"README.md", "howto/README.md"} == pages | {"examples/README.md"}


def test_the_promises_name_what_there_is(texts: str) -> None:
    text = page("compatibility")
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    versions = [one.rpartition(" ")[2] for one in classifiers if re.search(r"Python :: 3\.\d", one)]
    assert f"| Python | {', '.join(versions)}. " in text
    codes = [str(int(code)) for code in ExitCode]
    assert f"| exit codes | {', '.join(codes[:-1])} and {codes[-1]} keep" in text
    assert f'`format_version` is `"{FORMAT_VERSION}"`' in text
    assert f"`Accept-Version: {ACCEPT_VERSION}`" in text
    assert f"`{SCHEMA_ID}`" in text
    [lines] = re.findall(r"^\| the last line of text \| (.*) \|$", text, re.MULTILINE)
    ends = re.findall(r"`(.*?)`", lines)
    assert len(ends) == 3
    assert [end for end in ends if end not in texts] == []


def test_every_line_about_an_attack_names_the_tests_that_hold_it() -> None:
    rows = re.findall(r"^\| (?!---|it tries to \||it \|)(.*?) \|$", page("security"), re.MULTILINE)
    attacks = [row for row in rows if "](../tests/" in row]
    assert len(attacks) >= 14
    assert all("](../tests/" in row for row in rows if row.count(" | ") == 2 and not row.startswith("who"))
