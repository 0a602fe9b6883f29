"""The workflow's scripts as modules. They find one another by the folder that they are run from."""

import importlib
import sys
from pathlib import Path
from typing import Any

from tests.gitops.steps import PROJECT

FOLDER = PROJECT / ".github/scripts"
DIGEST = "sha256:" + "ab" * 32


def script(name: str) -> Any:
    """One of them, from the last place that is looked at, so that it hides nothing."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    module = importlib.import_module(name)
    assert module.__file__ == str(FOLDER / f"{name}.py"), f"another {name} is in the way"
    return module


def one(number: int = 0, *, code: int = 2, changes: int = 1, folder: Path = Path(), **parts: Any) -> Any:
    """A report with that exit code, of the application with that number."""
    summary = {"add": changes, "update": 0, "remove": 0} if code in (0, 2, 3) else {}
    digest = DIGEST if code in (0, 2, 3) else ""
    values = {"application": f"{number:024x}", "name": f"plant-{number:03}", "kind": "embedded", "digest": digest}
    return script("report").Report(code=code, summary=summary, folder=folder, **{**values, **parts})
