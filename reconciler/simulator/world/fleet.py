"""The fleet that a simulator starts with: applications, flows, devices and what runs on them.

The models define the format of the fleet file (`README.md` has examples). `fleet_file` reads YAML or plain data into
them and reports every problem with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from reconciler.simulator.faults import Fault
from reconciler.simulator.world.outcomes import Outcome, rule
from reconciler.simulator.world.records import ID_PATTERN, RESERVED_VERSIONS, TAG_KEY_PATTERN, object_id
from reconciler.simulator.world.store import Sleeps, Switches

_COUNTER = re.compile(r"\{n(:0?\d*)?\}")


def _not_reserved(version: str) -> str:
    if version in RESERVED_VERSIONS:
        raise ValueError(f'"{version}" is not allowed as the name of a version')
    return version


Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Version: TypeAlias = Annotated[Text, AfterValidator(_not_reserved)]
Id: TypeAlias = Annotated[str, StringConstraints(pattern=ID_PATTERN, to_lower=True)]
TagKey: TypeAlias = Annotated[str, StringConstraints(pattern=TAG_KEY_PATTERN)]
AgentVersion: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=10**9)]
TakeUp: TypeAlias = Seconds | Literal["never"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Deployed(_Part):
    """One flow on one device. A bare version means both released and reported."""

    released: Version | None = None
    reported: Version | None = None

    @model_validator(mode="before")
    @classmethod
    def _both_sides(cls, value: Any) -> Any:
        return {"released": value, "reported": value} if isinstance(value, str) else value


class Definition(_Part):
    """What a version of a workflow is made of. Its parts are stored as they are; nothing runs them."""

    triggers: tuple[dict[str, Any], ...] = ()
    nodes: tuple[dict[str, Any], ...] = ()
    globals: tuple[dict[str, Any], ...] = ()
    minimumAgentVersion: AgentVersion | None = None  # noqa: N815 - the API's spelling


class Flow(_Part):
    """A workflow. A bare list means its versions; `deleted` ones no longer exist but may still be on devices."""

    name: Text
    id: Id | None = None
    flow_class: Literal["cloud", "edge", "embedded", "experience", "customNode"] = Field("embedded", alias="class")
    versions: tuple[Version, ...] = ()
    deleted: tuple[Version, ...] = ()
    enabled: bool = True


class Device(_Part):
    """A device, or `count` of them with `{n}` (or `{n:04}`) in their names, numbered from `start`."""

    name: Text
    id: Id | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    start: Annotated[int, Field(ge=0)] = 1
    device_class: Literal["standalone", "gateway", "peripheral", "floating", "edgeCompute", "system", "embedded"] = (
        Field("embedded", alias="class")
    )
    description: str | None = None
    tags: dict[TagKey, tuple[Text, ...]] = Field(default_factory=dict)
    parent: Id | None = None
    connected: bool | None = True
    take_up_s: TakeUp | None = None
    deployed: dict[str, Deployed] = Field(default_factory=dict)
    deployed_for_s: Seconds | None = None
    fails: dict[str, dict[Version, Text]] = Field(default_factory=dict)
    dies: dict[str, dict[Version, Seconds]] = Field(default_factory=dict)
    silent: dict[str, tuple[Version, ...]] = Field(default_factory=dict)
    unknown: dict[str, tuple[Version, ...]] = Field(default_factory=dict)
    sleeps: Sleeps | None = None
    unknown_bundle: bool | Text = False

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if isinstance(tags := value.get("tags"), dict):
            value["tags"] = {key: (text,) if isinstance(text, str) else text for key, text in tags.items()}
        if isinstance(unknown := value.get("unknown_bundle"), str) and unknown.lower() in ("true", "false"):
            value["unknown_bundle"] = unknown.lower() == "true"
        return value

    def outcomes(self) -> Iterator[tuple[str, str, Version, Outcome]]:
        """What becomes of versions: key of the file, flow, version, outcome."""
        for flow, errors in self.fails.items():
            yield from (("fails", flow, version, rule("fails", error=error)) for version, error in errors.items())
        for flow, lives in self.dies.items():
            yield from (("dies", flow, version, rule("dies", after_s=after_s)) for version, after_s in lives.items())
        for key, found in (("silent", self.silent), ("unknown", self.unknown)):
            yield from ((key, flow, version, rule(key)) for flow, versions in found.items() for version in versions)

    @property
    def is_counted(self) -> bool:
        """Whether the name contains a counter."""
        return bool(_COUNTER.search(self.name))

    def named(self) -> Iterator[str]:
        """The names of the devices that this entry describes."""
        if not self.is_counted:
            yield self.name
            return
        for n in range(self.start, self.start + self.count):
            yield _COUNTER.sub(lambda hit, n=n: format(n, (hit[1] or ":")[1:]), self.name)  # type: ignore[misc]


class Token(_Part):
    """An access token: of an application, or, in the fleet, of a user with access to every application."""

    text: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,4096}$")]
    scopes: tuple[str, ...] = ("all.Application",)
    expires: datetime | None = None


class Application(_Part):
    """One application with everything in it. `flows` may be a mapping from name to versions or to a flow."""

    name: Text
    id: Id | None = None
    flows: tuple[Flow, ...] = ()
    devices: tuple[Device, ...] = ()
    tokens: tuple[Token, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _flows_by_name(cls, value: Any) -> Any:
        if not (isinstance(value, dict) and isinstance(flows := value.get("flows"), dict)):
            return value
        named = {name: flow if isinstance(flow, dict) else {"versions": flow} for name, flow in flows.items()}
        return {**value, "flows": [{"name": name, **flow} for name, flow in named.items()]}

    @cached_property
    def object_id(self) -> str:
        """The id given, or the one that follows from the name."""
        return self.id or object_id("application", self.name)

    def flow_id(self, flow: Flow) -> str:
        """The id given, or the one that follows from the name."""
        return flow.id or object_id(self.object_id, "flow", flow.name)

    def device_id(self, name: str, device: Device) -> str:
        """The id given, or the one that follows from the name."""
        return device.id or object_id(self.object_id, "device", name)

    @cached_property
    def flows_by_reference(self) -> Mapping[str, list[Flow]]:
        """Flows by id and by name; several may have the same name."""
        found: dict[str, list[Flow]] = {}
        for flow in self.flows:
            found.setdefault(flow.name, []).append(flow)
            found.setdefault(self.flow_id(flow), []).append(flow)
        return found


class Fleet(_Part):
    """The initial state of a simulator. `fleet_check.check_fleet` checks its consistency."""

    applications: tuple[Application, ...]
    tokens: tuple[Token, ...] = ()
    take_up_s: TakeUp = 1.0
    deployed_for_s: Seconds | None = None
    switches: Switches = Switches()
    faults: tuple[Fault, ...] = ()
