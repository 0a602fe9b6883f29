"""What can be known of rules without the API: conflicts, and the desired state with selectors left as they are.

A selector that only the API can expand is one subject, called by its text in angle brackets, as if it were a device.
Names stand for themselves. So one resolution serves the API's world and this one, and finds the same conflicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from reconciler.model.rules import Group, Ref, Rules, Selector
from reconciler.model.state import Device
from reconciler.planner.resolution.names import Inventory, is_id
from reconciler.planner.resolution.resolve import Resolution, resolve
from reconciler.planner.resolution.selector import is_glob, with_excludes, written_devices, written_flows


@dataclass(frozen=True, slots=True)
class Offline:
    """A resolution whose device and flow ids may be names, and whose devices may be `subjects`: selectors."""

    resolution: Resolution
    subjects: frozenset[str]


def resolve_offline(rules: Rules) -> Offline:
    """Resolve without an inventory. `resolution.problems` are conflicts that no answer of the API could settle."""
    groups = tuple(_symbolic(group) for group in rules.groups)
    subjects = frozenset(
        new.select.devices[0].text
        for old, new in zip(rules.groups, groups, strict=True)
        if new is not old and new.select.devices
    )
    rules = replace(rules, groups=groups)
    refs = [ref for group in groups for part in with_excludes(group.select) for ref in part.devices or ()]
    names = {ref.text for ref in (*refs, *written_devices(rules)) if not is_id(ref.text)}
    targets = [*(rules.aliases.get(ref.text, ref) for ref in written_flows(rules)), *rules.aliases.values()]
    flows = {ref.text: (ref.text,) for ref in targets if not is_id(ref.text)}
    inventory = Inventory({name: Device(name, name) for name in names}, flows)
    return Offline(resolve(rules, inventory, today=date.min), subjects)


def is_explicit(selector: Selector) -> bool:
    """Whether a selector picks the same devices whatever the API says."""
    parts = list(with_excludes(selector))
    refs = [ref for part in parts for ref in part.devices or ()]
    if selector.devices is None or any(
        part.tags or part.query or any(map(is_glob, part.devices or ())) for part in parts
    ):
        return False
    # An id and a name may be the same device, and `percent` hashes ids: only the API could tell.
    by_id = {is_id(ref.text) for ref in refs}
    return by_id == {True} or (by_id == {False} and all(part.percent is None for part in parts))


def selector_text(selector: Selector, salt: str) -> str:
    """A selector in one spelling: the same text for the same meaning."""
    parts = []
    if selector.devices is not None:
        parts.append("devices " + ", ".join(sorted({ref.text for ref in selector.devices})))
    if selector.tags is not None:
        parts += [f"tag {key}={'|'.join(sorted(set(values)))}" for key, values in sorted(selector.tags.items())]
    if selector.query is not None:
        parts.append(f"query {selector.query}")
    if not parts:
        parts.append("all")
    if selector.percent is not None:
        parts.append(f"{selector.percent.normalize():f} percent by {salt}")
    if selector.exclude is not None:
        parts.append(f"except ({selector_text(selector.exclude, salt)})")
    return ", ".join(parts)


def _symbolic(group: Group) -> Group:
    """A group that the API would have to expand, with its selector as its one device."""
    if is_explicit(group.select):
        return group
    subject = f"<{selector_text(group.select, group.effective_salt)}>"
    return group._replace(select=Selector(group.select.place, devices=(Ref(subject, group.select.place),)))
