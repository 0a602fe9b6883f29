"""JSON Schema, the part that the API's requests use, with the wording of Losant's server framework.

Only the first broken rule is reported, as `<path> <rule>`. The order of the rules is the framework's: presence, type,
format, required keys, enum, unknown keys, items, pattern, alternatives, sizes, and the properties last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Definitions: TypeAlias = Mapping[str, Schema]


class Absent(Enum):
    """The value of a parameter that was not sent; JSON null is a value."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
_FORMATS = {"email": r"[^@\s]+@[^@\s]+", "uri": r"[a-zA-Z][a-zA-Z0-9+.-]*:\S*"}


def first_fault(value: Any, schema: Schema, path: str, definitions: Definitions | None = None) -> str | None:
    """The message of the first rule that `value` breaks, or None.

    `definitions` are the schemas that `{"$ref": name}` stands for. `ABSENT` breaks a schema with `required: True`.
    """
    return next(_faults(value, schema, path, definitions or {}), None)


def _faults(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if value is ABSENT:
        if schema.get("required") is True:
            yield f"{path} is required"
        return
    if "type" in schema and not _has_type(value, schema["type"]):
        yield f"{path} is the wrong type"
        return
    for rule in _RULES:
        if rule in schema:
            yield from _RULES[rule](value, schema, path, definitions)


def _has_type(value: Any, types: str | list[str]) -> bool:
    return any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value % 1 == 0,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _format(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if isinstance(value, str) and not re.fullmatch(_FORMATS[schema["format"]], value):
        yield f"{path} must be {schema['format']} format"


def _required(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(schema["required"], list):
        yield from (f"{path}.{key} is required" for key in schema["required"] if key not in value)


def _enum(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if not any(value == allowed and isinstance(value, bool) == isinstance(allowed, bool) for allowed in schema["enum"]):
        yield f"{path} must be an enum value"


def _additional(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    patterns = schema.get("patternProperties", {})
    for key in value:
        known = key in schema.get("properties", {}) or any(_pattern_of(pattern).search(key) for pattern in patterns)
        if not known:
            yield f"{path} has additional properties"


def _reference(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if first_fault(value, definitions[schema["$ref"]], path, definitions):
        yield f"{path} referenced schema does not match"


def _items(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, schema["items"], f"{path}.{index}", definitions)


def _pattern_properties(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if isinstance(value, dict):
        for pattern, rule in schema["patternProperties"].items():
            for key in (key for key in value if _pattern_of(pattern).search(key)):
                yield from _faults(value[key], rule, f"{path}.{key}", definitions)


def _pattern(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if isinstance(value, str) and not _pattern_of(schema["pattern"]).search(value):
        yield f"{path} pattern mismatch"


def _one_of(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    matching = sum(first_fault(value, choice, path, definitions) is None for choice in schema["oneOf"])
    if matching != 1:
        yield f"{path} no (or more than one) schemas match"


def _properties(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if isinstance(value, dict):
        for key, rule in schema["properties"].items():
            yield from _faults(value.get(key, ABSENT), rule, f"{path}.{key}", definitions)


def _size(
    of: type[str] | type[list[Any]] | type[dict[str, Any]], wrong: Callable[[int, int], bool], text: str, keyword: str
) -> _Rule:
    def rule(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
        if isinstance(value, of) and wrong(len(value), schema[keyword]):
            yield f"{path} {text}"

    return rule


def _bound(wrong: Callable[[float, float], bool], text: str, keyword: str) -> _Rule:
    def rule(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
        if _is_number(value) and wrong(value, schema[keyword]):
            yield f"{path} {text}"

    return rule


@lru_cache(maxsize=256)
def _pattern_of(pattern: str) -> re.Pattern[str]:
    # In JavaScript `$` is the end of the text; in Python it is also before a last newline.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


_Rule: TypeAlias = Callable[[Any, Schema, str, Definitions], Iterator[str]]


def _more(value: float, bound: float) -> bool:
    return value > bound


def _less(value: float, bound: float) -> bool:
    return value < bound


_RULES: Mapping[str, _Rule] = {
    "format": _format,
    "required": _required,
    "enum": _enum,
    "additionalProperties": _additional,
    "$ref": _reference,
    "items": _items,
    "patternProperties": _pattern_properties,
    "pattern": _pattern,
    "oneOf": _one_of,
    "maxProperties": _size(dict, _more, "has more properties than allowed", "maxProperties"),
    "minProperties": _size(dict, _less, "has less properties than allowed", "minProperties"),
    "maxItems": _size(list, _more, "has more items than allowed", "maxItems"),
    "maxLength": _size(str, _more, "has longer length than allowed", "maxLength"),
    "minLength": _size(str, _less, "has less length than allowed", "minLength"),
    "minimum": _bound(_less, "is less than minimum", "minimum"),
    "maximum": _bound(_more, "is more than maximum", "maximum"),
    "properties": _properties,
}
