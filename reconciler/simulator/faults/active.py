"""Which of the faults that are switched on strike a request."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.simulator.faults import Fault, When


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self, dice: random.Random) -> bool:
        """Whether it strikes the request that it has just seen."""
        when = self.fault.when
        self.seen += 1
        is_due = (
            (when.nth is None or self.seen == when.nth)
            and (when.since is None or self.seen >= when.since)
            and (when.every is None or self.seen % when.every == 0)
            and (when.times is None or self.fired < when.times)
            and (when.probability is None or dice.random() < when.probability)
        )
        self.fired += is_due
        return is_due


def _concerns(when: When, *, action: str, method: str, path: str, query: dict[str, str]) -> bool:
    """Whether a request meets the conditions about itself; `*` ends the name of an action."""
    return (
        (when.action is None or fnmatchcase(action, when.action))
        and (when.method is None or when.method.upper() == method)
        and (when.path is None or re.search(when.path, path) is not None)
        and all(query.get(key, "0" if key == "page" else None) == text for key, text in when.query.items())
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
        """The faults that strike one request; asking counts it."""
        return tuple(
            one.fault
            for one in self.armed.values()
            if _concerns(one.fault.when, action=action, method=method, path=path, query=query)
            and one.strikes(self._dice)
        )
