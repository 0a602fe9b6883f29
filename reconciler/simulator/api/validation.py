"""Errors, and the subset of JSON Schema that the API's requests use, with the wording of Losant's server framework.

Only the first violated rule is reported, as `<path> <rule>`, in the framework's order. No Python library has this order
and wording, so the rules are implemented here; `tests/conformance/test_vendor_facts.py` checks against jsonschema that
the same values are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Definitions: TypeAlias = Mapping[str, Schema]


Rule: TypeAlias = Callable[[Any, Any, str, Schema, Definitions], Iterator[str]]
"""Yields the faults of a value. Arguments: value, the rule's argument, path, whole schema, definitions."""
ABSENT: Final[Any] = object()
"""Marks a parameter that was not sent; JSON null is a value."""
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


class Problem(Exception):
    """The API refuses a request."""

    def __init__(self, status: int, type_: str, message: str) -> None:
        self.status, self.type, self.message = status, type_, message
        super().__init__(f"{status} {type_}: {message}")

    @property
    def envelope(self) -> dict[str, str]:
        """The body of the response; the error for invalid JSON has a `code` where others have a `type`."""
        return {"code" if self.type == "InvalidContent" else "type": self.type, "message": self.message}


def invalid(message: str) -> Problem:
    """400, used both by the schemas and by the controllers."""
    return Problem(400, "Validation", message)


def not_found(thing: str) -> Problem:
    """404: `<thing> was not found`."""
    return Problem(404, "NotFound", f"{thing} was not found")


def first_fault(value: Any, schema: Schema, path: str, definitions: Definitions | None = None) -> str | None:
    """The message of the first rule that `value` violates, or None.

    `definitions`: the schemas that `{"$ref": name}` refers to. `ABSENT` violates a schema with `required: True`.
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
    for rule, (concerned, faults) in _RULES.items():
        if rule in schema and isinstance(value, concerned):
            yield from faults(value, schema[rule], path, schema, definitions)


@lru_cache(maxsize=256)
def _pattern_of(pattern: str) -> re.Pattern[str]:
    # In JavaScript `$` matches only at the end of the text; in Python also before a final newline.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


def _is_among(value: Any, allowed: list[Any]) -> bool:
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


def _plain(concerned: Any, is_broken: Callable[[Any, Any], bool], words: str) -> tuple[Any, Rule]:
    """A rule that depends on the value alone, with the framework's message."""

    def faults(value: Any, argument: Any, path: str, *_: Any) -> Iterator[str]:
        if is_broken(value, argument):
            yield f"{path} {words.format(argument)}"

    return concerned, faults


def _required(value: Any, keys: Any, path: str, *_: Any) -> Iterator[str]:
    yield from (f"{path}.{key} is required" for key in keys if key not in value)


def _additional(value: Any, _: Any, path: str, schema: Schema, __: Definitions) -> Iterator[str]:
    patterns = [_pattern_of(pattern) for pattern in schema.get("patternProperties", {})]
    for key in value:
        if key not in schema.get("properties", {}) and not any(pattern.search(key) for pattern in patterns):
            yield f"{path} has additional properties"


def _reference(value: Any, name: Any, path: str, _: Schema, definitions: Definitions) -> Iterator[str]:
    if first_fault(value, definitions[name], path, definitions):
        yield f"{path} referenced schema does not match"


def _items(value: Any, rule: Any, path: str, _: Schema, definitions: Definitions) -> Iterator[str]:
    for index, item in enumerate(value):
        yield from _faults(item, rule, f"{path}.{index}", definitions)


def _pattern_properties(value: Any, rules: Any, path: str, _: Schema, definitions: Definitions) -> Iterator[str]:
    for pattern, rule in rules.items():
        for key in value:
            if _pattern_of(pattern).search(key):
                yield from _faults(value[key], rule, f"{path}.{key}", definitions)


def _one_of(value: Any, choices: Any, path: str, _: Schema, definitions: Definitions) -> Iterator[str]:
    if sum(first_fault(value, choice, path, definitions) is None for choice in choices) != 1:
        yield f"{path} no (or more than one) schemas match"


def _properties(value: Any, rules: Any, path: str, _: Schema, definitions: Definitions) -> Iterator[str]:
    for key, rule in rules.items():
        yield from _faults(value.get(key, ABSENT), rule, f"{path}.{key}", definitions)


_RULES: Mapping[str, tuple[Any, Rule]] = {
    "format": _plain(str, lambda text, name: not re.fullmatch(_FORMATS[name], text), "must be {} format"),
    "required": (dict, _required),
    "enum": _plain(object, lambda value, allowed: not _is_among(value, allowed), "must be an enum value"),
    "additionalProperties": (dict, _additional),
    "$ref": (object, _reference),
    "items": (list, _items),
    "patternProperties": (dict, _pattern_properties),
    "pattern": _plain(str, lambda text, pattern: not _pattern_of(pattern).search(text), "pattern mismatch"),
    "oneOf": (object, _one_of),
    "maxProperties": _plain(dict, lambda value, most: len(value) > most, "has more properties than allowed"),
    "minProperties": _plain(dict, lambda value, least: len(value) < least, "has less properties than allowed"),
    "maxItems": _plain(list, lambda value, most: len(value) > most, "has more items than allowed"),
    "maxLength": _plain(str, lambda value, most: len(value) > most, "has longer length than allowed"),
    "minLength": _plain(str, lambda value, least: len(value) < least, "has less length than allowed"),
    "minimum": _plain(int | float, lambda value, least: value < least, "is less than minimum"),
    "maximum": _plain(int | float, lambda value, most: value > most, "is more than maximum"),
    "properties": (dict, _properties),
}
"""In the framework's order: the type that a rule applies to, and the faults that it finds."""
