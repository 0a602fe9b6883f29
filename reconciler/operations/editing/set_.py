"""`set`: one flow's version, in the one place that says it, and for one application unless the base is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reconciler.errors import Problem, UsageError
from reconciler.manifest.comparing.symbolic import resolve_symbolically
from reconciler.manifest.document import Layer
from reconciler.manifest.load import Loaded
from reconciler.manifest.tree import shown
from reconciler.model.state import Place
from reconciler.model.text import and_more, counted
from reconciler.operations.editing.drafts import Drafts, Edited
from reconciler.operations.editing.loading import documents_of
from reconciler.operations.editing.places import Owner, Said, Scope, Sort, owner, owner_text, said_by
from reconciler.operations.editing.reach import Reach, reaching

_LISTED = 20


class Edit(NamedTuple):
    """What an edit does to files, which are not written yet, and what whoever asked for it should know."""

    files: tuple[Edited, ...]
    notes: tuple[str, ...]


def set_version(
    flow: str,
    version: str,
    paths: Sequence[str],
    *,
    scope: Scope,
    application: str | None = None,
    kind: str | None = None,
    base: bool = False,
) -> Edit:
    """Say another version of a flow where it is said. Writes nothing.

    Where a base says it that other applications reach, too, the document gets an entry of its own. Rules that
    contradict one another afterwards are told: the next edit may mend that.

    Args:
        flow: its alias, id or name.
        version: the version's name, or `absent`.
        paths: files and folders.
        scope: the group, device or pin that is meant.
        application: only this one, by id or name.
        kind: only this one.
        base: edit the base, for every application that reaches it.

    Raises:
        ManifestError: the files have problems, or an edit there would change something else.
        UsageError: no place says it, or several do.
    """
    files = Drafts()
    before = _conflicts(files.load(paths))
    documents = documents_of(paths, files, application=application, kind=kind)
    found, excepted = _without_exceptions(said_by(documents, flow, scope))
    edit = _edit(files, found, version, (flow, paths), base=base)
    new = [str(problem) for problem in _conflicts(files.load(paths)) if problem not in before]
    refused = (f"`validate` refuses it now: {one}" for one in new[:_LISTED])
    return edit._replace(notes=(*edit.notes, *excepted, *refused))


def _without_exceptions(found: Sequence[Said]) -> tuple[Sequence[Said], Sequence[str]]:
    """Where but one group says it, pins are its exceptions: they are left out, and a note says so of each."""
    groups, pins = ([one for one in found if one.sort is sort] for sort in (Sort.GROUP, Sort.PIN))
    owners = {owner(one.document) for one in groups}
    is_one = len({one.place for one in groups}) == 1 and len(groups) + len(pins) == len(found)
    if not (pins and is_one and owners.issuperset(owner(one.document) for one in pins)):
        return found, ()
    kept = dict.fromkeys(f"{one.place}: {one.what} stays at {one.version}; --pin edits it" for one in pins)
    more = [and_more(len(kept) - _LISTED, "pin").strip()] if len(kept) > _LISTED else []
    return groups, [*[*kept][:_LISTED], *more]


def _conflicts(loaded: Loaded) -> list[Problem]:
    """What the rules of each application contradict one another in, as far as that can be told without the API."""
    return [problem for rules in loaded.rules for problem in resolve_symbolically(rules).resolution.problems]


def _edit(files: Drafts, found: Sequence[Said], version: str, asked: tuple[str, Sequence[str]], *, base: bool) -> Edit:
    """`found`: all that says the version. `asked`: the flow and the paths, as they were given."""
    flow, paths = asked
    places = _the_place([one for one in found if not one.is_own] if base else found, found, flow, base=base)
    said = places[0]
    if said.version == version:
        return Edit((), (f"{said.place}: {said.what} says {version} already",))
    if said.is_own:
        files.edit_value(said, version, paths, {said.document.place})
        return Edit(tuple(files.edited()), ())
    reach = reaching(said.place.path, files, files.load(paths).documents)
    others = {owner(one) for one in reach.documents} - {owner(said.document)}
    if base or not (others or reach.unknown):
        moving = {one.place: one for one in reach.documents if said.place in _places(one)}
        files.edit_value(said, version, (*paths, *reach.files), moving)
        return Edit(tuple(files.edited()), _moved(said, moving, reach))
    if len(places) > 1:
        owners = owner_text(said.document)
        message = f"{len(places)} documents of {owners} reach this place, so none can override it alone"
        listed = [one.document.place.problem(f"extends {said.place.path}") for one in places]
        raise UsageError([said.place.problem(message, "edit the base with --base"), *listed])
    files.add_override(said, version, paths)
    return Edit(tuple(files.edited()), (overriding(said, reach),))


def overriding(said: Said, reach: Reach) -> str:
    """The note on an entry that overrides a base."""
    others = {one.place.path for one in reach.documents if owner(one) != owner(said.document)}
    also = sorted(others.union(reach.unknown))
    who = f", which {_some(also)} {'reaches' if len(also) == 1 else 'reach'}, too" if also else ""
    return f"{said.document.place.path} overrides {said.what} of {said.place}{who}; --base edits the base"


def _the_place(found: Sequence[Said], all_found: Sequence[Said], flow: str, *, base: bool) -> list[Said]:
    """What says it, once for each document of the one application and kind.

    Raises:
        UsageError: several places are meant.
    """
    if not found:
        listed = [_shown(one) for one in all_found[:_LISTED]]
        raise UsageError([Problem(f"no base declares flow {shown(flow)}", hint="leave out --base"), *listed])
    targets: dict[tuple[Place, Owner | None], list[Said]] = {}
    for said in found:
        targets.setdefault((said.place, None if base else owner(said.document)), []).append(said)
    if len(targets) == 1:
        [places] = targets.values()
        return places
    if len({place for place, _ in targets}) == 1:
        message = f"{len(targets)} applications reach the place that declares flow {shown(flow)}"
        hint = "choose one with --application (and --kind), or edit the base for all with --base"
    else:
        message = f"flow {shown(flow)} is declared in {len(targets)} places"
        hint = "choose one with --group, --device or --pin, --application and --kind, or give its file"
    problems = [_shown(places[0]) for places in targets.values()]
    more = [Problem(and_more(len(problems) - _LISTED, "place").strip())] if len(problems) > _LISTED else []
    raise UsageError([Problem(message, hint=hint), *problems[:_LISTED], *more])


def _shown(said: Said) -> Problem:
    by = "" if said.is_own else f", through {said.document.place.path}"
    return said.place.problem(f"{said.what} of {owner_text(said.document)} says {said.version}{by}")


def _moved(said: Said, moving: Mapping[Place, Layer], reach: Reach) -> tuple[str, ...]:
    """The notes on an edit of a base: every document whose own rule does not override it moves."""
    owners = {owner(one) for one in moving.values()}
    listed = [f"moves with it: {owner_text(one)}, {place.path}" for place, one in sorted(moving.items())]
    unknown = [f"may move with it, and cannot be read: {path}" for path in reach.unknown]
    moves = f"{said.place.path} is a base: {counted(len(moving), 'document')} of {counted(len(owners), 'application')}"
    return (f"{moves} {'moves' if len(moving) == 1 else 'move'} with it", *listed, *unknown)


def _places(document: Layer) -> set[Place]:
    rules = [rule for group in document.groups.values() for rule in group.flows]
    rules += [rule for device in document.devices.values() for rule in device.flows]
    rules += [rule for pin in document.pins for rule in pin.flows]
    return {rule.flow.place for rule in rules}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + and_more(max(0, len(names) - 3), "")
