"""One document as typed parts with places, before `extends` and merging: what a file says, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from reconciler.errors import Problem
from reconciler.manifest.schema import Document, GroupPart, PinPart, ProtectPart, SelectPart
from reconciler.manifest.tree import Map, Mark, Seq, place_of, shown
from reconciler.model.rules import (
    ApplicationRef,
    DeviceRules,
    FlowRule,
    Forbid,
    Pin,
    Protection,
    Prune,
    Ref,
    Selector,
    Source,
)
from reconciler.model.state import Kind, Place
from reconciler.model.text import is_id


class GroupLayer(NamedTuple):
    """What one document says of a group; None where it says nothing."""

    name: str
    place: Place
    select: Selector | None = None
    flows: tuple[FlowRule, ...] = ()
    priority: int | None = None
    salt: str | None = None


class Alias(NamedTuple):
    """`alias: flow`, placed at the alias."""

    place: Place
    flow: Ref


class PruneRule(NamedTuple):
    """`prune`, placed."""

    place: Place
    prune: Prune


class LimitRules(NamedTuple):
    """`limits`, as far as given: `removals.count` and so on."""

    place: Place
    given: Mapping[str, int | Decimal]


@dataclass(frozen=True, slots=True)
class Layer:
    """One document. `extends` is the base's path as written."""

    place: Place
    extends: Ref | None = None
    application: ApplicationRef | None = None
    kind: Kind | None = None
    prune: PruneRule | None = None
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    groups: Mapping[str, GroupLayer] = field(default_factory=dict)
    devices: Mapping[str, DeviceRules] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    protect: tuple[Protection, ...] = ()
    limits: LimitRules | None = None
    sources: tuple[Source, ...] = ()


def canonical(text: str) -> str:
    """A reference in the one spelling we keep: ids in lower case, names as they are."""
    return text.lower() if is_id(text) else text


def layer_of(document: Document, tree: Map, path: str, source: Source, problems: list[Problem]) -> Layer:
    """The typed parts of a document that has the right shape. `tree` is what `document` was made from."""
    return _Reader(path, problems).layer(document, tree, source)


class _Reader:
    """Pairs what pydantic read with where it stands."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self.spelled: dict[str, str] = {}

    def place(self, mark: Mark) -> Place:
        return place_of(self.path, mark)

    def ref(self, text: str, mark: Mark) -> Ref:
        return Ref(canonical(text), self.place(mark))

    def layer(self, document: Document, tree: Map, source: Source) -> Layer:
        return Layer(
            place=self.place(tree.mark),
            extends=Ref(document.extends, self.place(tree.value_marks["extends"])) if document.extends else None,
            application=self.application(document, tree),
            kind=Kind(document.kind) if document.kind else None,
            prune=PruneRule(self.place(tree.key_marks["prune"]), Prune(document.prune)) if document.prune else None,
            aliases=self.aliases(tree.get("flows")),
            groups=self.groups(document.groups or {}, tree.get("groups")),
            devices=self.devices(tree.get("devices")),
            pins=self.pins(document.pins or [], tree.get("pins")),
            protect=self.protect(document.protect or [], tree.get("protect")),
            limits=self.limits(document, tree),
            sources=(source,),
        )

    def application(self, document: Document, tree: Map) -> ApplicationRef | None:
        part = document.application
        if part is None:
            return None
        return ApplicationRef(part.id, self.place(tree.value_marks["application"]), part.name)

    def aliases(self, tree: Map | None) -> dict[str, Alias]:
        if tree is None:
            return {}
        return {
            alias: Alias(self.place(tree.key_marks[alias]), self.ref(flow, tree.value_marks[alias]))
            for alias, flow in tree.items()
        }

    def flows(self, tree: Map) -> tuple[FlowRule, ...]:
        path, spelled = self.path, self.spelled
        return tuple(
            [
                FlowRule(
                    Ref(spelled.get(flow) or self.spell(flow), Place(path, mark.line + 1, mark.column + 1)),
                    None if version == "absent" else version,
                )
                for (flow, version), mark in zip(tree.items(), tree.key_marks.values(), strict=True)
            ]
        )

    def spell(self, flow: str) -> str:
        """A flow's canonical spelling, kept: a file names few flows, and each many times."""
        return self.spelled.setdefault(flow, canonical(flow))

    def devices(self, tree: Map | None) -> dict[str, DeviceRules]:
        if tree is None:
            return {}
        devices: dict[str, DeviceRules] = {}
        for (text, flows), mark in zip(tree.items(), tree.key_marks.values(), strict=True):
            device = self.ref(text, mark)
            if device.text in devices:
                first = devices[device.text].device.place
                message = f"device {shown(text)} is declared in two places, first at {first}"
                self.problems.append(device.place.problem(message, "keep one of them"))
            else:
                devices[device.text] = DeviceRules(device, self.flows(flows))
        return devices

    def groups(self, parts: Mapping[str, GroupPart], tree: Map | None) -> dict[str, GroupLayer]:
        if tree is None:
            return {}
        groups = {}
        for (name, part), mark in zip(parts.items(), tree.key_marks.values(), strict=True):
            body: Map = tree[name]
            select = None
            if part.select is not None:
                select = self.selector(part.select, body["select"], body.key_marks["select"])
            flows = self.flows(body["flows"]) if part.flows else ()
            groups[name] = GroupLayer(name, self.place(mark), select, flows, part.priority, part.salt)
        return groups

    def selector(self, part: SelectPart, tree: Map, mark: Mark) -> Selector:
        devices = None
        if part.devices is not None:
            seq: Seq = tree["devices"]
            devices = tuple(self.ref(text, at) for text, at in zip(seq, seq.marks, strict=True))
        exclude = None
        if part.exclude is not None:
            exclude = self.selector(part.exclude, tree["exclude"], tree.key_marks["exclude"])
        tags = {key: tuple(values) for key, values in part.tags.items()} if part.tags else None
        return Selector(self.place(mark), devices, tags, part.query, part.all is not None, part.percent, exclude)

    def pins(self, parts: list[PinPart], tree: Seq | None) -> tuple[Pin, ...]:
        if tree is None:
            return ()
        return tuple(
            Pin(
                self.place(mark),
                self.ref(part.device, body.value_marks["device"]),
                self.flows(body["flows"]),
                part.reason,
                part.until,
            )
            for part, body, mark in zip(parts, tree, tree.marks, strict=True)
        )

    def protect(self, parts: list[ProtectPart], tree: Seq | None) -> tuple[Protection, ...]:
        if tree is None:
            return ()
        return tuple(
            Protection(
                self.place(mark),
                self.ref(part.device, body.value_marks["device"]) if part.device else None,
                self.ref(part.flow, body.value_marks["flow"]) if part.flow else None,
                Forbid(part.forbid or "removal"),
            )
            for part, body, mark in zip(parts, tree, tree.marks, strict=True)
        )

    def limits(self, document: Document, tree: Map) -> LimitRules | None:
        if document.limits is None:
            return None
        given: dict[str, int | Decimal] = {}
        for name, part in (("removals", document.limits.removals), ("changes", document.limits.changes)):
            for unit in ("count", "percent"):
                if part is not None and (value := getattr(part, unit)) is not None:
                    given[f"{name}_{unit}"] = value
        return LimitRules(self.place(tree.key_marks["limits"]), given)
