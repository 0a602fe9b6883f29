"""Bytes to text that both YAML parsers take alike."""

from __future__ import annotations

import re

from reconciler.errors import Problem

_UTF16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
# What YAML does not allow unescaped, a byte order mark anywhere but at the start (libyaml and PyYAML differ there), and
# the line breaks of YAML 1.1 that are none to YAML 1.2 nor to editors: they would put every place below them off.
_NOT_YAML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def decode(data: bytes, path: str) -> str | Problem:
    """The text of a file, or the first thing in it that is none."""
    if data.startswith(_UTF16_32):
        return Problem("the file is not UTF-8 but UTF-16 or UTF-32", path, 1, 1, hint="save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = _line_and_column(before)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return Problem(message, path, line, column, hint="save the file as UTF-8")
    if found := _NOT_YAML.search(text):
        line, column = _line_and_column(text[: found.start()])
        message = f"character U+{ord(found[0]):04X} may not stand in a YAML file"
        return Problem(message, path, line, column, hint="remove it, or write it as an escape in double quotes")
    return text


def _line_and_column(before: str) -> tuple[int, int]:
    start = max(before.rfind("\n"), before.rfind("\r")) + 1
    return len(re.findall("\r\n|\r|\n", before)) + 1, len(before) - start + 1
