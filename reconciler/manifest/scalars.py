"""The scalars of a manifest: text of a certain form, and what it is converted to.

The input comes from `syntax.parse`, where numbers, dates and booleans are still text. They are parsed by the rules
below, never by YAML's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from reconciler.manifest.tree import shown
from reconciler.model.text import ID_PATTERN, is_id, nearest

OWN = "manifest"  # type of the errors that bring their own message

_INTEGER = "-?[0-9]{1,9}"
_COUNT = "[0-9]{1,9}"
_PERCENT = "(100([.]0{1,30})?|[0-9]{1,2}([.][0-9]{1,30})?)"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DURATION = "[0-9]{1,5}[smhd]"  # up to 99,999 days, which is within what a calendar holds
_SOME_TIME = f"(?!0+[smhd]){_DURATION}"
_NOT_ZERO = "(?!0+$)[0-9]{1,9}"
_NOT_ZERO_PERCENT = f"(?!0+([.]0+)?%){_PERCENT}%"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAYS = "({0})(-({0}))?".format("|".join(_WEEK))
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NO_ROLLOUT = "none"  # in place of a policy's name


def wrong(message: str, hint: str | None = None) -> PydanticCustomError:
    """An error with its own message."""
    return PydanticCustomError(OWN, "{message}", {"message": message, "hint": hint})


def _matching(pattern: str, read: Callable[[str], Any], expected: str) -> BeforeValidator:
    """Text that matches a pattern, converted with `read`."""

    def check(text: Any) -> Any:
        if isinstance(text, str) and re.fullmatch(pattern, text):
            try:
                return read(text)
            except ValueError:  # an invalid calendar date
                pass
        raise wrong(f"expected {expected}")

    return BeforeValidator(check)


def _version(text: str) -> str:
    if text in ("develop", "default"):
        raise wrong(f'"{text}" is not deployable', "use a version of the flow")
    return text


def _application_id(text: str) -> str:
    if not is_id(text):
        raise wrong(
            f"expected an id, 24 hex digits, found {json.dumps(text)}",
            "a name can be added: {id: …, name: …}",
        )
    return text.lower()


def _query(value: Any) -> str:
    """An advanced device query, as JSON text or as YAML; returned as canonical JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong("a query given as text must be JSON", "see Losant's advanced device queries") from None
    if not isinstance(value, dict) or not value:
        raise wrong("a query must be a non-empty map", "to select every device write `all: true`")
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise wrong("a query holds half of a surrogate pair, which is not text", "write the character itself") from None
    except ValueError:
        raise wrong(
            "a query holds a number that JSON cannot hold", "write a finite number, or text in quotes"
        ) from None
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _share(text: str) -> int | Decimal:
    return Decimal(text[:-1]) if text.endswith("%") else int(text)


def _weekdays(text: Any) -> Any:
    """A day of the week, or a range of them, as numbers from 0 for Monday."""
    if isinstance(text, str) and re.fullmatch(_WEEKDAYS, text):
        first, last = (_WEEK.index(day) for day in (text[:3], text[-3:]))
        return tuple((first + number) % 7 for number in range((last - first) % 7 + 1))
    folded = text.lower() if isinstance(text, str) else ""
    near = re.sub("[a-z]+", lambda found: found[0][:3], folded)
    hint = f"did you mean {near}?" if re.fullmatch(_WEEKDAYS, near) else f"days: {', '.join(_WEEK)}"
    raise wrong(f"expected a day or a range of days, such as mon-fri{_found(text)}", hint)


def _found(value: Any) -> str:
    return f", found {shown(value)}" if isinstance(value, str) else ""


def _zone(text: str) -> str:
    if text not in (zones := time_zones()):
        near = nearest(text, sorted(zones))
        hint = f"did you mean {near}?" if near else "such as Europe/London or UTC"
        raise wrong(f"there is no time zone {shown(text)}", hint)
    return text


@cache
def time_zones() -> frozenset[str]:
    """The time zones of the IANA database: the same on every machine, whatever the system has."""
    from importlib.resources import files  # noqa: PLC0415 - slow to import, and only this needs it

    return frozenset((files("tzdata") / "zones").read_text(encoding="ascii").split()) - {"Factory"}


def _distinct(values: list[str]) -> list[str]:
    for value in values:
        if values.count(value) > 1:
            raise wrong(f"{shown(value)} is listed twice", "keep one of them")
    return values


def _policy(text: str) -> str:
    if text == NO_ROLLOUT:
        raise wrong("a policy cannot be named none", "for a group without a policy write `rollout: none`")
    return text


def _alias(text: str) -> str:
    if is_id(text):
        raise wrong("an alias must not look like an id", "choose another name")
    return text


# Editors use YAML 1.2, where an unquoted 1.10 is a number: text here may be any scalar in the JSON Schema.
_SCALARS = ["string", "number", "boolean"]
_ANY_TEXT = {"type": _SCALARS, "minLength": 1, "maxLength": 255}
WHOLE_ID = f"^{ID_PATTERN}$"


