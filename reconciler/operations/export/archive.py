"""Inspects the contents of an exported file in place, in small chunks, without unpacking it to disk."""

from __future__ import annotations

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model.export import FileType, Module

WASM_MAGIC = b"\0asm"
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # a non-empty and an empty archive
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # unpacking others may need gigabytes of memory
_ENCRYPTED = 0x1
_PIECE = 1 << 16
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class NotDelivered(ReconcilerError):
    """The job is queued, but no file was saved: none arrived, or it is damaged or dangerous to unpack."""

    exit_code = ExitCode.NOT_CONVERGED


class Contents(NamedTuple):
    """The type of a file (`zip`, `gzip`, `wasm` or `other`) and, except for `other`, its modules."""

    type: FileType
    modules: tuple[Module, ...]


def contents(path: Path, *, unpacked: int = 1 << 30, members: int = 10_000) -> Contents:
    """Inspect a file; every byte of an archive is unpacked and checked, but none is kept.

    Args:
        path: the path of the file.
        unpacked: maximum total size of its contents in bytes when unpacked.
        members: maximum number of files in it.

    Raises:
        NotDelivered: the archive is damaged, too large when unpacked, or has contents that no export has.
    """
    allowance = _Allowance(unpacked)
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head in _ZIP_MAGICS:
            return Contents("zip", tuple(_zip_modules(file, allowance, members)))
        if head.startswith(_GZIP_MAGIC):
            return Contents("gzip", (_measured("", file, allowance),))
        if head == WASM_MAGIC:
            return Contents("wasm", (_measured("", file, allowance),))
    return Contents("other", ())


class _Allowance:
    """Limits the number of bytes that may be unpacked."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = most

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise NotDelivered(
                f"the file would unpack to more than {self.most:,} bytes, so it was not inspected",
                hint="no export is that large; it may be an archive bomb",
            )


def _zip_modules(file: IO[bytes], allowance: _Allowance, most: int) -> Iterator[Module]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > most:
                raise NotDelivered(f"the file contains more than {most:,} files", hint="no export contains that many")
            _check(members, _Allowance(allowance.most))
            for member in members:
                if not member.is_dir():
                    with archive.open(member) as packed:
                        yield _measured(member.filename, packed, allowance)
    except _DAMAGE as error:
        raise _damaged("zip archive", error) from None


def _check(members: list[zipfile.ZipInfo], allowance: _Allowance) -> None:
    """Check everything that can be checked without unpacking."""
    allowance.spend(sum(member.file_size for member in members))
    names: set[str] = set()
    for member in members:
        objections = {
            "points outside the archive": _leads_out(member.orig_filename),
            "is a duplicate": member.filename in names,
            "is a link": stat.S_ISLNK(member.external_attr >> 16),
            "is encrypted": member.flag_bits & _ENCRYPTED,
            "uses a compression method that exports do not use": member.compress_type not in _METHODS,
        }
        for reason, applies in objections.items():
            if applies:
                raise NotDelivered(f"the file is refused: its member {member.orig_filename!r} {reason}")
        names.add(member.filename)


def _leads_out(name: str) -> bool:
    """Whether a name is not a plain path below the folder that it would be unpacked to, on any system."""
    parts = name.removesuffix("/").split("/")
    return any(part in ("", ".", "..") or re.search(r"[\\:\0]", part) for part in parts)


def _measured(name: str, packed: IO[bytes], allowance: _Allowance) -> Module:
    """Read a file to its end, decompressing gzip."""
    size, head = 0, b""
    first = packed.read(2)
    packed.seek(0)
    try:
        with gzip.GzipFile(fileobj=packed) if first == _GZIP_MAGIC else packed as plain:
            while piece := plain.read(_PIECE):
                size += len(piece)
                head = head or piece[:4]
                allowance.spend(len(piece))
    except _DAMAGE as error:
        if first != _GZIP_MAGIC:
            raise
        raise _damaged("gzip file", error) from None
    return Module(name, size, wasm=head == WASM_MAGIC)


def _damaged(what: str, error: Exception) -> NotDelivered:
    reason = str(error) or "it is truncated"
    return NotDelivered(f"the file is not a valid {what}: {reason}", hint="try again in five minutes")
