"""The schema of a manifest document, validated by pydantic. `json_schema` publishes it for editors.

The input comes from `syntax.parse`: maps, lists, text and `EMPTY`. So numbers, dates and booleans are still text, and
`scalars` says what is made of them. Constraints across documents are checked after merging.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from reconciler.manifest.scalars import (
    NO_ROLLOUT,
    AliasName,
    ApplicationId,
    Count,
    Day,
    Days,
    Flows,
    LongText,
    Name,
    Patience,
    Percent,
    PolicyName,
    Priority,
    PruneSetting,
    Query,
    Sample,
    Soak,
    TagNames,
    TagValues,
    Text,
    Time,
    True_,
    Unavailable,
    YesNo,
    Zone,
    wrong,
)

MAX_WAVES = 20


def _identified(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _by_policy(value: Any) -> Any:
    """A group's `rollout` in its short form; `none` names no policy, and an empty map nothing at all."""
    if value == {}:
        raise wrong("names no policy", "write the name of a policy, or `none`")
    if isinstance(value, str):
        return {} if value == NO_ROLLOUT else {"policy": value}
    return value


class Part(BaseModel):
    """The base of all maps with fixed keys."""

    model_config = ConfigDict(extra="forbid", defer_build=True)  # built once, within the document


class ApplicationPart(Part):
    """`application` in its long form."""

    id: ApplicationId = Field(description="The application's id, 24 hex digits.")
    name: Name | None = Field(None, description="The application's name, verified before anything else is read.")


class SelectPart(Part):
    """Selects devices. Keys are ANDed."""

    devices: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Ids or names; names may contain `*`."
    )
    tags: Annotated[dict[Text, TagValues], Field(min_length=1)] | None = Field(
        None, description="Tags: AND across keys, OR within a list."
    )
    query: Query | None = Field(None, description="An advanced device query of Losant, as JSON text or as a map.")
    all: True_ | None = Field(None, description="Every device of the kind's class.")
    percent: Percent | None = Field(None, description="Keep this percentage of the devices, always the same ones.")
    exclude: SelectPart | None = Field(None, description="Devices to leave out.")

    @model_validator(mode="after")
    def _selects_something(self) -> SelectPart:
        if not SELECTING & self.model_fields_set:
            raise wrong("has no key that picks devices", "add `devices`, `tags`, `query`, `all: true` or `percent`")
        return self


SELECTING = frozenset(SelectPart.model_fields) - {"exclude"}  # one of them is required: `exclude` only removes devices


class RolloutPart(Part):
    """The policy of a group, and how far it may go."""

    policy: PolicyName | None = Field(None, description="A policy of `rollouts`. Required here or in the base.")
    up_to: Count | None = Field(None, description="The last wave that may open; 0 pauses. Default: all of them.")


class GroupPart(Part):
    """Devices by selector, and the flows they run."""

    select: SelectPart | None = Field(None, description="Which devices. Required here or in the base.")
    flows: Flows | None = Field(None, description="Flow to version. Required here or in the base.")
    priority: Priority | None = Field(None, description="The highest decides where groups overlap. Default: 0.")
    salt: Text | None = Field(None, description="The salt that `percent` hashes with. Default: the group's name.")
    rollout: Annotated[RolloutPart, BeforeValidator(_by_policy)] | None = Field(
        None, description="The policy by which changes reach the devices; `none` lifts what a base named."
    )
    may_be_empty: YesNo | None = Field(None, description="Whether it may select nothing. Default: false.")


class PinPart(Part):
    """An exception for one device."""

    device: Name = Field(description="Id or name.")
    flows: Flows = Field(description="Flow to version.")
    reason: LongText = Field(description="Why.")
    until: Day | None = Field(None, description="Last day (UTC). After it the pin stays in force, with a warning.")


class ProtectPart(Part):
    """Rows that must not be removed, or not be changed at all. Keys are ANDed."""

    device: Name | None = Field(None, description="Id or name.")
    flow: Name | None = Field(None, description="Alias, id or name.")
    forbid: Literal["removal", "change"] | None = Field(None, description="Default: removal.")

    @model_validator(mode="after")
    def _names_something(self) -> ProtectPart:
        if self.device is None and self.flow is None:
            raise wrong("has neither a device nor a flow", "add `device`, `flow` or both")
        return self


class LimitPart(Part):
    """A pair of limits; exceeding either refuses the plan."""

    count: Count | None = Field(None, description="Maximum number of rows.")
    percent: Percent | None = Field(
        None,
        description="Maximum percentage of managed rows with a released version; for `leaving`, of the rows that were "
        "managed before.",
    )


