"""The API's field names, and how its bodies are parsed.

Only this module knows `desiredVersion` and `currentVersion`; everywhere else they are `released` and `reported`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

RELEASED: Final = "desiredVersion"
REPORTED: Final = "currentVersion"
RELEASED_BUNDLE: Final = "desiredBundleVersion"
REPORTED_BUNDLE: Final = "currentBundleVersion"

_CONTAINERS, _BYTES_EACH = 100_000, 8
"""Lists and objects that any body may have, and how many bytes there must be for each further one."""
_HARMLESS = 2 * 1024 * 1024  # bytes; most pages are smaller, and need no counting


class Unreadable(Exception):
    """A body that does not have the API's format; the message says why without quoting it."""


class Missing(Unreadable):
    """A record without an identifying field, or a duplicate: the listing cannot be trusted to be complete."""


def parse_strictly(body: bytes) -> object:
    """Parse JSON without Python's leniency: no duplicate keys, NaN, lone surrogates or unbounded depth."""
    _check_density(body)
    try:
        text = body.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Unreadable("the response is not UTF-8 text") from None
    except UnicodeEncodeError:
        raise Unreadable("the response contains a lone surrogate") from None
    except RecursionError:
        raise Unreadable("the response is nested too deeply") from None
    except ValueError:
        raise Unreadable(_not_json(body)) from None
    return data


def _check_density(body: bytes) -> None:
    """Refuse a body that is hardly more than brackets: each takes 60 bytes or more, however short its text."""
    if len(body) > _HARMLESS and body.count(b"[") + body.count(b"{") > _CONTAINERS + len(body) // _BYTES_EACH:
        raise Unreadable("the response has more lists and objects than text")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("the response has a duplicate key in an object")
    return made


def _no_constant(name: str) -> object:
    raise Unreadable(f"the response contains {name}, which is not valid JSON")


def _not_json(body: bytes) -> str:
    head = body[:200].lstrip().lower()
    if not head:
        return "the response is empty"
    return "the response is HTML" if head.startswith((b"<!doctype html", b"<html")) else "the response is not JSON"


def parse_quickly(body: bytes) -> object:
    """Like `parse_strictly`, but much faster, for pages of listings. The last of duplicate keys wins."""
    _check_density(body)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        parse_strictly(body)  # says what is wrong
        raise Unreadable(_not_json(body)) from None


def envelope(data: object) -> tuple[list[Any], int, int | None]:
    """`items`, `totalCount` and the echoed `perPage` of a listing."""
    if not isinstance(data, Mapping):
        raise Unreadable("the response is not a JSON object")
    items, total, per_page = data.get("items"), data.get("totalCount"), data.get("perPage")
    if not isinstance(items, list):
        raise Unreadable("the response has no list of items")
    if type(total) is not int or total < 0:
        raise Unreadable("the response has no totalCount")
    if isinstance(per_page, str) and per_page.isascii() and per_page.isdigit():
        per_page = int(per_page[:9])  # the echo may be text, like the parameter
    if per_page is not None and (type(per_page) is not int or per_page <= 0):
        raise Unreadable("the response's perPage is not a positive number")
    return items, total, per_page
