"""Writes values of the model as JSON: their fields are the keys, so that each part of a document is declared once.

The fields' types determine what is written here, and what `shape` publishes, checks and reads back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, NamedTuple, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

from reconciler.documents.parts import PlanPart
from reconciler.documents.waved import GroupPart, PolicyPart, SelectorPart
from reconciler.errors import Problem
from reconciler.model.events import CallEvent, WarningEvent
from reconciler.model.health import Laggard, StatusReport, VersionStatus, Wait
from reconciler.model.plan import EmptyGroup, Gone, Guards, Protected, Refusal, Summary, Warning
from reconciler.model.requests import Release, Replace
from reconciler.model.result import Move, Moved, Removal, Result, Unconfirmed
from reconciler.model.rollout import RolloutReport
from reconciler.model.rules import Difference, Limits, Ref, Rules
from reconciler.model.state import DeviceId, FlowId, Place, Row
from reconciler.model.versions import Locked

# The keys of types whose JSON is not simply their fields in order. `key=attribute` gives an attribute another key;
# the keys of `*attribute` are inlined into those of its owner; `key?` is left out where the attribute has its default.
_NAMED = "device_id device_name flow_id flow_name"
KEYS: Mapping[type, str] = {
    Problem: "path line column message hint",
    Warning: "*place message hint",
    Gone: "*place message hint",
    Refusal: "guard *place message hint rows",
    Protected: "device_id flow_id forbid *place",
    Locked: "*content *place",
    Summary: "add update remove keep pending unmanaged devices calls leaving? withheld?",
    EmptyGroup: "group *place message hint",
    Ref: "text *place",
    SelectorPart: "*place devices tags all percent",
    PolicyPart: "name *place waves gate patience_s budget window",
    GroupPart: "group *place policy up_to rows",
    PlanPart: "tool application kind manifests partial digest summary changes calls pending unmanaged deleted_devices "
    "warnings refused leaving? rollouts? waved?",
    Limits: "removals changes leaving *place",
    Guards: "limits protect released live only_flow empty allow_removals allow_empty strict selects_nothing "
    "may_be_empty leaving?",
    Release: "flowId=flow_id version deviceIds=device_ids",
    Replace: "flowId=flow_id oldVersion=old newVersion=new",
    Laggard: f"{_NAMED} verdict expected released reported connected connection_time unknown_bundle attempted_bundle "
    "error since changed_by group",
    Wait: "offline elapsed_s timed_out stopped_by read_error *verdicts tolerated?",
    Unconfirmed: f"{_NAMED} expected actual call moved_by_other",
    Moved: f"{_NAMED} before after call",
    Move: "flow_id flow_name op from=from_version to=to_version count",
    Removal: f"{_NAMED} from=from_version source",
    Result: "application kind digest review_digest dry_run interrupted stopped_by exit_code rows calls unconfirmed "
    "collateral moved_meanwhile warnings notes operations moves removals wait withheld? rollouts?",
    VersionStatus: "version in_sync pending offline failed drift unmanaged device_deleted withheld?",
    RolloutReport: "group policy state reason up_to waves failing earliest held_by judged_at?",
    StatusReport: "application kind rows devices flows laggards deleted_devices log rollouts?",
    Rules: "application=application.id name=application.name kind paths",
    CallEvent: "seq time type application kind *call",
    WarningEvent: "seq time type application kind *warning",
    Difference: "application kind what subject flow from=before to=after source",
}


class Key(NamedTuple):
    """A key of a JSON object, the attribute that it is written from, and its type. `name` is empty for `*attribute`.

    `is_optional`: it is left out where the attribute has its default.
    """

    name: str
    attribute: str
    hint: Any
    is_optional: bool = False


class RowKey(NamedTuple):
    """One (device, flow)."""

    device_id: DeviceId
    flow_id: FlowId


@cache
def keys(kind: type) -> tuple[Key, ...]:
    """The JSON keys of a NamedTuple, a dataclass or a TypedDict."""
    found = []
    for word in KEYS[kind].split() if kind in KEYS else get_type_hints(kind):
        name, _, attribute = word.removeprefix("*").removesuffix("?").partition("=")
        hint: Any = kind
        for part in (attribute or name).split("."):
            hints = get_type_hints(hint, include_extras=True)
            hint = hints[part] if part in hints else get_type_hints(getattr(hint, part).fget)["return"]
        is_optional = word.endswith("?")
        hint = optional(hint)[0] if is_optional and default_of(kind, attribute or name) is None else hint
        found.append(Key("" if word.startswith("*") else name, attribute or name, hint, is_optional))
    return tuple(found)


def default_of(kind: Any, attribute: str) -> Any:
    """The default of a field of a NamedTuple or a dataclass."""
    defaults = getattr(kind, "_field_defaults", None)
    return kind.__dataclass_fields__[attribute].default if defaults is None else defaults[attribute]


def optional(hint: Any) -> tuple[Any, bool]:
    """A type without `| None`, and whether it was optional."""
    may_be_none = get_origin(hint) in (Union, UnionType)
    return (get_args(hint)[0] if may_be_none else hint), may_be_none


def is_object(kind: Any) -> bool:
    """Whether values of a type are JSON objects."""
    return hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__")


def data(value: Any) -> Any:
    """The JSON data of a model value, or of a tuple of them."""
    return [data(one) for one in value] if type(value) is tuple else _writer(cast("Any", type(value)))(value)


_Writer: TypeAlias = Callable[[Any], Any]


def _itself(value: Any) -> Any:
    return value


_WRITERS: Mapping[Any, _Writer] = {
    Place: str,
    Decimal: "{:f}".format,
    float: lambda seconds: round(seconds, 3),
    Row: lambda row: RowKey(*row)._asdict(),
}


@cache
def _writer(hint: Any) -> _Writer:
    """The function that makes the JSON data of a type. Lists and dicts are JSON data already."""
    kind, may_be_none = optional(hint)
    if may_be_none:
        write = _writer(kind)
        return write if write is _itself else lambda value: None if value is None else write(value)
    if get_origin(kind) is tuple and kind != Row:
        each = _writer(get_args(kind)[0])
        return list if each is _itself else lambda values: [each(value) for value in values]
    if get_origin(kind) is Mapping and (each := _writer(get_args(kind)[1])) is not _itself:
        return lambda values: {key: each(value) for key, value in values.items()}
    return _WRITERS.get(kind) or (_object_writer(kind) if is_object(kind) else _itself)


def _object_writer(kind: type) -> _Writer:
    steps = [
        (name, attrgetter(attribute), _writer(hint) if name else _flat_writer(hint))
        for name, attribute, hint, _ in keys(kind)
    ]
    defaults = {key.name: default_of(kind, key.attribute) for key in keys(kind) if key.is_optional}

    def write(value: object) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, get, each in steps:
            if name in defaults and get(value) == defaults[name]:
                continue
            if name:
                made[name] = each(get(value))
            else:
                made |= each(get(value))
        return made

    return write


def _flat_writer(hint: Any) -> _Writer:
    kind, _ = optional(hint)
    write = _object_writer(kind)
    nothing: dict[str, Any] = {key.name: [] if get_origin(key.hint) is tuple else None for key in keys(kind)}
    return lambda value: nothing if value is None else write(value)
