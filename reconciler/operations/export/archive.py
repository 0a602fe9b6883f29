"""What an exported file holds: read from where it lies, in memory piece by piece, and never unpacked to disk."""

from __future__ import annotations

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model.export import FileType, Module

WASM_MAGIC = b"\0asm"
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # with a first file, and empty
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # whoever unpacks others may need gigabytes of memory
_ENCRYPTED = 0x1
_PIECE = 1 << 16
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class NotDelivered(ReconcilerError):
    """The job is queued, and no file of it was saved: none came, or it is damaged or dangerous to unpack."""

    exit_code = ExitCode.NOT_CONVERGED


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an archive may hold at most: bytes when unpacked, all together, and files."""

    unpacked: int = 1 << 30
    members: int = 10_000


class Contents(NamedTuple):
    """What a file is (`zip`, `gzip`, `wasm` or `other`) and, except for `other`, what it holds."""

    type: FileType
    modules: tuple[Module, ...]


def contents(path: Path, bounds: Bounds | None = None) -> Contents:
    """Look into a file; every byte of an archive is unpacked and checked, none is kept.

    Raises:
        NotDelivered: an archive that is damaged, too large when unpacked, or that holds what no export does.
    """
    allowance = _Allowance(bounds or Bounds())
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head in _ZIP_MAGICS:
            return Contents("zip", tuple(_zip_modules(file, allowance)))
        if head.startswith(_GZIP_MAGIC):
            return Contents("gzip", (_measured("", file, allowance),))
        if head == WASM_MAGIC:
            return Contents("wasm", (_measured("", file, allowance),))
    return Contents("other", ())


class _Allowance:
    """How many bytes may still be unpacked."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._left = bounds.unpacked

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise NotDelivered(
                f"the file would unpack to more than {self.bounds.unpacked:,} bytes, so it was not looked into",
                hint="no export is that large; it may be made to fill a disk",
            )


def _zip_modules(file: IO[bytes], allowance: _Allowance) -> Iterator[Module]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check(members, allowance.bounds)
            for member in members:
                if not member.is_dir():
                    with archive.open(member) as packed:
                        yield _measured(member.filename, packed, allowance)
    except _DAMAGE as error:
        raise _damaged("zip archive", error) from None


def _check(members: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    """Everything that shows without unpacking."""
    if len(members) > bounds.members:
        raise NotDelivered(f"the file holds more than {bounds.members:,} files", hint="no export holds that many")
    _Allowance(bounds).spend(sum(member.file_size for member in members))
    names: set[str] = set()
    for member in members:
        objections = {
            "leads out of the archive": _leads_out(member.orig_filename),
            "is there twice": member.filename in names,
            "is a link": stat.S_ISLNK(member.external_attr >> 16),
            "is encrypted": member.flag_bits & _ENCRYPTED,
            "is compressed in a way that no export is": member.compress_type not in _METHODS,
        }
        for reason, applies in objections.items():
            if applies:
                raise NotDelivered(f"the file is refused: in it, {member.orig_filename!r} {reason}")
        names.add(member.filename)


def _leads_out(name: str) -> bool:
    """Whether a name is anything but a plain path below the folder that it would be unpacked to, on any system."""
    parts = name.removesuffix("/").split("/")
    return any(part in ("", ".", "..") or re.search(r"[\\:\0]", part) for part in parts)


def _measured(name: str, packed: IO[bytes], allowance: _Allowance) -> Module:
    """Read a file to its end, through gzip where it is that."""
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
    reason = str(error) or "it breaks off"
    return NotDelivered(f"the file is not a sound {what}: {reason}", hint="try again in five minutes")
