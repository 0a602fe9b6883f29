"""Where a pipeline installs from: the installer's record, as PEP 610 has it, or what somebody names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.requirements import Requirement

from reconciler.errors import UsageError
from reconciler.operations.init.origin import given, installed_from, recorded

COMMIT, DIGEST = "0123456789" * 4, "ab" * 32
GIT, WHEEL = "https://example.com/a/reconciler.git", "https://example.com/losant_reconciler-1.2.3-py3-none-any.whl"
COMMITTED = f"losant-reconciler @ git+{GIT}@{COMMIT}"


def vcs(**more: str) -> dict[str, Any]:
    return {"vcs": "git", "commit_id": COMMIT, **more}


@pytest.mark.parametrize(
    ("record", "line", "is_source"),
    [
        (None, "losant-reconciler==1.2.3", False),
        ({"url": GIT, "vcs_info": vcs()}, COMMITTED, True),
        ({"url": GIT, "vcs_info": vcs(requested_revision="main")}, COMMITTED, True),
        ({"url": GIT, "vcs_info": vcs(), "subdirectory": "a/b"}, f"{COMMITTED}#subdirectory=a/b", True),
        ({"url": WHEEL, "archive_info": {"hashes": {"sha256": DIGEST}}}, f"losant-reconciler @ {WHEEL}", False),
        ({"url": WHEEL, "archive_info": {"hash": f"sha256={DIGEST}"}}, f"losant-reconciler @ {WHEEL}", False),
        (
            {"url": "https://example.com/1.2.3.tar.gz", "archive_info": {"hashes": {"sha256": DIGEST}}},
            "losant-reconciler @ https://example.com/1.2.3.tar.gz",
            True,
        ),
    ],
)
def test_the_record_says_it(record: Any, line: str, is_source: bool) -> None:
    found = recorded(record and json.dumps(record), "1.2.3")
    requirement, *hashes = found.line.split(" --hash=")
    assert (requirement, found.is_source) == (line, is_source)
    assert Requirement(requirement).name == "losant-reconciler"
    assert hashes == ([f"sha256:{DIGEST}"] if record and "archive_info" in record else [])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"url": "file:///home/me/r", "dir_info": {"editable": True}}, "from a folder that only this machine has"),
        ({"url": "file:///home/me/r", "dir_info": {}}, "from a folder that only this machine has"),
        ({"url": "file:///home/me/r.git", "vcs_info": vcs()}, "from a file that only this machine has"),
        ({"url": "file:///r.whl", "archive_info": {"hashes": {"sha256": DIGEST}}}, "that only this machine has"),
        ({"url": WHEEL, "archive_info": {}}, "has no SHA-256 hash"),
        ({"url": WHEEL, "archive_info": {"hashes": {"md5": DIGEST}}}, "has no SHA-256 hash"),
        ({"url": WHEEL, "archive_info": {"hashes": 5}}, "cannot be read"),
        ({"url": GIT, "vcs_info": {"vcs": "git", "commit_id": "main"}}, "not named by its full id"),
        ({"url": GIT, "vcs_info": {"vcs": "git"}}, "cannot be read"),
        ({"url": GIT, "vcs_info": vcs(), "subdirectory": "../x"}, "not a plain one"),
        ({"url": GIT, "vcs_info": {"vcs": "hg", "commit_id": COMMIT}}, "only this machine has"),
        ({"url": "https://me:secret@example.com/r", "vcs_info": vcs()}, "holds a password or a token"),
        ({"url": "https://secret@example.com/r", "vcs_info": vcs()}, "holds a password or a token"),
        ({"url": "http://example.com/r", "vcs_info": vcs()}, "not a plain https or ssh one"),
        ({"url": "https://example.com/${TOKEN}/r", "vcs_info": vcs()}, "not a plain https or ssh one"),
        ({"url": "https://example.com/r\n--index-url x", "vcs_info": vcs()}, "not a plain https or ssh one"),
        ([], "cannot be read"),
        ({}, "cannot be read"),
    ],
)
def test_an_origin_that_a_pipeline_cannot_have_is_refused(record: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        recorded(json.dumps(record), "1.2.3")
    assert "--install" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_record_that_is_cut_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        recorded("{", "1.2.3")


def test_a_work_tree_is_a_folder_that_nobody_else_has() -> None:
    """The tests run where this project is installed as it is."""
    with pytest.raises(UsageError, match="only this machine has"):
        installed_from()


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("losant-reconciler==1.2.3rc1", "losant-reconciler==1.2.3rc1"),
        (f"git+{GIT}@{COMMIT}", COMMITTED),
        (COMMITTED, COMMITTED),
        (f"git+ssh://git@example.com/r@{COMMIT}", f"losant-reconciler @ git+ssh://git@example.com/r@{COMMIT}"),
        (f"{WHEEL}#sha256={DIGEST}", f"losant-reconciler @ {WHEEL} --hash=sha256:{DIGEST}"),
    ],
)
def test_what_is_named_becomes_a_line(spec: str, line: str) -> None:
    assert given(spec).line == line


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "losant-reconciler",
        "losant-reconciler==",
        "losant-reconciler==1.0 --index-url=x",
        "other==1.0",
        WHEEL,
        f"{WHEEL}#sha256=abc",
        f"git+{GIT}",
        f"git+{GIT}@main",
        f"git+{GIT}@{COMMIT}\n",
        f"git+{GIT}@{COMMIT}#egg=x",
        f"git+https://example.com/$(id)@{COMMIT}",
        f"git+https://example.com/a b@{COMMIT}",
        "./folder",
    ],
)
def test_what_is_not_pinned_or_not_plain_is_refused(spec: str) -> None:
    with pytest.raises(UsageError) as raised:
        given(spec)
    assert "--install" in str(raised.value)
