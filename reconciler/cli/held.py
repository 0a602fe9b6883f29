"""What paths hold, one line or row for each application and kind."""

from __future__ import annotations

from reconciler.model.rules import Rules


def held_data(rules: Rules) -> dict[str, object]:
    """The row of `applications`, and of the list that `validate` writes."""
    return {
        "application": rules.application.id,
        "name": rules.application.name,
        "kind": str(rules.kind),
        "paths": [source.path for source in rules.sources],
    }


def held_line(rules: Rules) -> str:
    """The same for people."""
    name = f" ({rules.application.name})" if rules.application.name else ""
    return f"{rules.application.id}{name} {rules.kind}: {', '.join(source.path for source in rules.sources)}"
