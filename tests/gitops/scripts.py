"""The workflow's scripts as modules. They find one another by the folder that they are run from."""

import importlib
import sys
from typing import Any

from tests.gitops.steps import PROJECT

FOLDER = PROJECT / ".github/scripts"


def script(name: str) -> Any:
    """One of them, from the last place that is looked at, so that it hides nothing."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    module = importlib.import_module(name)
    assert module.__file__ == str(FOLDER / f"{name}.py"), f"another {name} is in the way"
    return module
