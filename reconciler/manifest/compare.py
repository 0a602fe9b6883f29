"""What changed in meaning between two sets of rules, without asking the API.

Both sides are resolved offline into maps that hold meaning only: no places, names of groups, reasons or order. Keyed
equality throws out what is the same; DeepDiff explains the rest, at a threshold that keeps it from giving up where two
maps share few keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from deepdiff import DeepDiff
from deepdiff.helper import NotPresent

from reconciler.manifest.symbolic import Offline, resolve_offline
from reconciler.model.rules import DEFAULT_LIMITS, Difference, Protection, Prune, Rules
from reconciler.model.state import FlowId, Kind, Place

# About what -> text. Such as ("version", subject, flow), ("priority", subject, flow), ("limits", "removals count").
Meaning: TypeAlias = dict[tuple[str, ...], str]


def compare(base: Iterable[Rules], head: Iterable[Rules]) -> tuple[Difference, ...]:
    """Every difference, sorted by application, kind, subject and flow."""
    before, after = ({(one.application.id, one.kind): _Side(one) for one in side} for side in (base, head))
    found: list[Difference] = []
    for key in sorted(before.keys() | after.keys()):
        found += _differences(key, before.get(key), after.get(key))
    return tuple(sorted(found, key=_order))


def _order(one: Difference) -> tuple[str, ...]:
    return (one.application, one.kind, "row" if one.flow else "setting", one.subject or "", one.flow or "", one.what)


class _Side:
    """One application and kind: its meaning, and the places of its rows."""

    def __init__(self, rules: Rules) -> None:
        offline = resolve_offline(rules)
        priorities = {group.name: group.priority for group in rules.groups}
        contested = _contested(offline)
        self.aliases = {flow_id: alias for alias, flow_id in sorted(offline.resolution.aliases.items(), reverse=True)}
        self.places: dict[tuple[str, FlowId], Place] = {}
        self.meaning = _settings(rules)
        for subject, flow_id, decision in offline.resolution.desired.rows():
            self.meaning["version", subject, flow_id] = decision.version or "absent"
            if decision.group is not None and flow_id in contested:
                self.meaning["priority", subject, flow_id] = str(priorities[decision.group])
            self.places[subject, flow_id] = decision.place


def _contested(offline: Offline) -> set[FlowId]:
    """Flows that several selectors speak of: there the priority of each is part of the meaning."""
    speakers: dict[FlowId, set[str]] = defaultdict(set)
    for subject, flow_id, decision in offline.resolution.desired.rows():
        if any(one.group is not None for one in (decision, *decision.overrides)):
            speakers[flow_id].add(subject if subject in offline.subjects else "")
    return {flow_id for flow_id, subjects in speakers.items() if len(subjects) > 1}


def _settings(rules: Rules) -> Meaning:
    settings: Meaning = {("prune",): str(rules.prune)}
    if rules.application.name is not None:
        settings["name",] = rules.application.name
    usual = DEFAULT_LIMITS
    for name in ("removals_count", "removals_percent", "changes_count", "changes_percent"):
        if (value := getattr(rules.limits, name)) != getattr(usual, name):
            settings["limits", name.replace("_", " ")] = str(value)
    return settings | {("protect", _protection_text(one, rules)): str(one.forbid) for one in rules.protect}


def _protection_text(one: Protection, rules: Rules) -> str:
    device = [f"device {one.device.text}"] if one.device else []
    flow = [f"flow {rules.aliases.get(one.flow.text, one.flow).text}"] if one.flow else []
    return " and ".join([*device, *flow])


_SILENT: Meaning = {("prune",): str(Prune.OFF)}


def _differences(key: tuple[str, Kind], base: _Side | None, head: _Side | None) -> Iterator[Difference]:
    before, after = base.meaning if base else _SILENT, head.meaning if head else _SILENT
    places = {**(base.places if base else {}), **(head.places if head else {})}
    aliases = {**(base.aliases if base else {}), **(head.aliases if head else {})}
    for about, old, new in _explained(before, after):
        match about:
            case ("priority", _, _) if old is None or new is None:
                continue  # the row itself came or went
            case (what, subject, flow_id):
                flow = aliases.get(flow_id, flow_id)
                yield Difference(*key, what, subject, flow, old, new, places.get((subject, flow_id)))
            case (what, *subject):
                yield Difference(*key, what, subject[0] if subject else None, None, old, new)


def _explained(before: Meaning, after: Meaning) -> Iterator[tuple[tuple[str, ...], str | None, str | None]]:
    """What differs: about what, old text, new text."""
    # The differ is slow and most things are the same, so those are left out first.
    old_side = {about: text for about, text in before.items() if after.get(about) != text}
    new_side = {about: text for about, text in after.items() if before.get(about) != text}
    explained = DeepDiff(old_side, new_side, view="tree", threshold_to_diff_deeper=0)
    for item in (item for items in explained.values() for item in items):
        [about] = item.path(output_format="list")
        old, new = (None if isinstance(value, NotPresent) else value for value in (item.t1, item.t2))
        yield about, old, new