class LimitsPart(Part):
    """How much one plan may change."""

    removals: LimitPart | None = Field(None, description="Default: 10, and 10 percent.")
    changes: LimitPart | None = Field(None, description="Adds, updates and removals together. Off by default.")
    leaving: LimitPart | None = Field(
        None, description="Rows that leave management, with `--against`. Default: 10, and 10 percent."
    )


class WavePart(Part):
    """The devices of a wave, but for those of earlier waves. Keys are ANDed."""

    devices: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None, description="Ids or names; names may contain `*`."
    )
    tags: Annotated[dict[Text, TagValues], Field(min_length=1)] | None = Field(
        None, description="Tags: AND across keys, OR within a list."
    )
    percent: Percent | None = Field(None, description="This percentage of the devices; it grows from wave to wave.")
    exclude: WavePart | None = Field(None, description="Devices to leave to a later wave.")

    @model_validator(mode="after")
    def _selects_something(self) -> WavePart:
        if not PICKING & self.model_fields_set:
            raise wrong("has no key that picks devices", "add `tags`, `devices` or `percent`")
        return self


PICKING = frozenset(WavePart.model_fields) - {"exclude"}


class GatePart(Part):
    """When the next wave may open."""

    converged: Percent | None = Field(
        None, description="Percentage of the devices so far that must be proven; the rest may fail. Default: 95."
    )
    soak: Soak | None = Field(
        None, description="How long a device must have been seen running its targets. Default: 1h."
    )
    sample: Sample | None = Field(None, description="Least number of proven devices in each wave. Default: 1.")


class BudgetPart(Part):
    """How many devices may be away at once."""

    by: TagNames | None = Field(
        None, description="Devices that share the values of these tags are a set. Default: the group is one set."
    )
    unavailable: Unavailable | None = Field(
        None, description="How many of a set, or what percentage of it. Required here or in the base."
    )


class WindowPart(Part):
    """When a rollout may send."""

    days: Days | None = Field(None, description="Days such as `mon` or `mon-fri`, or a list of them. Default: all.")
    from_: Time | None = Field(None, alias="from", description="HH:MM. Required here or in the base.")
    to: Time | None = Field(
        None, description="HH:MM; before `from`, it is that of the next day. Required here or in the base."
    )
    zone: Zone | None = Field(
        None, description="A time zone of the IANA database, such as Europe/London. Default: UTC."
    )


class PolicyPart(Part):
    """How a change reaches the devices of a group: in waves, each of which must prove itself."""

    waves: Annotated[list[WavePart], Field(min_length=1, max_length=MAX_WAVES)] | None = Field(
        None, description="The waves but for the last, which is the rest. Required here or in the base."
    )
    gate: GatePart | None = Field(None, description="When the next wave may open.")
    patience: Patience | None = Field(
        None, description="A reachable device that does not report its targets for longer is silent. Default: 1h."
    )
    budget: BudgetPart | None = Field(None, description="How many devices may be away at once. Default: no limit.")
    window: WindowPart | None = Field(None, description="When it may send. Default: always.")


class Document(Part):
    """A manifest document."""

    apiVersion: Literal["reconciler/v1"] = Field(description="The version of this format.")  # noqa: N815 - its spelling
    extends: LongText | None = Field(None, description="Path of a base, relative to this file.")
    application: Annotated[ApplicationPart, BeforeValidator(_identified)] | None = Field(
        None, description="Id of the application, or its id and name. A file without one is a base."
    )
    kind: Literal["embedded", "edge"] | None = Field(None, description="Kind of deployments. Default: embedded.")
    prune: PruneSetting | None = Field(None, description="Which undeclared rows to remove. Default: false.")
    flows: dict[AliasName, Name] | None = Field(None, description="Alias to flow id or name. Declares nothing.")
    groups: dict[Name, GroupPart] | None = Field(None, description="Group name to selector and flows.")
    devices: dict[Name, Flows] | None = Field(None, description="Device id or name to flow to version.")
    pins: list[PinPart] | None = Field(None, description="Exceptions, which win over devices and groups.")
    protect: list[ProtectPart] | None = Field(None, description="Rows that a plan must not touch.")
    limits: LimitsPart | None = Field(None, description="How much one plan may change.")
    rollouts: dict[PolicyName, PolicyPart] | None = Field(
        None, description="Policy name to waves and gate. A group names one by `rollout`."
    )
