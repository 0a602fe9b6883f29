"""Checked reading of saved documents, which anybody may have edited; errors give the place in the document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar, cast

from pydantic_core import ErrorDetails, SchemaValidator, ValidationError

from reconciler.documents.json import FORMAT_VERSION
from reconciler.documents.shape import OWN, PATTERNS, shape, tolerant
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
    """The document is malformed; the message says what is wrong, and where."""


def wrong(message: str, *place: str | int) -> Misshapen:
    """The error for a wrong value; its place is shown as `plans[0].summary.add`."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return Misshapen(f"{where.removeprefix('.') or 'the document'} {message}")


@contextmanager
def reported(path: str | None, hint: str) -> Iterator[None]:
    """Raise what is wrong with a document as an error about its file."""
    try:
        yield
    except Misshapen as error:
        raise ManifestError([Problem(str(error), path=path, hint=hint)]) from None


def headed(data: object, *, later: bool) -> Mapping[str, Any]:
    """The document, its format version checked. `later` allows later minor versions, such as `1.4`."""
    if not isinstance(data, dict):
        raise wrong("must be an object")
    if "format_version" not in data:
        raise wrong("is missing", "format_version")
    version = data["format_version"]
    known = version == FORMAT_VERSION or (later and isinstance(version, str) and re.fullmatch(r"1\.[0-9]+", version))
    if not known:
        raise Misshapen(f'format_version is {version!r}; this version of reconciler reads "{FORMAT_VERSION}"')
    return {**data, "format_version": FORMAT_VERSION}


def checked(kind: type[T], data: object, *at: str | int, later: bool) -> T:
    """Validate a document, or a part of one, and make its value; raises the first error.

    With `later`, unknown keys are ignored.
    """
    try:
        made: T = _validator(cast("Any", kind), later).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = [first["ctx"]["key"]] if first["type"] == OWN else []
        raise wrong(_words(first), *at, *first["loc"], *key) from None
    return made


@cache
def _validator(kind: Any, later: bool) -> SchemaValidator:  # noqa: FBT001 - a key
    return SchemaValidator(tolerant(shape(kind)) if later else shape(kind))


def _words(error: ErrorDetails) -> str:
    match error["type"]:
        case "own":
            return error["msg"]
        case "string_pattern_mismatch":
            return PATTERNS[error["ctx"]["pattern"]]
        case "enum" | "literal_error":
            return f"must be one of {error['ctx']['expected']}".replace("'", "").replace(" or ", ", ")
        case kind:
            return _WORDS.get(kind, f"is not as expected ({kind})")
