"""Reports as the jobs of a run leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.ci.reports import Report

DIGEST = "sha256:" + "ab" * 32


def one(number: int = 0, *, code: int = 2, changes: int = 1, folder: Path = Path(), **parts: Any) -> Report:
    """A report with that exit code, of the application with that number."""
    summary = {"add": changes, "update": 0, "remove": 0} if code in (0, 2, 3, 7) else {}
    digest = DIGEST if code in (0, 2, 3, 7) else ""
    values = {"application": f"{number:024x}", "name": f"plant-{number:03}", "kind": "embedded", "digest": digest}
    return Report(code=code, summary=summary, folder=folder, **{**values, **parts})


def in_sync() -> Path:
    """A new folder with the report of one application, of which nothing drifted."""
    folder = Path("reports/one")
    folder.mkdir(parents=True)
    replace(one(code=0, changes=0), folder=folder).save()
    return folder.parent
