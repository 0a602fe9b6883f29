"""Write anew what rollouts look like: `python -m tests.render.rewrite_rollouts`, then read the diff."""

from __future__ import annotations

from datetime import date
from unittest.mock import patch

from tests.render.test_rollouts import CASES, WORLDS, file_of, golden


def main() -> None:
    """Rewrite each case."""
    CASES.mkdir(exist_ok=True)
    with patch("reconciler.render.rollouts.pins.utc_today", lambda: date(2026, 3, 2)):
        for name in WORLDS:
            file_of(name).write_text(golden(name), "utf-8")


if __name__ == "__main__":
    main()
