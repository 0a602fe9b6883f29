"""A value in Python has every word of its JSON: the published schema is walked beside the types of the Python API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from reconciler import Plan, Result
from reconciler.documents.json_schema import output_schema
from reconciler.documents.values import optional
from reconciler.model.changes import Change, LeavingRow, PendingRow
from reconciler.model.health import StatusReport
from reconciler.model.plan import EmptyGroup, Guards, Protected, Refusal, Warning
from reconciler.model.result import Move, Removal
from reconciler.model.rules import Limits

SCHEMA = output_schema()
LISTS: tuple[tuple[str, str, type], ...] = (
    ("PlanDocument", "plans", Plan),
    ("ResultDocument", "results", Result),
    ("StatusDocument", "status", StatusReport),
)
# What Python has under another name, and why. docs/python.md tells each.
NAMES = {"device_name", "flow_name"}  # the names of many rows are held once, in `plan.device_names`, `plan.flow_names`
PLACE = {"path", "line", "column"}  # one value, or None: `place`
EXCEPTIONS: Mapping[type, set[str]] = {
    Change: {"from", "to", "call"} | NAMES,  # `call`: held once, in `plan.calls_by_row()`
    PendingRow: NAMES,
    LeavingRow: NAMES,
    Move: {"from", "to"},  # `from` is a keyword of Python; `to` is named to match
    Removal: {"from"},
    **dict.fromkeys((EmptyGroup, Warning, Refusal, Protected, Limits), PLACE),
    tuple: {"device_id", "flow_id"},  # a row is this pair
}


def missing(schema: Mapping[str, Any], hint: Any) -> Iterator[tuple[type, str]]:
    """The words of the schema that a type, or the type of an attribute, lacks."""
    kind, _ = optional(hint)
    if "anyOf" in schema:
        (schema,) = (one for one in schema["anyOf"] if one != {"type": "null"})
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "items" in schema:
        assert issubclass(get_origin(kind), Sequence)
        yield from missing(schema["items"], get_args(kind)[0])
    for word, part in schema.get("properties", {}).items():
        found = attribute(kind, word)
        if found is None:
            yield get_origin(kind) or kind, word
        else:
            yield from missing(part, found)


def attribute(kind: Any, word: str) -> Any:
    """The type of an attribute, or of a mapping's value; None if there is none."""
    if get_origin(kind) is Mapping:
        words, value = get_args(kind)
        return value if issubclass(words, StrEnum) and word in list(words) else None
    hints = {} if get_origin(kind) else get_type_hints(kind)
    read = getattr(getattr(kind, word, None), "fget", None)
    return hints.get(word) or (get_type_hints(read)["return"] if read else None)


def test_a_value_has_the_words_of_its_json() -> None:
    told = SCHEMA["$defs"]
    lacking = [one for name, key, kind in LISTS for one in missing(told[name]["properties"][key]["items"], kind)]
    lacking += missing(told["Guards"], Guards)
    assert set(lacking) == {(kind, word) for kind, words in EXCEPTIONS.items() for word in words}
