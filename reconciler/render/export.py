"""An exported file as text and as data."""

from __future__ import annotations

from reconciler.operations.export.run import Export, ExportedFile
from reconciler.render.inert import inert


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


def export_data(export: Export) -> dict[str, object]:
    """One element of the document's `exports`."""
    return {
        "application": export.application_id,
        "job_id": export.job_id,
        "options": dict(export.options),
        "file": _file_data(export.file) if export.file else None,
    }


def _file_data(file: ExportedFile) -> dict[str, object]:
    return {
        "path": file.path,
        "size": file.size,
        "sha256": f"sha256:{file.sha256}",
        "type": file.type,
        "modules": [{"name": one.name, "size": one.size, "wasm": one.wasm} for one in file.modules],
    }
