"""What others can get of this version: the commit that is checked out in a clone, the wheel that an index has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.manifest.git.command import GitFailed, git

_INSTALLED = ("reconciler", "pyproject.toml", "requirements")  # what a pipeline would get
_SCP = re.compile(r"(?a)([\w.-]+@[\w.-]+):(?!//)([\w.~/-]+)")
_ASK_S = 60


def checked_out(folder: Path, hint: str) -> tuple[str, str]:
    """The URL and the commit of a clone whose work tree runs here.

    Raises:
        UsageError: it is no clone, it has changes, or nobody else has its commit.
    """
    is_whole, changes, remote, url = False, "", "", ""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        is_whole = Path(_git(folder, "rev-parse", "--show-toplevel")) == folder.resolve()
        changes = _git(folder, "status", "--porcelain", "--untracked-files", "--", *_INSTALLED)
        bearers = _git(folder, "for-each-ref", "--contains", commit, "--format=%(refname:lstrip=2)", "refs/remotes")
        remotes = [name.partition("/")[0] for name in bearers.split()]
        remote = "origin" if "origin" in remotes else next(iter(remotes), "")
        url = _git(folder, "remote", "get-url", remote) if remote else ""
    except GitFailed:
        is_whole = False
    if not is_whole:
        raise UsageError("this version was installed from a folder that only this machine has", hint=hint)
    what = f"the clone {folder}, which this version runs from,"
    if changes:
        raise UsageError(f"{what} has changes that are not committed", hint=f"commit and push them, or {hint}")
    if not remote:
        raise UsageError(f"{what} has a commit that no remote has", hint=f"push it, or {hint}")
    if match := _SCP.fullmatch(url):
        return f"ssh://{match[1]}/{match[2]}", commit
    if "://" not in url:
        raise UsageError(f"{what} was cloned from a folder that only this machine has", hint=hint)
    return url, commit


def _git(folder: Path, *arguments: str) -> str:
    return git("-C", str(folder), *arguments).decode("utf-8", "replace").strip()


def published_sha256(requirement: str) -> str | None:
    """The hash of the wheel that pip finds for a requirement, as it is configured; None if it finds none."""
    asked = ("install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--report", "-")
    command = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", *asked, "--quiet", requirement]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=_ASK_S)  # noqa: S603
        (found,) = json.loads(done.stdout)["install"]
        return str(found["download_info"]["archive_info"]["hashes"]["sha256"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
