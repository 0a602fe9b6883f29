"""What rules say of policies as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.plan import Warning
from reconciler.model.rules import Rules


def idle_policies(rules: Rules) -> Iterator[Warning]:
    """Policies that no group names: whoever wrote them believes that they guard something."""
    named = {group.rollout.policy for group in rules.groups if group.rollout}
    for name, policy in rules.policies.items():
        if name not in named:
            hint = f"write `rollout: {name}` in a group, or remove the policy"
            yield Warning(f'no group names policy "{name}", so it guards nothing', policy.place, hint)
