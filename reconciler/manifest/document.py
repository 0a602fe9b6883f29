"""One document as typed values with places, before `extends` and merging."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from reconciler.errors import Problem
from reconciler.manifest.policies import PolicyLayer, RolloutLayer, Value, waves_of
from reconciler.manifest.scalars import NO_ROLLOUT
from reconciler.manifest.schema import (
    Document,
    GroupPart,
    LimitsPart,
    PinPart,
    PolicyPart,
    ProtectPart,
    RolloutPart,
    SelectPart,
    WavePart,
)
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
    Wave,
)
from reconciler.model.state import NO_ITEMS, Kind, Place
from reconciler.model.text import is_id


class GroupLayer(NamedTuple):
    """The parts of a group that one document sets; None for those that it does not."""

    name: str
    place: Place
    select: Selector | None = None
    flows: tuple[FlowRule, ...] = ()
    priority: int | None = None
    salt: str | None = None
    rollout: RolloutLayer | None = None
    may_be_empty: bool | None = None


T = TypeVar("T")


class Placed(NamedTuple, Generic[T]):
    """A setting or an alias, and the place of its key."""

    place: Place
    value: T


class Layer(NamedTuple):
    """One document. `extends` is the base's path as written; `limits` has `removals_count` etc. if set.

    `refused_policies`: names of policies that were dropped for their problems; None if nobody knows how many.
    """

    place: Place
    extends: Ref | None = None
    application: ApplicationRef | None = None
    kind: Kind | None = None
    prune: Placed[Prune] | None = None
    aliases: Mapping[str, Placed[Ref]] = NO_ITEMS
    groups: Mapping[str, GroupLayer] = NO_ITEMS
    devices: Mapping[str, DeviceRules] = NO_ITEMS
    pins: tuple[Pin, ...] = ()
    protect: tuple[Protection, ...] = ()
    limits: Placed[Mapping[str, int | Decimal]] | None = None
    policies: Mapping[str, PolicyLayer] = NO_ITEMS
    refused_policies: frozenset[str] | None = frozenset()
    manifests: tuple[Source, ...] = ()


def canonical(text: str) -> str:
    """A reference in canonical form: ids in lower case, names unchanged."""
    return text.lower() if is_id(text) else text


def layer_of(document: Document, tree: Map, path: str, source: Source, problems: list[Problem]) -> Layer:
    """The typed parts of a valid document. `tree` is what `document` was made from."""
    return _Reader(path, problems).layer(document, tree, source)


class _Reader:
    """Combines the values that pydantic validated with their places."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self.spelled: dict[str, str] = {}  # a file has few distinct flows, each many times

    def place(self, mark: Mark) -> Place:
        return place_of(self.path, mark)

    def ref(self, text: str, mark: Mark) -> Ref:
        return Ref(canonical(text), self.place(mark))

    def layer(self, document: Document, tree: Map, source: Source) -> Layer:
        no_map, no_list = Map(tree.mark), Seq(tree.mark)
        keys, values = tree.key_marks, tree.value_marks
        application = document.application
        return Layer(
            place=self.place(tree.mark),
            extends=Ref(document.extends, self.place(values["extends"])) if document.extends else None,
            application=ApplicationRef(application.id, self.place(values["application"]), application.name)
            if application
            else None,
            kind=Kind(document.kind) if document.kind else None,
            prune=Placed(self.place(keys["prune"]), Prune(document.prune)) if document.prune else None,
            aliases=self.aliases(tree.get("flows", no_map)),
            groups=self.groups(document.groups or {}, tree.get("groups", no_map)),
            devices=self.devices(tree.get("devices", no_map)),
            pins=self.pins(document.pins or [], tree.get("pins", no_list)),
            protect=self.protect(document.protect or [], tree.get("protect", no_list)),
            limits=Placed(self.place(keys["limits"]), _flat(document.limits)) if document.limits else None,
            policies=self.policies(document.rollouts or {}, tree.get("rollouts", no_map)),
            manifests=(source,),
        )

    def aliases(self, tree: Map) -> dict[str, Placed[Ref]]:
        marks = zip(tree.key_marks.values(), tree.value_marks.values(), strict=True)
        return {
            alias: Placed(self.place(key), self.ref(flow, value))
            for (alias, flow), (key, value) in zip(tree.items(), marks, strict=True)
        }

    def flows(self, tree: Map) -> tuple[FlowRule, ...]:
        path, spelled = self.path, self.spelled
        return tuple(
            [
                FlowRule(
                    Ref(
                        spelled.get(flow) or spelled.setdefault(flow, canonical(flow)),
                        Place(path, mark.line + 1, mark.column + 1),
                    ),
                    None if version == "absent" else version,
                )
                for (flow, version), mark in zip(tree.items(), tree.key_marks.values(), strict=True)
            ]
        )

    def devices(self, tree: Map) -> dict[str, DeviceRules]:
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

    def groups(self, parts: Mapping[str, GroupPart], tree: Map) -> dict[str, GroupLayer]:
        groups = {}
        for (name, part), mark in zip(parts.items(), tree.key_marks.values(), strict=True):
            body: Map = tree[name]
            select = self.selector(part.select, body["select"], body.key_marks["select"]) if part.select else None
            flows = self.flows(body["flows"]) if part.flows else ()
            rollout = self.rollout(part.rollout, body) if part.rollout else None
            groups[name] = GroupLayer(
                name, self.place(mark), select, flows, part.priority, part.salt, rollout, part.may_be_empty
            )
        return groups

    def rollout(self, part: RolloutPart, group: Map) -> RolloutLayer:
        place, written, mark = self.place(group.key_marks["rollout"]), group["rollout"], group.value_marks["rollout"]
        if not isinstance(written, Map):
            return RolloutLayer(place, None if written == NO_ROLLOUT else Ref(written, self.place(mark)))
        marks = written.value_marks
        policy = Ref(part.policy, self.place(marks["policy"])) if part.policy else None
        up_to = Value(self.place(marks["up_to"]), part.up_to) if part.up_to is not None else None
        return RolloutLayer(place, policy, up_to, whole=False)

    def policies(self, parts: Mapping[str, PolicyPart], tree: Map) -> dict[str, PolicyLayer]:
        policies = {}
        for (name, part), mark in zip(parts.items(), tree.key_marks.values(), strict=True):
            body: Map = tree[name]
            values = {key: Value(self.place(at), None) for key, at in body.key_marks.items()}
            for key, inner in body.items():
                if key == "waves" and part.waves:
                    values[key] = Value(values[key].place, self.waves(part.waves, inner))
                elif isinstance(inner, Map):
                    given = getattr(part, key).model_dump(by_alias=True, exclude_none=True)
                    values |= {f"{key}.{one}": Value(self.place(inner.key_marks[one]), given[one]) for one in inner}
                else:
                    values[key] = Value(values[key].place, getattr(part, key))
            policies[name] = PolicyLayer(name, self.place(mark), values)
        return policies

    def waves(self, parts: list[WavePart], tree: Seq) -> tuple[Wave, ...]:
        selectors = [self.selector(part, body, at) for part, body, at in zip(parts, tree, tree.marks, strict=True)]
        places = [self.place(body.value_marks.get("percent", at)) for body, at in zip(tree, tree.marks, strict=True)]
        return waves_of(selectors, places, self.problems)

    def selector(self, part: SelectPart | WavePart, tree: Map, mark: Mark) -> Selector:
        listed: Seq = tree.get("devices", Seq(mark))
        return Selector(
            self.place(mark),
            devices=tuple(self.ref(text, at) for text, at in zip(listed, listed.marks, strict=True)) or None,
            tags={key: tuple(values) for key, values in part.tags.items()} if part.tags else None,
            query=part.query if isinstance(part, SelectPart) else None,
            all=isinstance(part, SelectPart) and part.all is not None,
            percent=part.percent,
            exclude=self.selector(part.exclude, tree["exclude"], tree.key_marks["exclude"]) if part.exclude else None,
        )

    def pins(self, parts: list[PinPart], tree: Seq) -> tuple[Pin, ...]:
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

    def protect(self, parts: list[ProtectPart], tree: Seq) -> tuple[Protection, ...]:
        return tuple(
            Protection(
                self.place(mark),
                self.ref(part.device, body.value_marks["device"]) if part.device else None,
                self.ref(part.flow, body.value_marks["flow"]) if part.flow else None,
                Forbid(part.forbid or "removal"),
            )
            for part, body, mark in zip(parts, tree, tree.marks, strict=True)
        )


def _flat(limits: LimitsPart) -> dict[str, int | Decimal]:
    given = limits.model_dump(exclude_none=True)
    return {f"{name}_{unit}": limit for name, pair in given.items() for unit, limit in pair.items()}
