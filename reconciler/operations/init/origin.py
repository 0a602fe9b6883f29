"""Where this very version was installed from, as a line for pip, so that a pipeline installs the same.

The installer's own record says it: `direct_url.json`
(https://packaging.python.org/en/latest/specifications/direct-url/). A distribution without it came from an index, and
one that is the work tree of a clone is the commit that is checked out there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reconciler.errors import UsageError
from reconciler.operations.init.published import checked_out, published_sha256

NAME = "losant-reconciler"
_HINT = (
    "pass --install with a place that the pipeline can reach: git+https://HOST/PATH@<40 hex digits>, "
    f"https://HOST/FILE#sha256=<64 hex digits>, or {NAME}==VERSION once that is published"
)
# Nothing that pip, bash or YAML read in a way of their own: no space, quote, dollar, hash or backslash.
_REACHABLE = re.compile(r"(?a)(?:https|ssh)://[\w.~@:%+/-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(?a)\d[\w.!+-]*")
_FOLDER = re.compile(r"(?a)[\w.-]+(?:/[\w.-]+)*")

Record: TypeAlias = Mapping[str, Any]


class Origin(NamedTuple):
    """A line of a requirements file, and whether what it leads to has to be built first."""

    line: str
    is_source: bool


def installed_from() -> Origin:
    """The origin of the distribution that runs; UsageError if it is one that nobody else has."""
    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        raise UsageError("where this version was installed from is not recorded", hint=_HINT) from None
    return recorded(found.read_text("direct_url.json"), found.version)


def recorded(direct_url: str | None, version: str) -> Origin:
    """The origin by the installer's record, which is missing for a released version."""
    if direct_url is None:
        return _released(version, "")
    try:
        record = json.loads(direct_url)
        url = str(record["url"])
        if isinstance(vcs := record.get("vcs_info"), dict) and vcs.get("vcs") == "git":
            return _commit(url, str(vcs["commit_id"]), str(record.get("subdirectory") or ""))
        if isinstance(archive := record.get("archive_info"), dict):
            return _archive(url, _hash(archive))
        if (record.get("dir_info") or {}).get("editable") is True:
            return _commit(*checked_out(Path(url2pathname(urlsplit(url).path)), _HINT), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("the installer's record of the origin cannot be read", hint=_HINT) from None
    raise UsageError("this version was installed from a folder that only this machine has", hint=_HINT)


def given(spec: str) -> Origin:
    """The origin that somebody names: a released version, a commit, or a file with its hash."""
    place = re.sub(rf"^{NAME} ?@ ?", "", spec)
    if place.startswith(f"{NAME}=="):
        version, mark, digest = place.removeprefix(f"{NAME}==").partition("#sha256=")
        return _released(version, digest if mark else "")
    if place.startswith("git+"):
        url, _, commit = place.removeprefix("git+").rpartition("@")
        return _commit(url, commit, "")
    url, mark, digest = place.partition("#sha256=")
    if mark:
        return _archive(url, digest)
    raise UsageError("--install names neither a commit, nor a file with its hash, nor a version", hint=_HINT)


def _released(version: str, digest: str) -> Origin:
    if not _VERSION.fullmatch(version):
        raise UsageError("the version to install is not a version", hint=_HINT)
    if not (digest := digest or published_sha256(f"{NAME}=={version}") or ""):
        message = f"pip finds no wheel of {NAME} {version}, so its hash is not known"
        raise UsageError(message, hint=f"check the version, or write {NAME}=={version}#sha256=<64 hex digits>")
    return Origin(f"{NAME}=={version} --hash=sha256:{_sha256(digest, 'version')}", is_source=False)


def _commit(url: str, commit: str, folder: str) -> Origin:
    if not _COMMIT.fullmatch(commit):
        raise UsageError("the commit to install is not named by its full id", hint=_HINT)
    if folder and (not _FOLDER.fullmatch(folder) or ".." in folder.split("/")):
        raise UsageError("the folder of the project in its repository is not a plain one", hint=_HINT)
    inside = f"#subdirectory={folder}" if folder else ""
    return Origin(f"{NAME} @ git+{_reachable(url)}@{commit}{inside}", is_source=True)


def _archive(url: str, digest: str) -> Origin:
    is_source = not urlsplit(url).path.endswith(".whl")
    return Origin(f"{NAME} @ {_reachable(url)} --hash=sha256:{_sha256(digest, 'file')}", is_source)


def _sha256(digest: str, what: str) -> str:
    if not _SHA256.fullmatch(digest):
        raise UsageError(f"the {what} to install has no SHA-256 hash", hint=_HINT)
    return digest


def _hash(archive: Mapping[str, Any]) -> str:
    """`hashes`, or `hash` as older installers write it."""
    name, _, digest = str(archive.get("hash") or "").partition("=")
    return str((archive.get("hashes") or {}).get("sha256") or (digest if name == "sha256" else ""))


def _reachable(url: str) -> str:
    """A URL that leads somewhere from a pipeline, and holds no password."""
    if url.startswith("file:"):
        raise UsageError("this version was installed from a file that only this machine has", hint=_HINT)
    if not _REACHABLE.fullmatch(url):
        raise UsageError("the URL to install from is not a plain https or ssh one", hint=_HINT)
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if at and (url.startswith("https:") or ":" in user):
        raise UsageError("the URL to install from holds a password or a token", hint=_HINT)
    return url
