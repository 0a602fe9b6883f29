"""Which of the faults that are switched on befall a request."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from reconciler.simulator.faults import Fault, When


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self, *, action: str, method: str, path: str, query: dict[str, str], dice: random.Random) -> bool:
        when = self.fault.when
        if not _concerns(when, action=action, method=method, path=path, query=query):
            return False
        self.seen += 1
        if not _is_due(when, self.seen) or (when.times is not None and self.fired >= when.times):
            return False
        if when.probability is not None and dice.random() >= when.probability:
            return False
        self.fired += 1
        return True


def _concerns(when: When, *, action: str, method: str, path: str, query: dict[str, str]) -> bool:
    if when.action is not None and not _names(when.action, action):
        return False
    if when.method is not None and when.method.upper() != method:
        return False
    if when.path is not None and not re.search(when.path, path):
        return False
    return all(query.get(key, "0" if key == "page" else None) == text for key, text in when.query.items())


def _names(pattern: str, action: str) -> bool:
    return action.startswith(pattern[:-1]) if pattern.endswith("*") else action == pattern


def _is_due(when: When, seen: int) -> bool:
    return (
        (when.nth is None or seen == when.nth)
        and (when.since is None or seen >= when.since)
        and (when.every is None or seen % when.every == 0)
    )


@dataclass(slots=True)
class Faults:
    """The faults that are switched on, in the order in which they were."""

    armed: dict[int, _Armed] = field(default_factory=dict)
    _next_id: int = 1
    _dice: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret, and repeatable

    def add(self, fault: Fault) -> int:
        """Switch a fault on; the number returned switches it off."""
        number = self._next_id
        self._next_id += 1
        self.armed[number] = _Armed(fault)
        return number

    def clear(self, number: int | None = None) -> None:
        """Switch one fault off, or all of them.

        Raises:
            KeyError: no fault has this number.
        """
        if number is None:
            self.armed.clear()
        else:
            del self.armed[number]

    def striking(self, *, action: str, method: str, path: str, query: dict[str, str]) -> tuple[Fault, ...]:
        """The faults that befall one request; asking counts it."""
        return tuple(
            one.fault
            for one in self.armed.values()
            if one.strikes(action=action, method=method, path=path, query=query, dice=self._dice)
        )
