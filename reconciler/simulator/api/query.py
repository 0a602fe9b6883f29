"""Advanced queries, in the manner of MongoDB, as SQL conditions.

A query has passed its schema before. Values of another type than the field never equal, precede or
contain anything. Null means "has none"; a tag form with null means that no such tag is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from reconciler.simulator.world.clock import parse_ms

Query: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition with the values of its question marks."""

    text: str
    values: tuple[Any, ...] = ()


class FieldType(Enum):
    """How a field compares: as text, as an id (text, any case), as a moment in milliseconds, or as true and false."""

    TEXT = "text"
    ID = "id"
    DATE = "date"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Field:
    """A queryable field: its type and SQL expression. With `null` every object has none."""

    type: FieldType
    expression: str


def _fields(type_: FieldType, **expressions: str) -> dict[str, Field]:
    return {name: Field(type_, expression) for name, expression in expressions.items()}


_CONNECTION = "(case connected when 1 then 'connected' when 0 then 'disconnected' end)"
_DATES = _fields(FieldType.DATE, creationDate="created_ms", lastUpdated="updated_ms")
_OTHER_DATES = {"deletedAt": "deleted_ms", "connectedAt": "connected_ms", "disconnectedAt": "disconnected_ms"}
DEVICE_FIELDS: Mapping[str, Field] = {
    **_fields(FieldType.ID, id="id", parentId="parent_id", ancestorId="parent_id"),
    **_fields(FieldType.ID, gatewayId="null", experienceUserId="null", experienceGroupId="null"),
    **_fields(FieldType.TEXT, name="name", deviceClass="device_class", connectionStatus=_CONNECTION),
    **_fields(FieldType.TEXT, attributeName="null"),
    **_DATES,
    **_fields(FieldType.DATE, **_OTHER_DATES),
}
FLOW_FIELDS: Mapping[str, Field] = {
    **_fields(FieldType.ID, id="id", flowId="flow_id"),
    **_fields(FieldType.TEXT, name="name", version="version", flowClass="flow_class"),
    **_fields(FieldType.FLAG, enabled="enabled"),
    **_DATES,
}
_ORDER = {"$gt": ">", "$lt": "<", "$gte": ">=", "$lte": "<="}
_BEYOND, _DIGITS = 2**62, 18
_NEVER, _ALWAYS = Sql("0"), Sql("1")


def compile_query(query: Query, fields: Mapping[str, Field]) -> Sql:
    """The condition that a query stands for; `tags` refers to the table `devices`."""
    parts: list[Sql] = []
    for key, value in query.items():
        match key:
            case "$and":
                parts.append(_join("and", [compile_query(one, fields) for one in value], _ALWAYS))
            case "$or":
                parts.append(_join("or", [compile_query(one, fields) for one in value], _NEVER))
            case "$nor":
                parts.append(_not(_join("or", [compile_query(one, fields) for one in value], _NEVER)))
            case "tags":
                parts.append(_tags(value))
            case _:
                parts.append(_field(fields[key], value))
    return _join("and", parts, _ALWAYS)


def tag_queries(pairs: Sequence[Mapping[str, str]]) -> list[Query]:
    """A query for each `{"key", "value"}`, of which either may be missing."""
    return [{"tags": {f"$tag{part.title()}": text for part, text in pair.items()}} for pair in pairs]


def _join(word: str, parts: Sequence[Sql], empty: Sql) -> Sql:
    if len(parts) < 2:
        return parts[0] if parts else empty
    text = f" {word} ".join(f"({part.text})" for part in parts)
    return Sql(text, tuple(value for part in parts for value in part.values))


def _not(part: Sql) -> Sql:
    # A condition on null columns is null in SQL: neither true nor false.
    return Sql(f"not coalesce(({part.text}), 0)", part.values)


def _field(field: Field, value: Any) -> Sql:
    operators = value if isinstance(value, dict) else {"$eq": value}
    folds = operators.get("$ci") is True
    conditions = [_compare(field, name, operand, folds=folds) for name, operand in operators.items() if name != "$ci"]
    return _join("and", conditions, _ALWAYS)


