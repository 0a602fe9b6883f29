"""What rules warn of by themselves, whatever the devices are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from reconciler.model.plan import Warning
from reconciler.model.rules import Rules


def skipped_files(rules: Rules) -> Iterator[Warning]:
    """Files that may have been meant as manifests: what they declare is not managed, and may be pruned."""
    for path in rules.skipped:
        message = f"{path} looks like a manifest, but is not read"
        yield Warning(message, hint="rename it to end in .yaml or .yml, in lower case, or move it elsewhere")


def expired_pins(rules: Rules, today: date) -> Iterator[Warning]:
    """Pins past their `until` date. They stay in force, so that no hotfix ends at midnight."""
    for pin in rules.pins:
        if pin.until is not None and pin.until < today:
            message = f'pin for device "{pin.device.text}" was meant to end on {pin.until} and is still in force'
            yield Warning(message, pin.place, "remove the pin, or move its `until`")


def idle_policies(rules: Rules) -> Iterator[Warning]:
    """Policies that no group names: whoever wrote them believes that they guard something."""
    named = {group.rollout.policy for group in rules.groups if group.rollout}
    for name, policy in rules.policies.items():
        if name not in named:
            hint = f"write `rollout: {name}` in a group, or remove the policy"
            yield Warning(f'no group names policy "{name}", so it guards nothing', policy.place, hint)
