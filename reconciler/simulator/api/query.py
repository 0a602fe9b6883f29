"""SQL conditions, and the compilation of advanced queries (MongoDB style) to them.

A query has already been validated. A value whose type differs from the field's never equals, precedes or contains
anything. Null means "has none"; a tag condition with null means that there is no such tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from reconciler.simulator.world.clock import parse_ms

Query: TypeAlias = Mapping[str, Any]


class Sql(NamedTuple):
    """A condition with the values of its placeholders."""

    text: str
    values: tuple[Any, ...] = ()


def every(parts: Iterable[Sql]) -> Sql:
    """The conjunction of the conditions."""
    return _join(" and ", parts, Sql("1"))


def some(parts: Iterable[Sql]) -> Sql:
    """The disjunction of the conditions."""
    return _join(" or ", parts, _NEVER)


def _join(word: str, parts: Iterable[Sql], empty: Sql) -> Sql:
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else empty
    return Sql(word.join(f"({part.text})" for part in found), tuple(value for part in found for value in part.values))


def _not(part: Sql) -> Sql:
    # In SQL a condition on a null column is null: neither true nor false.
    return Sql(f"not coalesce(({part.text}), 0)", part.values)


def matches(column: str, pattern: str) -> Sql:
    """Match a column with a `filter`, case-insensitively: `*` matches anything, other characters themselves."""
    glob = "".join(f"[{char}]" if char in "[?" else char for char in pattern.casefold())
    return Sql(f"casefold({column}) glob ?", (glob,))


_TYPES: Mapping[str, Literal["id", "date", "flag"]] = {
    **dict.fromkeys(("id", "parentId", "ancestorId", "flowId", "defaultVersion"), "id"),
    **dict.fromkeys(("gatewayId", "experienceUserId", "experienceGroupId"), "id"),
    **dict.fromkeys(("creationDate", "lastUpdated", "deletedAt", "connectedAt", "disconnectedAt"), "date"),
    "enabled": "flag",
}
"""How fields compare, if not as text: as an id (case-insensitive), a time in milliseconds, or a boolean."""
_EXPRESSIONS = {
    "ancestorId": "parentId",
    "connectionStatus": "(case connected when 1 then 'connected' when 0 then 'disconnected' end)",
    **dict.fromkeys(("gatewayId", "experienceUserId", "experienceGroupId", "attributeName"), "null"),
    **dict.fromkeys(("defaultVersion", "customNodeSupports"), "null"),
}
"""The fields that are not columns. Fields with `null` have no value in any object."""
_ORDER = {"$gt": ">", "$lt": "<", "$gte": ">=", "$lte": "<="}
_SEARCHES = {
    "$startsWith": ("substr({}, 1, ?) = ?", True),
    "$endsWith": ("substr({}, -?) = ?", True),
    "$contains": ("instr({}, ?) > 0", False),
}
"""Conditions on text, and whether they need its length as well."""
_BEYOND, _DIGITS = 2**62, 18
_NEVER = Sql("0")


def compile_query(query: Query) -> Sql:
    """Compile a query to a condition on rows with the API's field names and an `id`."""
    parts: list[Sql] = []
    for key, value in query.items():
        match key:
            case "$and":
                parts.append(every(map(compile_query, value)))
            case "$or":
                parts.append(some(map(compile_query, value)))
            case "$nor":
                parts.append(_not(some(map(compile_query, value))))
            case "tags":
                parts.append(_tags(value))
            case "triggers" | "nodes":  # no workflow has any
                parts.append(Sql("1" if "$ne" in value else "0"))
            case _:
                parts.append(_field(key, value))
    return every(parts)


def tag_queries(pairs: Sequence[Mapping[str, str]]) -> list[Query]:
    """A query for each `{"key", "value"}`; either key may be missing."""
    return [{"tags": {f"$tag{part.title()}": text for part, text in pair.items()}} for pair in pairs]


def _field(field: str, value: Any) -> Sql:
    operators = value if isinstance(value, dict) else {"$eq": value}
    folds = operators.get("$ci") is True and field not in _TYPES
    return every(_compare(field, name, operand, folds=folds) for name, operand in operators.items() if name != "$ci")


def _compare(field: str, operator: str, operand: Any, *, folds: bool) -> Sql:
    match operator:
        case "$in":
            return some(_compare(field, "$eq", one, folds=folds) for one in operand)
        case "$ne" | "$nin":
            return _not(_compare(field, {"$ne": "$eq", "$nin": "$in"}[operator], operand, folds=folds))
    column = _EXPRESSIONS.get(field, field)
    if operand is None:
        return Sql(f"{column} is null") if operator in ("$eq", "$gte", "$lte") else _NEVER
    value = _operand(_TYPES.get(field), operand)
    if value is None or (field in _TYPES and operator in _SEARCHES):
        return _NEVER
    if folds and operator not in _ORDER:
        column, value = f"casefold({column})", value.casefold()
    if operator in _SEARCHES:
        test, takes_length = _SEARCHES[operator]
        return Sql(test.format(column), (len(value), value) if takes_length else (value,))
    return Sql(f"{column} {_ORDER.get(operator, 'is')} ?", (value,))


def _operand(type_: str | None, operand: Any) -> Any:
    """The operand in the column's representation, or None if the types are not comparable."""
    match type_, operand:
        case "flag", bool():
            return int(operand)
        case None, str():
            return operand
        case "id", str():
            return operand.lower()
        case "date", str():
            is_number = operand.isascii() and operand.isdigit()
            return _column_number(int(operand[:_DIGITS])) if is_number else parse_ms(operand)
        case "date", int() | float() if not isinstance(operand, bool):
            return _column_number(operand)
        case _:
            return None


def _column_number(number: float) -> float:
    """The number, clamped to the range of a column; every time is within it."""
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
        return _not(_tag({}))
    if "$tagKey" in form or "$tagValue" in form:
        return _tag(
            {column: form[name] for column, name in (("key", "$tagKey"), ("value", "$tagValue")) if name in form}
        )
    return every(_tag({"key": key, "value": value}) for key, value in form.items())


def _tag(pairs: Mapping[str, Any]) -> Sql:
    """Whether a tag has these texts, by column; if one text is null, whether no tag has the others."""
    condition = every(_tag_part(column, value) for column, value in pairs.items() if value is not None)
    exists = Sql(f"exists (select 1 from tags where device_id = id and ({condition.text}))", condition.values)
    return _not(exists) if None in pairs.values() else exists


def _tag_part(column: str, value: Any) -> Sql:
    match value:
        case {"$in": values}:
            return some(Sql(f"{column} = ?", (one,)) for one in values)
        case {"$nin": values}:
            return _not(some(Sql(f"{column} = ?", (one,)) for one in values))
        case _:
            return Sql(f"{column} = ?", (value,))
