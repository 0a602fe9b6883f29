"""Plans and results in files: written whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from reconciler.documents.json import dump
from reconciler.errors import UsageError, cannot_write


def save_text(path: str, text: str) -> None:
    """Write the file of `--out` whole or not at all: first beside it, then in its place. UsageError where that fails.

    What is not a plain file, such as a pipe, is written to as it is.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_text(text, encoding="utf-8")
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise cannot_write("--out", path, error) from None


def keep_inputs(what: str, path: str | None, inputs: Iterable[str]) -> None:
    """UsageError where an option names a file that this very run reads."""
    if path is not None and os.path.realpath(path) in map(os.path.realpath, inputs):
        raise UsageError(f"{what} {path} would overwrite a file that is read", hint="name another file")


class ResultFile:
    """`--result`: opened before anything is sent, written once at the end, whatever that was."""

    def __init__(self, path: str) -> None:
        """Open it; UsageError where that fails."""
        self._path = path
        try:
            self._file: IO[str] = open(path, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - `write` closes it
        except (OSError, ValueError) as error:
            raise cannot_write("--result", path, error) from None

    def write(self, data: Mapping[str, object]) -> None:
        """Write the document. UsageError where that fails, as on a full disk."""
        try:
            with self._file:
                self._file.write(dump(data) + "\n")
        except OSError as error:
            raise UsageError(f"--result {self._path} could not be written: {error.strerror or error}") from None
