"""Plans and results back from files."""

from __future__ import annotations

from pathlib import Path

from reconciler.documents.json import RepeatedKey, load
from reconciler.documents.result import SAVING, Ended, read_results
from reconciler.documents.saved_plan import read_plans
from reconciler.errors import UsageError
from reconciler.model.plan import Plan


def load_plans(path: str) -> tuple[Plan, ...]:
    """The plans of a saved file, to be carried out: of this very format, with no key that is not known."""
    return read_plans(_read(path), path=path)


def load_saved(path: str) -> tuple[Plan, ...] | Ended:
    """The plans or results of a saved file, to be shown."""
    data = _read(path)
    if isinstance(data, dict) and "results" in data:
        return read_results(data, path=path, later=True)
    return read_plans(data, path=path, later=True)


def _read(path: str) -> object:
    try:
        return load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint=SAVING) from None
    except RepeatedKey:
        raise UsageError(
            f"{path} holds a key twice in one object: the file was edited or damaged", hint=SAVING
        ) from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise UsageError(f"{path} is neither a plan nor a result: it is not JSON", hint=SAVING) from None
