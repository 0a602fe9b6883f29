"""The places that say which version of a flow runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import Problem, UsageError
from reconciler.manifest.document import Layer, canonical
from reconciler.manifest.tree import shown
from reconciler.model.rules import FlowRule
from reconciler.model.state import Kind, Place
from reconciler.planner.resolution.names import Spelling

_LISTED = 10
Owner = tuple[str, Kind]  # an application's id, and the kind


class Sort(StrEnum):
    """What declares a flow."""

    GROUP = "group"
    DEVICE = "device"
    PIN = "pin"


class Said(NamedTuple):
    """One document's group, device or pin that says a flow's version; `rule` may stand in one of its bases."""

    document: Layer
    sort: Sort
    name: str
    rule: FlowRule

    @property
    def place(self) -> Place:
        """The place of the flow's key."""
        return self.rule.flow.place

    @property
    def is_own(self) -> bool:
        """Whether the document itself says it."""
        return self.place.path == self.document.place.path

    @property
    def version(self) -> str:
        """The version as written."""
        return self.rule.version or "absent"

    @property
    def what(self) -> str:
        """`group "leeds"`, `pin for device "pump-7"`."""
        return f"{'pin for device' if self.sort is Sort.PIN else self.sort} {shown(self.name)}"


class Scope(NamedTuple):
    """Which places are meant: those of a group, a device or a pin; by default all."""

    group: str | None = None
    device: str | None = None
    pin: str | None = None

    def holds(self, said: Said) -> bool:
        """Whether a place is one of them."""
        wanted = {Sort.GROUP: self.group, Sort.DEVICE: self.device, Sort.PIN: self.pin}
        if not any(wanted.values()):
            return True
        name = wanted[said.sort]
        return name is not None and said.name == (name if said.sort is Sort.GROUP else canonical(name))


def owner(document: Layer) -> Owner:
    """What a document is for."""
    return (document.application.id if document.application else "", document.kind or Kind.EMBEDDED)


def owner_text(document: Layer) -> str:
    """`application 575e… (plant)`, with the kind where it is not the usual one."""
    application = document.application
    name = f" ({application.name})" if application and application.name else ""
    kind = f" {document.kind}" if document.kind not in (None, Kind.EMBEDDED) else ""
    return f"application {application.id if application else ''}{name}{kind}"


def all_said(document: Layer) -> Iterator[Said]:
    """Everything that a document says, with what its bases say."""
    for group in document.groups.values():
        for rule in group.flows:
            yield Said(document, Sort.GROUP, group.name, rule)
    for device in document.devices.values():
        for rule in device.flows:
            yield Said(document, Sort.DEVICE, device.device.text, rule)
    for pin in document.pins:
        for rule in pin.flows:
            yield Said(document, Sort.PIN, pin.device.text, rule)


class Flows:
    """The flows of documents, by alias, id or name. Documents of one application and kind share their aliases."""

    def __init__(self, documents: Iterable[Layer]) -> None:
        self._aliases: dict[Owner, dict[str, str]] = defaultdict(dict)
        for document in documents:
            own = {alias: target.value.text for alias, target in document.aliases.items()}
            self._aliases[owner(document)] |= own

    def aliases(self, document: Layer) -> Mapping[str, str]:
        """What each alias stands for."""
        return self._aliases[owner(document)]

    def meant(self, document: Layer, text: str) -> str:
        """The id or the Losant name that a text stands for in a document."""
        return self._aliases[owner(document)].get(text) or canonical(text)


def said_by(documents: Sequence[Layer], flow: str, scope: Scope) -> list[Said]:
    """The places that say which version of a flow runs.

    Raises:
        UsageError: there is none; it says what is near.
    """
    flows = Flows(documents)
    inside = [said for document in documents for said in all_said(document) if scope.holds(said)]
    found = [one for one in inside if flows.meant(one.document, one.rule.flow.text) == flows.meant(one.document, flow)]
    if found:
        return found
    if not inside and any(scope):
        raise _nothing_named(documents, scope)
    known = {one.rule.flow.text for one in inside}
    whole = inside[0].what if any(scope) else "nothing here"
    message = f"{whole} {'does not declare' if any(scope) else 'declares'} flow {shown(flow)}"
    aliases = {alias for document in documents for alias in flows.aliases(document)} if not any(scope) else set()
    near = Spelling(known | aliases).hint(flow)
    hint = near or f"declared: {_some(known)}; `set` changes what is declared, so add the flow by hand first"
    raise UsageError([Problem(message, hint=hint)])


def _nothing_named(documents: Sequence[Layer], scope: Scope) -> UsageError:
    [(sort, name)] = [(sort, name) for sort, name in zip(Sort, scope, strict=True) if name]
    known = {said.name for document in documents for said in all_said(document) if said.sort is sort}
    noun = "pin for a device" if sort is Sort.PIN else sort
    hint = Spelling(known).hint(name) or (f"there are: {_some(known)}" if known else "there are none")
    return UsageError([Problem(f"there is no {noun} named {shown(name)}", hint=hint)])


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")
