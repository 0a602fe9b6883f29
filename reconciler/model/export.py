"""An export, and the file that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeAlias

from reconciler.model.state import Count, Digest

FileType: TypeAlias = Literal["zip", "gzip", "wasm", "other"]


class Module(NamedTuple):
    """One file. `name` is untrusted, and empty where the file is not in an archive; `size` is that when unpacked."""

    name: str
    size: Count
    wasm: bool


class ExportedFile(NamedTuple):
    """A file that was saved: where, how large, `sha256:` and its hash in hex, what it is, what is in it."""

    path: str
    size: Count
    sha256: Digest
    type: FileType
    modules: tuple[Module, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A job that was queued: its id, if the API sent one, the body of the request, and the file, if it was received."""

    application: str
    job_id: str | None
    options: Annotated[Mapping[str, object], "options"]
    file: ExportedFile | None = None
