"""Renders an exported file as text."""

from __future__ import annotations

from reconciler.model.export import ExportedFile
from reconciler.render.inert import inert


def file_text(file: ExportedFile) -> str:
    """One line for the file, and one for each module with its size and whether it has the WASM magic."""
    lines = [f"{inert(file.path)}: {file.size} bytes, {file.sha256.replace(':', ' ')}, {file.type}"]
    names = [inert(module.name) or "(unpacked)" for module in file.modules]
    width = max(map(len, names), default=0)
    digits = max((len(str(module.size)) for module in file.modules), default=0)
    for name, module in zip(names, file.modules, strict=True):
        kind = "WASM" if module.wasm else "no WASM magic"
        lines.append(f"  {name.ljust(width)}  {str(module.size).rjust(digits)} bytes  {kind}")
    if file.type == "zip" and not file.modules:
        lines.append("  the archive is empty")
    return "\n".join(lines) + "\n"
