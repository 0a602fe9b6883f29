"""What the command line asks of an apply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.cli.options import PLANNING_FLAGS
from reconciler.cli.planning import parse_options
from reconciler.errors import UsageError
from reconciler.model.health import Offline
from reconciler.model.world import Options

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The flags of `apply`, parsed and checked against each other. `fmt`, `max_bytes` and `commit` shape stdout."""

    paths: tuple[str, ...]
    application: str | None
    kind: str | None
    options: Options
    parallelism: int
    plan_file: str | None
    expect_digest: str | None
    yes: bool
    dry_run: bool
    wait: bool
    timeout_s: float
    offline: Offline
    result_file: str | None
    fmt: str
    max_bytes: int
    commit: str | None

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> Order:
        """The order that flags make, by the names that click gives them."""
        if flags["plan_file"] is not None:
            _refuse_choice(flags)
        rest = dict(flags)
        return cls(
            options=parse_options(**{name: rest.pop(name) for name in PLANNING_FLAGS}),
            timeout_s=duration_s("--timeout", rest.pop("timeout")),
            offline=Offline(rest.pop("offline")),
            **rest,
        )


def _refuse_choice(flags: Mapping[str, Any]) -> None:
    """A saved plan is carried out as it is: what it is about was chosen when it was made."""
    choosing = {"PATH": flags["paths"], "--target": flags["targets"], "--exclude": flags["excludes"]}
    given = [name for name, value in choosing.items() if value]
    if given:
        raise UsageError(
            f"--plan carries out what was saved, so it does not go with {', '.join(given)}",
            hint="name them when the plan is made",
        )


def duration_s(option: str, text: str) -> float:
    """Seconds of `90s`, `15m`, `2h` or a bare number; UsageError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{option} {text!r} is not a duration", hint="write 90s, 15m or 2h")
    return float(match[1]) * _SECONDS[match[2]]
