"""Files that are promised: whole or absent, in place only where that cannot be helped; and reading has a bound."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from reconciler.files import TooLarge, WholeFile, read_bounded
from tests.support.waiting import join


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_nothing_is_there_before_it_is_whole(folder: Path) -> None:
    with WholeFile("plan.json") as file:
        assert not Path("plan.json").exists()
        file.write("whole é\n")
    assert Path("plan.json").read_bytes() == "whole é\n".encode()
    assert [path.name for path in folder.iterdir()] == ["plan.json"]


def test_what_is_not_written_leaves_nothing_behind(folder: Path) -> None:
    Path("plan.json").write_text("old")
    with pytest.raises(KeyboardInterrupt), WholeFile("plan.json"), WholeFile("new.json"):
        raise KeyboardInterrupt
    assert [path.name for path in folder.iterdir()] == ["plan.json"]
    assert Path("plan.json").read_text() == "old"


def test_a_disk_that_is_full_at_the_end_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("plan.json").write_text("old")
    file = WholeFile("plan.json")
    monkeypatch.setattr("reconciler.files._write_all", full)
    with pytest.raises(OSError, match="No space"):
        file.write("new")
    assert [path.name for path in folder.iterdir()] == ["plan.json"]
    assert Path("plan.json").read_text() == "old"


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o666])
def test_the_mode_of_what_is_replaced_stays(bits: int) -> None:
    Path("plan.json").write_text("old")
    Path("plan.json").chmod(bits)
    WholeFile("plan.json").write("new")
    assert mode("plan.json") == bits


def test_a_new_file_has_the_mode_that_the_umask_leaves(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        WholeFile("plan.json").write("new")
    finally:
        os.umask(before)
    assert mode("plan.json") == 0o640


def test_the_draft_has_a_name_that_nobody_guesses_and_follows_no_link(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for _ in range(20):
        with WholeFile("plan.json"):
            names |= {path.name for path in folder.iterdir()}
    assert len(names) == 20

    monkeypatch.setattr(os, "urandom", bytes)  # guessed all the same
    Path("victim").write_text("mine")
    Path(f".plan.json.{'00' * 8}.part").symlink_to("victim")
    with pytest.raises(FileExistsError):
        WholeFile("plan.json")
    assert Path("victim").read_text() == "mine"


def test_a_link_is_followed_to_the_file(folder: Path) -> None:
    Path("real.json").write_text("old")
    Path("link.json").symlink_to("real.json")
    WholeFile("link.json").write("new")
    assert Path("link.json").is_symlink()
    assert Path("real.json").read_text() == "new"


@pytest.mark.parametrize("path", ["no/where", "folder", "folder/", "", ".", "new/", "\0"])
def test_what_cannot_be_written_is_known_at_once(path: str, folder: Path) -> None:
    Path("folder").mkdir()
    with pytest.raises((OSError, ValueError)):
        WholeFile(path)
    assert [path.name for path in folder.iterdir()] == ["folder"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file that is mounted into a container."""

    def bound(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    Path("plan.json").write_text("an old one, and longer")
    monkeypatch.setattr(Path, "replace", bound)
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **_: bound() if path.name == "plan.json" else unlink(path))
    file = WholeFile("plan.json")
    file.forget_old()
    assert Path("plan.json").read_text() == ""
    file.write("new")
    assert file.in_place
    assert Path("plan.json").read_text() == "new"
    assert [path.name for path in folder.iterdir()] == ["plan.json"]


def test_a_file_in_a_folder_that_takes_no_draft_is_written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("plan.json").write_text("an old one, and longer")
    opened = os.open

    def closed(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", closed)
    with pytest.raises(PermissionError):
        WholeFile("new.json")
    file = WholeFile("plan.json")
    file.write("new")
    assert file.in_place
    assert Path("plan.json").read_text() == "new"


def test_a_pipe_takes_it_as_it_comes() -> None:
    os.mkfifo("pipe")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text()))
    reader.start()
    file = WholeFile("pipe")
    file.forget_old()
    file.write("x" * 300_000)
    join(reader)
    assert file.in_place
    assert got == ["x" * 300_000]
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


@pytest.mark.parametrize("replaceable", [True, False])
def test_of_many_writers_one_leaves_its_whole_document(monkeypatch: pytest.MonkeyPatch, *, replaceable: bool) -> None:
    def bound(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    Path("result.json").write_text("")
    if not replaceable:
        monkeypatch.setattr(Path, "replace", bound)
    files = [WholeFile("result.json") for _ in range(8)]
    texts = [str(number) * (1 + number) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=file.write, args=(text,)) for file, text in zip(files, texts, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        join(thread)
    assert Path("result.json").read_text() in texts


def test_reading_has_a_bound() -> None:
    Path("small").write_bytes(b"12345678")
    assert read_bounded("small", 8) == b"12345678"
    with pytest.raises(TooLarge):
        read_bounded("small", 7)
    with pytest.raises(TooLarge, match="larger than 2 MiB"):
        read_bounded("/dev/zero", 2 << 20)
