"""The texts in the code, with `…` where a value is put in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "reconciler"


def literals() -> Iterator[str]:
    """Every string of the package. `{name}` in a text that is formatted later counts as a value, too."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" not in path.parts and "testing" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"\{[a-z_.]+\}", "…", node.value)
