"""What a file is that git or a tool beside it left in a manifest's place: told as that, not as bad YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from reconciler.errors import Problem
from reconciler.manifest.files import LINKS_HINT, SUFFIXES

_DECRYPT = "decrypt it before, or keep manifests in plain text: they hold no secrets"
_BEGINNINGS = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "`git lfs pull`, or keep manifests out of LFS"),
    (b"version https://hawser.github.com/spec/", "a Git LFS pointer", "`git lfs pull`, or keep manifests out of LFS"),
    (b"\0GITCRYPT\0", "encrypted by git-crypt", "`git-crypt unlock`, or keep manifests in plain text"),
    (b"$ANSIBLE_VAULT;", "encrypted by Ansible Vault", _DECRYPT),
    (b"age-encryption.org/", "encrypted by age", _DECRYPT),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "encrypted by age", _DECRYPT),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted by PGP", _DECRYPT),
    (b"U2FsdGVkX1", "encrypted by OpenSSL, as transcrypt does", _DECRYPT),
)
_CONFLICT = rb"(?m)^<{7}(?: [^\r\n]*)?$|^>{7}(?: [^\r\n]*)?$"
_LINK = re.compile(rb"[^\s:#\[\]{}\"']{1,4095}")
_SHOWN = 60


def foreign(data: bytes, path: str) -> list[Problem]:
    """The problems of a file that is not what its author wrote; none if it may be a manifest."""
    for beginning, what, hint in _BEGINNINGS:
        if data.startswith(beginning):
            return [Problem(f"the file is {what}", path, 1, 1, hint)]
    if _LINK.fullmatch(data) and PurePosixPath(data.decode("utf-8", "replace")).suffix in SUFFIXES:
        target = data.decode("utf-8", "replace")
        return [Problem(f"the file is a symlink to {target} that was checked out as text", path, 1, 1, LINKS_HINT)]
    return list(_conflicts(data, path)) if b"<<<<<<<" in data or b">>>>>>>" in data else []


def _conflicts(data: bytes, path: str) -> Iterator[Problem]:
    """One for each conflict: at its opening mark, or at a closing one whose opening was removed."""
    is_open = False
    for mark in re.finditer(_CONFLICT, data.replace(b"\r\n", b"\n")):
        opens = mark[0].startswith(b"<")
        if opens or not is_open:
            line = mark.string.count(b"\n", 0, mark.start()) + 1
            text = mark[0].decode("utf-8", "replace")[:_SHOWN]
            yield Problem(
                f"a merge conflict is not resolved: {text}", path, line, 1, "resolve it, and remove the marks"
            )
        is_open = opens
