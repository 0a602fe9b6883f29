"""What paths hold, one line for each application and kind."""

from __future__ import annotations

from reconciler.model.rules import Rules


def held_line(rules: Rules) -> str:
    """One application and kind for people."""
    name = f" ({rules.application.name})" if rules.application.name else ""
    return f"{rules.application.id}{name} {rules.kind}: {', '.join(source.path for source in rules.sources)}"
