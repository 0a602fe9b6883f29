"""An export, and the file received from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeAlias

from reconciler.model.state import Count, Digest

FileType: TypeAlias = Literal["zip", "gzip", "wasm", "other"]


class Module(NamedTuple):
    """One module. `name` is untrusted, and empty if it was not in an archive; `size` is the unpacked size."""

    name: str
    size: Count
    wasm: bool


class ExportedFile(NamedTuple):
    """A saved file: its path, size, hash (`sha256:` and hex digits), type and modules."""

    path: str
    size: Count
    sha256: Digest
    type: FileType
    modules: tuple[Module, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A queued job: its id, if the API sent one, the request body, and the file, if it was received."""

    application: str
    job_id: str | None
    options: Annotated[Mapping[str, object], "options"]
    file: ExportedFile | None = None
