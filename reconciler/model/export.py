"""The file that an export leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

FileType: TypeAlias = Literal["zip", "gzip", "wasm", "other"]


class Module(NamedTuple):
    """One file. `name` is untrusted, and empty where the file is not in an archive; `size` is that when unpacked."""

    name: str
    size: int
    wasm: bool


class ExportedFile(NamedTuple):
    """A file that was saved: where, how large, its SHA-256 in hex, what it is, what it holds."""

    path: str
    size: int
    sha256: str
    type: FileType
    modules: Sequence[Module]
