"""The faults that are enabled, and the requests that trigger them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.simulator.faults import Fault


@dataclass(slots=True)
class Armed:
    """An enabled fault: how many matching requests it has seen, and how often it was triggered."""

    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self, dice: random.Random, *, action: str, method: str, path: str, query: Mapping[str, str]) -> bool:
        """Whether a request triggers the fault. The request is counted if it matches the first four conditions."""
        when = self.fault.when
        is_concerned = (
            (when.action is None or fnmatchcase(action, when.action))
            and (when.method is None or when.method.upper() == method)
            and (when.path is None or re.search(when.path, path) is not None)
            and all(query.get(key, "0" if key == "page" else None) == text for key, text in when.query.items())
        )
        self.seen += is_concerned
        is_due = (
            is_concerned
            and (when.nth is None or self.seen == when.nth)
            and (when.since is None or self.seen >= when.since)
            and (when.every is None or self.seen % when.every == 0)
            and (when.times is None or self.fired < when.times)
            and (when.probability is None or dice.random() < when.probability)
        )
        self.fired += is_due
        return is_due


@dataclass(slots=True)
class Faults:
    """The enabled faults by number, in the order in which they were enabled."""

    armed: dict[int, Armed] = field(default_factory=dict)
    _last: int = 0
    _dice: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret, and repeatable

    def add(self, fault: Fault) -> int:
        """Enable a fault. Returns its number, with which it can be disabled."""
        self._last += 1
        self.armed[self._last] = Armed(fault)
        return self._last

    def striking(self, *, action: str, method: str, path: str, query: Mapping[str, str]) -> tuple[Fault, ...]:
        """The faults that one request triggers. Each call counts the request."""
        request = {"action": action, "method": method, "path": path}
        return tuple(one.fault for one in self.armed.values() if one.strikes(self._dice, **request, query=query))
