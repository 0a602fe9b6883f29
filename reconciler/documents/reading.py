"""A saved document back from data that anybody may have edited: checked, what is wrong reported with its place."""

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
    """What is wrong, and where in the document."""


def wrong(message: str, *place: str | int) -> Misshapen:
    """The error that a value is wrong; its place is shown as `plans[0].summary.add`."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return Misshapen(f"{where.removeprefix('.') or 'the document'} {message}")


@contextmanager
def reported(path: str | None, hint: str) -> Iterator[None]:
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


def checked(kind: type[T], data: object, *at: str | int, later: bool) -> T:
    """The value that a document, or a part of one, is; the first thing that is wrong is raised.

    With `later`, unknown keys are left out.
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
