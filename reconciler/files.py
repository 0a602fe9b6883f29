"""Files: read with a bound, written whole or not at all.

A file that is promised is written to a draft beside it, whose name nobody can guess, and renamed. Whoever reads it
finds the old one or the new one, and of two writers one wins. In place only where it cannot be replaced: a device, a
pipe, a file that is mounted, or one in a folder that takes no other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from types import TracebackType

_KEEP = {errno.EACCES, errno.EPERM, errno.EROFS}  # the folder takes no draft, but the file itself may be writable
_BOUND = {*_KEEP, errno.EBUSY, errno.EXDEV}  # the file cannot be replaced, as where it is mounted
_PIECE = 1 << 20
_WRITE = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


class TooLarge(ValueError):
    """A file is larger than anything that it could be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than {limit >> 20} MiB")


def read_bounded(path: str | Path, limit: int) -> bytes:
    """The content of a file, also of a pipe. `TooLarge` beyond `limit` bytes, of which few more are read; OSError."""
    pieces, size = [], 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a pipe, too
        while piece := file.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise TooLarge(limit)
    return b"".join(pieces)


class WholeFile:
    """A file that is to be written at the end, and whether that is possible is known from the beginning.

    It has the mode and the owner of the file that it replaces. `in_place`: it could not be replaced.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a draft, or the file itself if there can be none. OSError or ValueError if neither is possible."""
        self.in_place = False
        self._draft: Path | None = None
        if not os.path.basename(path):  # noqa: PTH119 - which pathlib would overlook
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        self._target = Path(os.path.realpath(path))
        self._replaced = _status(path)
        if self._replaced and not stat.S_ISREG(self._replaced.st_mode):
            self._file = self._opened_in_place(path)  # as it was given: `/dev/stdout` leads to no real path
            return
        try:
            self._file = self._opened_draft()
        except OSError as error:
            if not self._replaced or error.errno not in _KEEP:
                raise
            self._file = self._opened_in_place(self._target)

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the draft of a file that was not written."""
        self._discard()

    def forget_old(self) -> None:
        """Remove, or else empty, what is to be replaced: if this process is killed, nobody takes it for the new one."""
        if not self._replaced or not stat.S_ISREG(self._replaced.st_mode):
            return
        with contextlib.suppress(OSError):
            if self._draft:
                self._target.unlink()
                return
        with contextlib.suppress(OSError):
            os.truncate(self._target, 0)

    def write(self, text: str | bytes, *, last_look: Callable[[], None] | None = None) -> None:
        """Write the whole file. OSError if that fails; then the old one is still there, but for one in place.

        `last_look` is called just before the old one goes, and may raise to keep it.
        """
        data = text.encode("utf-8") if isinstance(text, str) else text
        look = last_look or (lambda: None)
        try:
            if self._draft is None:
                look()
                _write_in_place(self._file, data)
                return
            _write_all(self._file, data)
            self._file.close()
            look()
            try:
                self._draft.replace(self._target)
            except OSError as error:
                if error.errno not in _BOUND:
                    raise
                with self._opened_in_place(self._target) as file:
                    _write_in_place(file, data)
            else:
                self._draft = None
        finally:
            self._discard()

    def _opened_draft(self) -> FileIO:
        draft = self._target.with_name(f".{self._target.name[:100]}.{os.urandom(8).hex()}.part")
        mode = self._replaced.st_mode & 0o777 if self._replaced else 0o666  # the latter without the umask's bits
        file = FileIO(os.open(draft, _WRITE | os.O_CREAT | os.O_EXCL, mode), "w")
        self._draft = draft
        if self._replaced and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # only root may give a file away
                os.fchown(file.fileno(), self._replaced.st_uid, self._replaced.st_gid)
            os.fchmod(file.fileno(), mode)
        return file

    def _opened_in_place(self, path: str | Path) -> FileIO:
        self.in_place = True
        return FileIO(os.open(path, _WRITE), "w")

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._draft:
            with contextlib.suppress(OSError):
                self._draft.unlink(missing_ok=True)
            self._draft = None


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - as it was given
    except FileNotFoundError:
        return None


def _write_in_place(file: FileIO, data: bytes) -> None:
    """Two processes that write in place do so one after the other."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        with contextlib.suppress(ImportError, OSError):
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        file.truncate(0)
    _write_all(file, data)


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
