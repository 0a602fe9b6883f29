"""Analysis of rules without the API: conflicts, and differences in meaning between two sets of rules.

A selector that only the API can expand is treated as one placeholder device, a subject, named by its text in angle
brackets. Names are used as ids. So the same resolution works with and without the API, and finds the same conflicts.

Two sides are compared as maps of their meaning: without places, group names, reasons or order. Equal keys are removed
first; DeepDiff explains the others, with a threshold that makes it descend even if two maps share few keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from reconciler.manifest.comparing.rollouts import Rollouts
from reconciler.model.plan import Gone
from reconciler.model.rules import DEFAULT_LIMITS, Difference, Limits, Protection, Prune, Rules
from reconciler.model.state import Device, FlowId, Kind, Place
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.resolve import Resolution, resolve
from reconciler.planner.resolution.selector import is_explicit, needs_of, symbolic


@dataclass(frozen=True, slots=True)
class Offline:
    """A resolution whose device and flow ids may be names, and whose devices include `subjects` for selectors."""

    resolution: Resolution
    subjects: frozenset[str]


def resolve_symbolically(rules: Rules) -> Offline:
    """Resolve without an inventory. `resolution.problems` are conflicts that no state of the API can remove."""
    groups = tuple(group if is_explicit(group.select) else symbolic(group) for group in rules.groups)
    unwaved = tuple(group._replace(rollout=None) for group in groups)  # which devices a wave has, only the API knows
    rules = rules._replace(groups=unwaved, policies={})
    needs = needs_of(rules)
    inventory = Inventory(
        devices={name: Device(name, name) for name in needs.device_names},
        flows={name: (name,) for name in needs.flow_names},
        queries={subject: frozenset({subject}) for subject in needs.queries},
    )
    return Offline(resolve(rules, inventory, today=date.min), frozenset(needs.queries))


Relative: TypeAlias = Callable[[str], str]  # a path as shown -> from the root of its side


def gone(
    before: Iterable[Rules], after: Iterable[Rules], *, revision: str, sides: tuple[Relative, Relative] | None = None
) -> tuple[Gone, ...]:
    """The applications, kinds and files of an earlier revision that nothing is planned for any more.

    A file is gone if its path is, and with it some declared row, as far as that can be told without the API: moving and
    renaming loses nothing. `sides`: what makes the paths of both sides comparable; without them no file is looked for.
    """
    now = {(one.application.id, one.kind): one for one in after}
    ids = {application_id for application_id, _ in now}
    found: list[Gone] = []
    for one in before:
        present = now.get((one.application.id, one.kind))
        name = f' "{one.application.name}"' if one.application.name else ""
        what = f"application {one.application.id}{name} ({one.kind})"
        if present is None:
            other = "; its other kind is still there" if one.application.id in ids else ""
            message = f"{what} is gone: {revision} declared it in {', '.join(one.paths)}{other}"
            found.append(Gone(message, one.application.place, _RETIRE))
        elif sides:
            was, now_is = sides
            there = set(map(now_is, present.paths))
            if own := [path for path in one.paths if was(path) not in there]:
                found += [gone_file(path, one) for path in _lost(one, present, own)]
    return tuple(sorted(found, key=lambda warning: warning.sort_key))


def gone_file(path: str, rules: Rules) -> Gone:
    """A file of an earlier revision whose rows nothing declares any more."""
    message = f"{path} is gone, and with it what it declared for application {rules.application.id} ({rules.kind})"
    return Gone(message, Place(path, 1), _RETIRE)


def own_path(path: str, revision: str) -> str:
    """A path of a revision, as it is shown on disk."""
    return path.removeprefix(f"{revision}:")


_RETIRE = "nothing is planned or sent for it, and what is released stays; docs/ci.md says how to retire it"


def _lost(before: Rules, after: Rules, paths: Collection[str]) -> list[str]:
    """Those of the paths with rows that are not declared any more."""
    was, now = (resolve_symbolically(one).resolution.desired for one in (before, after))
    declared = {(subject, flow_id) for subject, flow_id, _ in now.rows()}
    left = {decision.place.path for *row, decision in was.rows() if tuple(row) not in declared}
    return [path for path in paths if path in left]


# Key -> text. Keys are such as ("version", subject, flow), ("priority", subject, flow), ("limits", "removals count").
Meaning: TypeAlias = dict[tuple[str, ...], str]


def compare(base: Iterable[Rules], head: Iterable[Rules]) -> tuple[Difference, ...]:
    """Every difference, sorted by application, kind, subject and flow."""
    before, after = ({(one.application.id, one.kind): one for one in side} for side in (base, head))
    keys = before.keys() | after.keys()
    found = (one for key in keys for one in _compared(key, before.get(key), after.get(key)))
    return tuple(sorted(found, key=_order))


def _compared(key: tuple[str, Kind], before: Rules | None, after: Rules | None) -> Iterator[Difference]:
    base, head = _Side(before), _Side(after)
    yield from _differences(key, base, head)
    if rollouts := Rollouts(key, before, after):
        yield from rollouts.differences()
        aliases = {**base.aliases, **head.aliases}
        for row in base.groups.keys() & head.groups.keys():
            subject, flow_id = row
            yield from rollouts.of_row(subject, aliases.get(flow_id, flow_id), base.groups[row], head.groups[row])


def _order(one: Difference) -> tuple[str, ...]:
    return (one.application, one.kind, "row" if one.flow else "setting", one.subject or "", one.flow or "", one.what)


class _Side:
    """One side of a comparison, perhaps empty: its meaning, its aliases by flow, the places and groups of its rows."""

    def __init__(self, rules: Rules | None) -> None:
        self.meaning: Meaning = {("prune",): str(Prune.OFF)}
        self.places: dict[tuple[str, FlowId], Place] = {}
        self.groups: dict[tuple[str, FlowId], str | None] = {}  # None for rows that no group decides
        self.aliases: dict[FlowId, str] = {}
        if rules is None:
            return
        offline = resolve_symbolically(rules)
        priorities = {group.name: group.priority for group in rules.groups}
        contested = _contested(offline)
        self.aliases = {flow_id: alias for alias, flow_id in sorted(offline.resolution.aliases.items(), reverse=True)}
        self.meaning = _settings(rules)
        for subject, flow_id, decision in offline.resolution.desired.rows():
            self.meaning["version", subject, flow_id] = decision.version or "absent"
            if decision.group is not None and flow_id in contested:
                self.meaning["priority", subject, flow_id] = str(priorities[decision.group])
            self.places[subject, flow_id] = decision.place
            self.groups[subject, flow_id] = decision.group


def _contested(offline: Offline) -> set[FlowId]:
    """Flows that several selectors declare: for these, group priorities are part of the meaning."""
    declaring: dict[FlowId, set[str]] = defaultdict(set)
    for subject, flow_id, decision in offline.resolution.desired.rows():
        if any(one.group is not None for one in (decision, *decision.overrides)):
            declaring[flow_id].add(subject if subject in offline.subjects else "")
    return {flow_id for flow_id, subjects in declaring.items() if len(subjects) > 1}


def _settings(rules: Rules) -> Meaning:
    settings: Meaning = {("prune",): str(rules.prune)}
    if rules.application.name is not None:
        settings["name",] = rules.application.name
    for name in Limits._fields:
        if name != "place" and (value := getattr(rules.limits, name)) != getattr(DEFAULT_LIMITS, name):
            settings["limits", name.replace("_", " ")] = str(value)
    settings |= {("may_be_empty", f"of group {one.name}"): "true" for one in rules.groups if one.may_be_empty}
    return settings | {("protect", _protection_text(one, rules)): str(one.forbid) for one in rules.protect}


def _protection_text(one: Protection, rules: Rules) -> str:
    device = [f"device {one.device.text}"] if one.device else []
    flow = [f"flow {rules.aliases.get(one.flow.text, one.flow).text}"] if one.flow else []
    return " and ".join([*device, *flow])


def _differences(key: tuple[str, Kind], base: _Side, head: _Side) -> Iterator[Difference]:
    places = {**base.places, **head.places}
    aliases = {**base.aliases, **head.aliases}
    for about, old, new in _explained(base.meaning, head.meaning):
        match about:
            case ("priority", _, _) if old is None or new is None:
                continue  # the row itself was added or removed
            case (what, subject, flow_id):
                flow = aliases.get(flow_id, flow_id)
                yield Difference(*key, what, subject, flow, old, new, places.get((subject, flow_id)))
            case (what, *subject):
                yield Difference(*key, what, subject[0] if subject else None, None, old, new)


def _explained(before: Meaning, after: Meaning) -> Iterator[tuple[tuple[str, ...], str | None, str | None]]:
    """The differences: key, old text, new text."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - slow to import, and only this needs it
    from deepdiff.helper import NotPresent  # noqa: PLC0415

    # It is also slow, so equal entries, which are most of them, are removed first.
    old_side = {about: text for about, text in before.items() if after.get(about) != text}
    new_side = {about: text for about, text in after.items() if before.get(about) != text}
    explained = DeepDiff(old_side, new_side, view="tree", threshold_to_diff_deeper=0)
    for item in (item for items in explained.values() for item in items):
        [about] = item.path(output_format="list")
        old, new = (None if isinstance(value, NotPresent) else value for value in (item.t1, item.t2))
        yield about, old, new