def _or_number(pattern: str, *, kind: str = "number", **bounds: float) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, {"type": kind, **bounds}]})


_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NAME_SCHEMA = {**_ANY_TEXT, "pattern": _NO_CONTROLS}
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=_NO_CONTROLS), WithJsonSchema(_NAME_SCHEMA)]
Text = Annotated[str, Field(min_length=1, max_length=255), WithJsonSchema(_ANY_TEXT)]
LongText = Annotated[str, Field(min_length=1), WithJsonSchema({"type": _SCALARS, "minLength": 1})]
_VERSION_SCHEMA = {
    **_NAME_SCHEMA,
    "not": {"enum": ["develop", "default"]},
    "description": "A version's name, or `absent` if the flow must not run here.",
}
Version = Annotated[
    str,
    Field(min_length=1, max_length=255, pattern=_NO_CONTROLS),
    AfterValidator(_version),
    WithJsonSchema(_VERSION_SCHEMA),
]
AliasName = Annotated[Name, AfterValidator(_alias)]
ApplicationId = Annotated[str, AfterValidator(_application_id), _or_number(ID_PATTERN, minimum=1e20)]
Percent = Annotated[
    Decimal,
    _matching(_PERCENT, Decimal, "a percentage from 0 to 100, such as 10 or 0.5"),
    _or_number(_PERCENT, minimum=0, maximum=100),
]
Count = Annotated[
    int,
    _matching(_COUNT, int, "a whole number, 0 or more"),
    _or_number(_COUNT, kind="integer", minimum=0, maximum=999_999_999),
]
Priority = Annotated[
    int,
    _matching(_INTEGER, int, "a whole number"),
    _or_number(_INTEGER, kind="integer", minimum=-999_999_999, maximum=999_999_999),
]
Day = Annotated[
    date,
    _matching(_DAY, date.fromisoformat, "a day as YYYY-MM-DD"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DAY}$", "format": "date"}),
]
_QUERY_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1}]}
Query = Annotated[str, BeforeValidator(_query), WithJsonSchema(_QUERY_SCHEMA)]
True_ = Annotated[Literal["true"], WithJsonSchema({"enum": [True, "true"]})]
YesNo = Annotated[
    bool,
    _matching("true|false", lambda text: text == "true", "true or false"),
    WithJsonSchema({"enum": [True, False, "true", "false"]}),
]
PruneSetting = Annotated[
    Literal["false", "devices", "flows", "application"],
    WithJsonSchema({"enum": [False, "false", "devices", "flows", "application"]}),
]
Flows = Annotated[dict[Name, Version], Field(min_length=1)]
TagValues = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_ANY_TEXT, {"type": "array", "minItems": 1, "items": _ANY_TEXT}]}),
]
PolicyName = Annotated[
    Name,
    AfterValidator(_policy),
    WithJsonSchema({**_NAME_SCHEMA, "not": {"enum": [NO_ROLLOUT]}}),
]
_DURATION_WORDS = "a duration such as 90s, 15m, 24h or 7d"
Soak = Annotated[
    int,
    _matching(_DURATION, _seconds, _DURATION_WORDS),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"}),
]
Patience = Annotated[
    int,
    _matching(_SOME_TIME, _seconds, f"{_DURATION_WORDS}, longer than nothing"),
    WithJsonSchema({"type": "string", "pattern": f"^{_SOME_TIME}$"}),
]
Sample = Annotated[
    int,
    _matching(_NOT_ZERO, int, "a whole number, 1 or more"),
    _or_number(_NOT_ZERO, kind="integer", minimum=1, maximum=999_999_999),
]
Unavailable = Annotated[
    int | Decimal,
    _matching(
        f"{_NOT_ZERO}|{_NOT_ZERO_PERCENT}", _share, "a number of devices, 1 or more, or a percentage such as 10%"
    ),
    _or_number(f"({_NOT_ZERO}|{_NOT_ZERO_PERCENT})", kind="integer", minimum=1, maximum=999_999_999),
]
TagNames = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_listed),
    AfterValidator(_distinct),
    WithJsonSchema({"anyOf": [_ANY_TEXT, {"type": "array", "minItems": 1, "uniqueItems": True, "items": _ANY_TEXT}]}),
]
Time = Annotated[
    int,
    _matching(_TIME, _minutes, "a time as HH:MM, from 00:00 to 23:59"),
    WithJsonSchema({"type": "string", "pattern": f"^{_TIME}$"}),
]
_WEEKDAYS_SCHEMA = {"type": "string", "pattern": f"^{_WEEKDAYS}$"}
Days = Annotated[
    list[Annotated[tuple[int, ...], BeforeValidator(_weekdays)]],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_WEEKDAYS_SCHEMA, {"type": "array", "minItems": 1, "items": _WEEKDAYS_SCHEMA}]}),
]
Zone = Annotated[Text, AfterValidator(_zone), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
