"""Annotations for what `validate --format json` found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import job


def main() -> None:
    """Takes the path of the document on the command line."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    problems = (document["error"] or {}).get("problems", [])
    job.annotate("error", problems)
    job.annotate("warning", document.get("warnings", []))
    listed = document.get("applications", [])
    print(f"{len(problems)} problems" if problems else f"{len(listed)} applications, no problems")


if __name__ == "__main__":
    main()