def _compare(field: Field, operator: str, operand: Any, *, folds: bool) -> Sql:
    match operator:
        case "$eq":
            return _equals(field, operand, folds=folds)
        case "$in":
            return _join("or", [_equals(field, one, folds=folds) for one in operand], _NEVER)
        case "$ne" | "$nin":
            return _not(_compare(field, {"$ne": "$eq", "$nin": "$in"}[operator], operand, folds=folds))
        case "$startsWith" | "$endsWith" | "$contains":
            return _holds(field, operator, operand, folds=folds)
        case _:
            return _precedes(field, operator, operand)


def _equals(field: Field, operand: Any, *, folds: bool) -> Sql:
    if operand is None:
        return Sql(f"{field.expression} is null")
    value = _operand(field, operand)
    if value is None:
        return _NEVER
    if folds and field.type is FieldType.TEXT:
        return Sql(f"casefold({field.expression}) is ?", (value.casefold(),))
    return Sql(f"{field.expression} is ?", (value,))


def _precedes(field: Field, operator: str, operand: Any) -> Sql:
    if operand is None:
        return Sql(f"{field.expression} is null") if operator in ("$gte", "$lte") else _NEVER
    value = _operand(field, operand)
    return _NEVER if value is None else Sql(f"{field.expression} {_ORDER[operator]} ?", (value,))


def _holds(field: Field, operator: str, operand: str, *, folds: bool) -> Sql:
    if field.type is not FieldType.TEXT:
        return _NEVER
    text = f"casefold({field.expression})" if folds else field.expression
    value = operand.casefold() if folds else operand
    match operator:
        case "$startsWith":
            return Sql(f"substr({text}, 1, ?) = ?", (len(value), value))
        case "$endsWith":
            return Sql(f"substr({text}, -?) = ?", (len(value), value))
        case _:
            return Sql(f"instr({text}, ?) > 0", (value,))


def _operand(field: Field, operand: Any) -> Any:
    """The operand as the column holds it, or None where its type cannot compare."""
    match field.type, operand:
        case FieldType.FLAG, bool():
            return int(operand)
        case FieldType.TEXT, str():
            return operand
        case FieldType.ID, str():
            return operand.lower()
        case FieldType.DATE, str():
            is_number = operand.isascii() and operand.isdigit()
            return _column_number(int(operand[:_DIGITS])) if is_number else parse_ms(operand)
        case FieldType.DATE, int() | float() if not isinstance(operand, bool):
            return _column_number(operand)
        case _:
            return None


def _column_number(number: float) -> float:
    """A number that fits a column; every moment lies between the bounds."""
    return max(-_BEYOND, min(_BEYOND, number))


def _tags(value: Any) -> Sql:
    match value:
        case {"$eq": form}:
            return _tag_form(form)
        case {"$ne": form}:
            return _not(_tag_form(form))
        case _:
            return _tag_form(value)


def _tag_form(form: Any) -> Sql:
    if form is None:
        return _not(_some_tag([]))
    if "$tagKey" in form or "$tagValue" in form:
        pairs = [(column, form[name]) for column, name in (("key", "$tagKey"), ("value", "$tagValue")) if name in form]
        return _tag(pairs)
    return _join("and", [_tag([("key", key), ("value", value)]) for key, value in form.items()], _ALWAYS)


def _tag(pairs: list[tuple[str, Any]]) -> Sql:
    some = _some_tag([_tag_part(column, value) for column, value in pairs if value is not None])
    return _not(some) if any(value is None for _, value in pairs) else some


def _tag_part(column: str, value: Any) -> Sql:
    match value:
        case {"$in": values}:
            return _join("or", [Sql(f"{column} = ?", (one,)) for one in values], _NEVER)
        case {"$nin": values}:
            return _not(_join("or", [Sql(f"{column} = ?", (one,)) for one in values], _NEVER))
        case _:
            return Sql(f"{column} = ?", (value,))


def _some_tag(parts: list[Sql]) -> Sql:
    condition = _join("and", parts, _ALWAYS)
    return Sql(f"exists (select 1 from tags where device_id = devices.id and ({condition.text}))", condition.values)
