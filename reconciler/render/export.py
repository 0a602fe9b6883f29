"""An exported file as text and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.render.inert import inert


class Module(Protocol):
    """One file of an export; the name is untrusted, the size that when unpacked."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def wasm(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was saved: where, how large, its SHA-256 in hex, `zip`, `gzip`, `wasm` or `other`, what it holds."""

    path: str
    size: int
    sha256: str
    type: str
    modules: Sequence[Module]


def file_text(file: ExportedFile) -> str:
    """One line for the file, one for each module with its size and whether it begins as WASM does."""
    lines = [f"{inert(file.path)}: {file.size} bytes, sha256 {file.sha256}, {file.type}"]
    names = [inert(module.name) or "(unpacked)" for module in file.modules]
    width = max(map(len, names), default=0)
    digits = max((len(str(module.size)) for module in file.modules), default=0)
    for name, module in zip(names, file.modules, strict=True):
        kind = "WASM" if module.wasm else "no WASM magic"
        lines.append(f"  {name.ljust(width)}  {str(module.size).rjust(digits)} bytes  {kind}")
    if file.type == "zip" and not file.modules:
        lines.append("  the archive is empty")
    return "\n".join(lines) + "\n"


def export_data(
    application_id: str, job_id: str | None, options: Mapping[str, object], file: ExportedFile | None
) -> dict[str, object]:
    """One element of the document's `exports`."""
    return {
        "application": application_id,
        "job_id": job_id,
        "options": dict(options),
        "file": _file_data(file) if file else None,
    }


def _file_data(file: ExportedFile) -> dict[str, object]:
    return {
        "path": file.path,
        "size": file.size,
        "sha256": f"sha256:{file.sha256}",
        "type": file.type,
        "modules": [{"name": one.name, "size": one.size, "wasm": one.wasm} for one in file.modules],
    }
