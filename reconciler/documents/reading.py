"""A saved document back from data that anybody may have edited: shape checked, what is wrong told with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reconciler.documents.json import FORMAT_VERSION
from reconciler.documents.parts import OWN
from reconciler.errors import ManifestError, Problem

T = TypeVar("T")

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be text",
    "string_too_short": "must be text",
    "string_unicode": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be a whole number",
    "float_type": "must be a number",
}


class Misshapen(Exception):
    """What is wrong, and where in the document."""


def wrong(message: str, *place: str | int) -> Misshapen:
    """The error that a value is wrong; its place is told as `plans[0].summary.add`."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return Misshapen(f"{where.removeprefix('.') or 'the document'} {message}")


@contextmanager
def told(path: str | None, hint: str) -> Iterator[None]:
    """What is wrong with a document as the error that its file has."""
    try:
        yield
    except Misshapen as error:
        raise ManifestError([Problem(str(error), path=path, hint=hint)]) from None


def headed(data: object, *, later: bool) -> Mapping[str, Any]:
    """The document's object, its format known. With `later` it may be of a later minor version, as `1.4`."""
    if not isinstance(data, dict):
        raise wrong("must be an object")
    if "format_version" not in data:
        raise wrong("is missing", "format_version")
    version = data["format_version"]
    known = version == FORMAT_VERSION or (later and isinstance(version, str) and re.fullmatch(r"1\.[0-9]+", version))
    if not known:
        raise Misshapen(f'format_version is {version!r}; this version of reconciler reads "{FORMAT_VERSION}"')
    return {**data, "format_version": FORMAT_VERSION}


def checked(part: type[T], data: Mapping[str, Any], *at: str | int, later: bool) -> T:
    """Data as a document, or as a part of one; the first thing that is wrong is told.

    With `later`, unknown keys are left out.
    """
    try:
        made: T = _adapter(cast("Any", part), later).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise wrong(_words(first), *at, *first["loc"]) from None
    return made


@cache
def _adapter(part: Any, later: bool) -> TypeAdapter[Any]:  # noqa: FBT001 - a key
    """Pydantic takes no configuration beside a TypedDict, but hands that of what surrounds it down to all parts."""
    return TypeAdapter(part | None, config=ConfigDict(extra="ignore" if later else "forbid", strict=True))


def _words(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == OWN:
        return error["msg"]
    if kind in ("enum", "literal_error"):
        return f"must be one of {error['ctx']['expected']}".replace("'", "").replace(" or ", ", ")
    return _WORDS.get(kind, f"is not as expected ({kind})")
