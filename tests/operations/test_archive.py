"""What an exported file holds, read without ever unpacking it to disk."""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.export import Module
from reconciler.operations.export.archive import Contents, NotDelivered, contents
from reconciler.simulator.api.export import wasm_module

WASM = wasm_module("bundle")


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def look(tmp_path: Path, data: bytes, **bounds: int) -> Contents:
    path = tmp_path / "file"
    path.write_bytes(data)
    found = contents(path, **bounds)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    return found


def test_a_zip_lists_its_modules_with_their_size_when_unpacked(tmp_path: Path) -> None:
    data = zipped(("a/one.wasm", WASM), ("two.wasm.gz", gzip.compress(WASM)), ("readme.txt", b"hello"), ("a/", b""))
    assert look(tmp_path, data) == Contents(
        "zip",
        (
            Module("a/one.wasm", len(WASM), wasm=True),
            Module("two.wasm.gz", len(WASM), wasm=True),
            Module("readme.txt", 5, wasm=False),
        ),
    )


def test_a_gzip_and_a_bare_module_and_something_else(tmp_path: Path) -> None:
    assert look(tmp_path, gzip.compress(WASM)) == Contents("gzip", (Module("", len(WASM), wasm=True),))
    assert look(tmp_path, gzip.compress(b"text")) == Contents("gzip", (Module("", 4, wasm=False),))
    assert look(tmp_path, WASM) == Contents("wasm", (Module("", len(WASM), wasm=True),))
    assert look(tmp_path, b'{"url": "https://example.com"}') == Contents("other", ())
    assert look(tmp_path, b"") == Contents("other", ())
    assert look(tmp_path, zipped()) == Contents("zip", ())


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/passwd", "C:\\evil", "a\\..\\evil", "c:evil", "a/./b", "a//b", "..", "/"]
)
def test_names_that_lead_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="points outside the archive"):
        look(tmp_path, zipped((name, WASM)))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="more than 1,000,000 bytes"):
        look(tmp_path, zipped(("bomb", b"\0" * 2_000_000)), unpacked=1_000_000)
    with pytest.raises(NotDelivered, match="more than 1,000,000 bytes"):
        look(tmp_path, zipped(*((f"part-{number}", b"\0" * 300_000) for number in range(4))), unpacked=1_000_000)
    with pytest.raises(NotDelivered, match="more than 1,000,000 bytes"):
        look(tmp_path, gzip.compress(b"\0" * 2_000_000), unpacked=1_000_000)
    with pytest.raises(NotDelivered, match="more than 1,000,000 bytes"):
        look(tmp_path, zipped(("inner.gz", gzip.compress(b"\0" * 2_000_000))), unpacked=1_000_000)
    with pytest.raises(NotDelivered, match="more than 10 files"):
        look(tmp_path, zipped(*((str(number), b"") for number in range(11))), members=10)


def _encrypted(data: bytes) -> bytes:
    at = data.index(b"PK\x01\x02")
    flags = struct.pack("<H", struct.unpack_from("<H", data, at + 8)[0] | 1)
    return data[: at + 8] + flags + data[at + 10 :]


def _linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return buffer.getvalue()


SOUND = zipped(("one.wasm", WASM * 50))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SOUND[:-10], "not a valid zip"),
        (lambda: SOUND[:60] + b"\xff\xff\xff" + SOUND[63:], "not a valid zip"),
        (lambda: SOUND[:100], "not a valid zip"),
        (lambda: b"PK\x03\x04", "not a valid zip"),
        (lambda: gzip.compress(WASM)[:-9], "not a valid gzip"),
        (lambda: gzip.compress(WASM)[:-8] + b"\0" * 8, "not a valid gzip"),
        (lambda: zipped(("x.gz", gzip.compress(WASM)[:-9])), "not a valid gzip"),
        (lambda: _encrypted(SOUND), "encrypted"),
        (_linked, "is a link"),
        (lambda: zipped(("one", WASM), method=zipfile.ZIP_LZMA), "uses a compression method"),
    ],
)
def test_damage(make: Callable[[], bytes], words: str, tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match=words):
        look(tmp_path, make())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="a duplicate"):
        look(tmp_path, zipped(("one", WASM), ("one", b"other")))


@given(st.binary(max_size=60), st.integers(0, len(SOUND) - 1), st.sampled_from([SOUND, gzip.compress(WASM * 9)]))
def test_no_bytes_at_all_make_it_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, base: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    with contextlib.suppress(NotDelivered):
        look(folder, base[:at] + noise + base[at + len(noise) :])
