"""JSON Schema, the part that the API's requests use, with the wording of Losant's server framework.

Only the first broken rule is reported, as `<path> <rule>`, in the framework's order. No Python library has that order
and these words, so the rules are written out here; `tests/conformance/test_vendor_facts.py` checks with jsonschema that
the same values are refused.
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
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: _TYPES["number"](value) and value % 1 == 0,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


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
    types = schema.get("type", [])
    if types and not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        yield f"{path} is the wrong type"
        return
    for rule in _ORDER:
        if rule not in schema:
            continue
        if rule in _SIMPLE:
            concerned, is_broken, words = _SIMPLE[rule]
            if isinstance(value, concerned) and is_broken(value, schema[rule]):
                yield f"{path} {words.format(schema[rule])}"
        else:
            yield from _NESTED[rule](value, schema, path, definitions)


_ORDER = (
    *("format", "required", "enum", "additionalProperties", "$ref", "items", "patternProperties", "pattern", "oneOf"),
    *("maxProperties", "minProperties", "maxItems", "maxLength", "minLength", "minimum", "maximum", "properties"),
)


@lru_cache(maxsize=256)
def _pattern_of(pattern: str) -> re.Pattern[str]:
    # In JavaScript `$` is the end of the text; in Python it is also before a last newline.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


def _is_among(value: Any, allowed: list[Any]) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


_SIMPLE: Mapping[str, tuple[Any, Callable[[Any, Any], bool], str]] = {
    "format": (str, lambda text, name: not re.fullmatch(_FORMATS[name], text), "must be {} format"),
    "enum": (object, lambda value, allowed: not _is_among(value, allowed), "must be an enum value"),
    "pattern": (str, lambda text, pattern: not _pattern_of(pattern).search(text), "pattern mismatch"),
    "maxProperties": (dict, lambda value, most: len(value) > most, "has more properties than allowed"),
    "minProperties": (dict, lambda value, least: len(value) < least, "has less properties than allowed"),
    "maxItems": (list, lambda value, most: len(value) > most, "has more items than allowed"),
    "maxLength": (str, lambda value, most: len(value) > most, "has longer length than allowed"),
    "minLength": (str, lambda value, least: len(value) < least, "has less length than allowed"),
    "minimum": (int | float, lambda value, least: value < least, "is less than minimum"),
    "maximum": (int | float, lambda value, most: value > most, "is more than maximum"),
}
"""Rules about the value itself: the type that they concern, when it breaks them, the framework's words."""


def _required(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{path}.{key} is required" for key in schema["required"] if key not in value)


def _additional(value: Any, schema: Schema, path: str, _: Definitions) -> Iterator[str]:
    patterns = [_pattern_of(pattern) for pattern in schema.get("patternProperties", {})]
    for key in value if isinstance(value, dict) else ():
        if key not in schema.get("properties", {}) and not any(pattern.search(key) for pattern in patterns):
            yield f"{path} has additional properties"


def _reference(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if first_fault(value, definitions[schema["$ref"]], path, definitions):
        yield f"{path} referenced schema does not match"


def _items(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _faults(item, schema["items"], f"{path}.{index}", definitions)


def _pattern_properties(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    for pattern, rule in schema["patternProperties"].items():
        for key in value if isinstance(value, dict) else ():
            if _pattern_of(pattern).search(key):
                yield from _faults(value[key], rule, f"{path}.{key}", definitions)


def _one_of(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    if sum(first_fault(value, choice, path, definitions) is None for choice in schema["oneOf"]) != 1:
        yield f"{path} no (or more than one) schemas match"


def _properties(value: Any, schema: Schema, path: str, definitions: Definitions) -> Iterator[str]:
    for key, rule in schema["properties"].items() if isinstance(value, dict) else ():
        yield from _faults(value.get(key, ABSENT), rule, f"{path}.{key}", definitions)


_NESTED: Mapping[str, Callable[[Any, Schema, str, Definitions], Iterator[str]]] = {
    "required": _required,
    "additionalProperties": _additional,
    "$ref": _reference,
    "items": _items,
    "patternProperties": _pattern_properties,
    "oneOf": _one_of,
    "properties": _properties,
}
"""Rules about what is inside a value, or about other schemas."""
