"""Pydantic schemas of the model's types: which JSON data is valid, and the value made from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin, is_typeddict

from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core import core_schema as core

from reconciler.documents.values import RowKey, is_object, keys, optional
from reconciler.errors import ExitCode
from reconciler.model.state import Place

OWN = "own"  # the type of errors raised here, which bring their own message
_made_by = core.no_info_after_validator_function
_STR, _INT, _BOOL = core.str_schema(strict=True), core.int_schema(strict=True), core.bool_schema(strict=True)


def _text(checked: str | None = None, /, **published: str) -> CoreSchema:
    """Non-empty text that matches a pattern, and the constraints published in the schema, which may be looser."""
    return core.str_schema(strict=True, min_length=1, pattern=checked, metadata=dict(published))


_DIGEST = "^sha256:[0-9a-f]{64}$"
_ID = "^[0-9A-Za-z_-]{1,64}$"  # goes into URLs
_PERCENT = r"^[0-9]{1,9}(\.[0-9]{1,99})?$"
_SOURCE = "^(?s:.+):[0-9]{1,9}$"
_WORD = "^[0-9a-z_-]{1,64}$"  # inert wherever it is shown
PATTERNS: Mapping[str, str] = {
    _DIGEST: "must be a digest",
    _ID: "must be an id",
    _PERCENT: "must be a decimal number as text",
    _SOURCE: "must be path:line",
    _WORD: "must be a word",
}
# By annotation, as in `Annotated[str, "id"]`.
_FORMS: Mapping[str, CoreSchema] = {
    "any": core.any_schema(),
    "count": core.int_schema(strict=True, ge=0),
    "digest": _text(_DIGEST, pattern=_DIGEST),
    "id": _text(_ID),
    "options": core.dict_schema(_STR, core.union_schema([_STR, _INT, _BOOL])),
    "source": _text(_SOURCE),
    "stated digest": _text(pattern=_DIGEST),
    "text": _text(),
    "text or null": _made_by(lambda text: text or "", core.nullable_schema(_STR)),
}


@cache
def shape(hint: Any) -> CoreSchema:
    """The pydantic schema of a model type."""
    kind, may_be_none = optional(hint)
    if may_be_none:
        return core.nullable_schema(shape(kind))
    if kind in _KINDS:
        return _KINDS[kind]
    if origin := get_origin(kind):
        return _GENERIC[origin](*get_args(kind))
    if issubclass(kind, StrEnum):
        return core.enum_schema(kind, list(kind), sub_type="str", strict=False)
    described = {"description": inspect.getdoc(kind)}
    known = core.typed_dict_schema(_fields(kind), extra_behavior="forbid", ref=kind.__name__, metadata=described)
    return known if is_typeddict(kind) else _made_by(partial(_made, kind), known)


def tolerant(schema: Any) -> Any:
    """The schema with unknown keys ignored instead of forbidden, and unknown words and numbers left as they are."""
    if isinstance(schema, list):
        return [tolerant(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    match schema.get("type"):
        case "enum":
            known = {str(one): one for one in schema["members"]}
            return _made_by(lambda word: known.get(word, word), _text(_WORD))
        case "literal":
            return _INT if isinstance(schema["expected"][0], int) else _text(_WORD)
    return {key: "ignore" if key == "extra_behavior" else tolerant(one) for key, one in schema.items()}


def _fields(kind: type) -> dict[str, core.TypedDictField]:
    fields: dict[str, core.TypedDictField] = {}
    for name, _, hint, may_lack in keys(kind):
        if may_lack:
            fields[name] = core.typed_dict_field(shape(optional(hint)[0]), required=False)
        elif get_origin(hint) is NotRequired:
            fields[name] = core.typed_dict_field(shape(get_args(hint)[0]), required=False)
        else:
            fields |= {name: core.typed_dict_field(shape(hint))} if name else _flat_fields(hint)
    return fields


def _flat_fields(hint: Any) -> dict[str, core.TypedDictField]:
    """The fields of an object, inlined into its owner: null, or an empty list, if there is no such object."""
    kind, may_be_none = optional(hint)
    if not may_be_none:
        return _fields(kind)
    hints = {key.name: key.hint if get_origin(key.hint) is tuple else key.hint | None for key in keys(kind)}
    return {name: core.typed_dict_field(shape(hint)) for name, hint in hints.items()}


def _made(kind: type, data: dict[str, Any]) -> Any:
    """Make the value. A key that is a property is either derived from fields, or an object with the fields' values."""
    values: dict[str, Any] = {}
    for name, attribute, hint, may_lack in keys(kind):
        value = (data.get(name) if may_lack else data[name]) if name else _gathered(hint, data)
        if attribute in kind.__annotations__:
            values[attribute] = value
        elif is_object(value):
            for part in value.__annotations__:
                values[part if part in kind.__annotations__ else f"{attribute}_{part}"] = getattr(value, part)
    return kind(**values)


def _gathered(hint: Any, data: dict[str, Any]) -> Any:
    kind, _ = optional(hint)
    values = {key.attribute: data[key.name] for key in keys(kind)}
    first, *others = values
    if values[first] is None:
        return None
    for name in others:
        if values[name] is None:
            raise PydanticCustomError(OWN, "must not be null where {first} is not", {"first": first, "key": name})
    return kind(**values)


def _words(kind: type[StrEnum], value: Any) -> dict[str, core.TypedDictField]:
    return {str(word): core.typed_dict_field(shape(value)) for word in kind}


def _mapping(key: Any, value: Any) -> CoreSchema:
    if not issubclass(key, StrEnum):
        return core.dict_schema(shape(key), shape(value))
    words = core.typed_dict_schema(_words(key, value), extra_behavior="forbid", ref=f"{key.__name__}Counts")
    return _made_by(lambda data: {key(word): one for word, one in data.items()}, words)


_KINDS: Mapping[Any, CoreSchema] = {
    str: _STR,
    int: _INT,
    bool: _BOOL,
    float: core.float_schema(strict=True),
    object: core.any_schema(),
    ExitCode: _INT,
    Decimal: _made_by(Decimal, _text(_PERCENT, pattern=_PERCENT)),
    Place: _text(_SOURCE),
}
_GENERIC: Mapping[Any, Callable[..., CoreSchema]] = {
    Annotated: lambda _, form: _FORMS[form],
    Literal: lambda *words: core.literal_schema(list(words)),
    Mapping: _mapping,
    list: lambda one: core.list_schema(shape(one)),
    tuple: lambda one, more: _made_by(tuple, core.list_schema(shape(one))) if more is ... else shape(RowKey),
}
