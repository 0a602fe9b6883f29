"""An export, as `export` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict

from reconciler.documents.parts import Count, Digest, Document
from reconciler.model.export import ExportedFile, FileType


class ModulePart(TypedDict):
    """A file in an export; its size is that when unpacked, its name is empty where there is no archive."""

    name: str
    size: Count
    wasm: bool


class FilePart(TypedDict):
    """An exported file that was received and saved."""

    path: str
    size: Count
    sha256: Digest
    type: FileType
    modules: list[ModulePart]


class ExportPart(TypedDict):
    """An export that Losant took; `options` are the body that was sent, `file` is null where none was received."""

    application: str
    job_id: str | None
    options: dict[str, str | int | bool]
    file: FilePart | None


class ExportDocument(Document):
    """What `export` writes. `exports` is empty where Losant took none, or where that is not known."""

    command: Literal["export"]
    exports: list[ExportPart]


def export_part(
    application_id: str, job_id: str | None, options: Mapping[str, Any], file: ExportedFile | None
) -> ExportPart:
    """One element of the document's `exports`."""
    return {
        "application": application_id,
        "job_id": job_id,
        "options": dict(options),
        "file": _file(file) if file else None,
    }


def _file(file: ExportedFile) -> FilePart:
    return {
        "path": file.path,
        "size": file.size,
        "sha256": f"sha256:{file.sha256}",
        "type": file.type,
        "modules": [{"name": one.name, "size": one.size, "wasm": one.wasm} for one in file.modules],
    }
