"""What can be known of rules without the API: conflicts, and the desired state with selectors left as they are.

A selector that only the API can expand is treated as one device, a subject, named by its text in angle brackets. Names
are taken for ids. So the same resolution works with and without the API, and finds the same conflicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from reconciler.model.rules import Rules
from reconciler.model.state import Device
from reconciler.planner.resolution.names import Inventory
from reconciler.planner.resolution.resolve import Resolution, resolve
from reconciler.planner.resolution.selector import is_explicit, needs_of, symbolic


@dataclass(frozen=True, slots=True)
class Offline:
    """A resolution whose device and flow ids may be names, and whose devices may be `subjects`: selectors."""

    resolution: Resolution
    subjects: frozenset[str]


def resolve_offline(rules: Rules) -> Offline:
    """Resolve without an inventory. `resolution.problems` are conflicts whatever the API would answer."""
    groups = tuple(group if is_explicit(group.select) else symbolic(group) for group in rules.groups)
    rules = replace(rules, groups=groups)
    needs = needs_of(rules)
    inventory = Inventory(
        devices={name: Device(name, name) for name in needs.device_names},
        flows={name: (name,) for name in needs.flow_names},
        queries={subject: frozenset({subject}) for subject in needs.queries},
    )
    return Offline(resolve(rules, inventory, today=date.min), frozenset(needs.queries))
