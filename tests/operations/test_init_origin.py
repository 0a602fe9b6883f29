"""Where a pipeline installs from: the installer's record, as PEP 610 has it, or what somebody names."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from reconciler.errors import UsageError
from reconciler.operations.init.origin import given, installed_from, recorded
from tests.support import processes

COMMIT, DIGEST = "0123456789" * 4, "ab" * 32
GIT, WHEEL = "https://example.com/a/reconciler.git", "https://example.com/losant_reconciler-1.2.3-py3-none-any.whl"
COMMITTED = f"losant-reconciler @ git+{GIT}@{COMMIT}"


def vcs(**more: str) -> dict[str, Any]:
    return {"vcs": "git", "commit_id": COMMIT, **more}


@pytest.mark.parametrize(
    ("record", "line", "is_source"),
    [
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
        ({"url": "file:///no/such/r", "dir_info": {"editable": True}}, "from a folder that only this machine has"),
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


class Clone:
    """A clone that this version could run from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "reconciler").mkdir(parents=True)
        (folder / "reconciler/code.py").write_text("new = 1\n")
        self("init", "-q", "-b", "main")
        self("add", "--all")
        self("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "begin")

    def __call__(self, *arguments: str) -> str:
        return processes.run(["git", "-C", self.folder, *arguments], check=True).stdout.strip()

    def of(self, url: str) -> Clone:
        self("remote", "add", "origin", url)
        self("update-ref", "refs/remotes/origin/main", "HEAD")
        return self

    @property
    def record(self) -> str:
        return json.dumps({"url": self.folder.as_uri(), "dir_info": {"editable": True}})


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "a clone")


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        (GIT, GIT),
        ("git@example.com:a/reconciler.git", "ssh://git@example.com/a/reconciler.git"),
        ("ssh://git@example.com/reconciler", "ssh://git@example.com/reconciler"),
        ("ssh://git@example.com:2222/reconciler", "ssh://git@example.com:2222/reconciler"),
    ],
)
def test_a_clone_is_the_commit_that_is_checked_out(clone: Clone, url: str, reached: str) -> None:
    (clone.folder / "notes.txt").write_text("not installed\n")
    found = recorded(clone.of(url).record, "1.2.3")
    assert found == (f"losant-reconciler @ git+{reached}@{clone('rev-parse', 'HEAD')}", True)


def _changed(clone: Clone) -> None:
    (clone.of(GIT).folder / "reconciler/code.py").write_text("new = 2\n")


def _added(clone: Clone) -> None:
    (clone.of(GIT).folder / "reconciler/more.py").write_text("new = 2\n")
    clone("config", "status.showUntrackedFiles", "no")


def _unpushed(clone: Clone) -> None:
    clone.of(GIT)("update-ref", "-d", "refs/remotes/origin/main")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_changed, "has changes that are not committed"),
        (_added, "has changes that are not committed"),
        (_unpushed, "has a commit that no remote has"),
        (lambda clone: clone.of("/srv/reconciler.git"), "was cloned from a folder that only this machine has"),
        (lambda clone: clone.of("https://me:secret@example.com/r"), "holds a password or a token"),
        (lambda clone: shutil.rmtree(clone.folder / ".git"), "from a folder that only this machine has"),
        (lambda clone: shutil.rmtree(clone.folder), "from a folder that only this machine has"),
    ],
)
def test_a_clone_that_others_cannot_have_is_refused(clone: Clone, spoil: Callable[[Clone], object], told: str) -> None:
    spoil(clone)
    with pytest.raises(UsageError, match=told) as raised:
        recorded(clone.record, "1.2.3")
    assert "--install" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_what_runs_here_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "losant_reconciler-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: losant-reconciler\nVersion: 1.2.3\n")
    (info / "direct_url.json").write_text(json.dumps({"url": GIT, "vcs_info": vcs()}))
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_from().line == COMMITTED


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hash of version 1.2.3, the only one that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "losant_reconciler-1.2.3-py3-none-any.whl"
    info = "losant_reconciler-1.2.3.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: losant-reconciler\nVersion: 1.2.3\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_released_version_is_installed_by_its_hash(index: str) -> None:
    line = f"losant-reconciler==1.2.3 --hash=sha256:{index}"
    assert recorded(None, "1.2.3") == given("losant-reconciler==1.2.3") == (line, False)
    with pytest.raises(UsageError, match=r"pip finds no wheel of losant-reconciler 1\.2\.4"):
        given("losant-reconciler==1.2.4")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (f"losant-reconciler==1.2.3rc1#sha256={DIGEST}", f"losant-reconciler==1.2.3rc1 --hash=sha256:{DIGEST}"),
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
        "losant-reconciler==1.0#sha256=abc",
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
