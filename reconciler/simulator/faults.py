"""What can go wrong on the way: faults that are switched on while the simulator runs.

A fault says what happens (`kind`) and to which requests (`when`). The same models serve Python
(`control.fault(Status(status=503, when=When(times=1)))`), the control endpoint and the fleet file.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=3600)]
Harm: TypeAlias = Literal["html", "text", "array", "truncated", "gzip", "utf8", "duplicate_keys"]
Count: TypeAlias = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Part):
    """Which requests a fault befalls; every condition must hold. Requests that match the first four are counted.

    Attributes:
        action: an action's name, e.g. `embeddedDeployments.release`; a last `*` matches any ending.
        method: `GET` or `POST`.
        path: a regular expression, searched in the path without its query.
        query: query parameters that must have these texts, e.g. `{"page": "1"}` (an absent page is `"0"`).
        nth: only the nth of the counted requests.
        since: from the nth counted request on.
        every: each nth counted request.
        probability: a chance, drawn from a generator with a fixed seed.
        times: at most so many times.
    """

    action: str | None = None
    method: str | None = None
    path: str | None = None
    query: dict[str, str] = Field(default_factory=dict)
    nth: Count | None = None
    since: Count | None = None
    every: Count | None = None
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    times: Count | None = None

    @field_validator("path")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class _Fault(_Part):
    when: When = When()


class Latency(_Fault):
    """The request is looked at only after a while."""

    kind: Literal["latency"] = "latency"
    seconds: Seconds


class Status(_Fault):
    """An error instead of the API's answer; the request has no effect.

    Attributes:
        retry_after: the text of a Retry-After header: seconds, or an HTTP date.
        body: `json` the API's error envelope; `html` a proxy's page; `text`; `empty`; `huge` ten megabytes;
            `echo` an envelope that repeats the request's Authorization header.
    """

    kind: Literal["status"] = "status"
    status: Annotated[int, Field(ge=400, le=599)]
    type: str | None = None
    message: str | None = None
    retry_after: str | None = None
    body: Literal["json", "html", "text", "empty", "huge", "echo"] = "json"


class Redirect(_Fault):
    """The answer is a redirect; the request has no effect."""

    kind: Literal["redirect"] = "redirect"
    location: str = "http://elsewhere.invalid/"
    status: Literal[301, 302, 303, 307, 308] = 302


class Reset(_Fault):
    """The connection is reset, before the request had its effect or after."""

    kind: Literal["reset"] = "reset"
    after_effect: bool = False


class Late(_Fault):
    """A write is accepted and takes effect only so many seconds later."""

    kind: Literal["late"] = "late"
    seconds: Seconds


class Lost(_Fault):
    """A write is accepted and never takes effect."""

    kind: Literal["lost"] = "lost"


class Partial(_Fault):
    """A release is accepted and reaches only the first half of its devices (rounded down)."""

    kind: Literal["partial"] = "partial"


class Garble(_Fault):
    """The request takes effect and its answer is damaged.

    Attributes:
        how: `html` or `text` instead of JSON; `array` the body `[]`; `truncated` half a body under a whole one's
            Content-Length; `gzip` garbage under Content-Encoding gzip; `utf8` bytes that are no UTF-8;
            `duplicate_keys` keys twice in one object, the second time empty.
    """

    kind: Literal["garble"] = "garble"
    how: Harm


class SlowHeaders(_Fault):
    """The answer's headers trickle in over so many seconds."""

    kind: Literal["slow_headers"] = "slow_headers"
    seconds: Seconds


class SlowBody(_Fault):
    """The answer's body trickles in over so many seconds."""

    kind: Literal["slow_body"] = "slow_body"
    seconds: Seconds


class Total(_Fault):
    """A page claims another `totalCount`."""

    kind: Literal["total"] = "total"
    delta: int


class Duplicate(_Fault):
    """A page holds its first item twice. With `instead`, the copy stands in for the last item, which is lost."""

    kind: Literal["duplicate"] = "duplicate"
    instead: bool = False


class Missing(_Fault):
    """A page lacks its last item."""

    kind: Literal["missing"] = "missing"


class Damage(_Fault):
    """The first item of a page lacks a field, or has another value in it."""

    kind: Literal["damage"] = "damage"
    field: str = "deviceId"
    absent: bool = True
    value: Any = None


class Reports(_Fault):
    """So many devices report before the request is looked at, those longest silent first: `lastUpdated` moves."""

    kind: Literal["reports"] = "reports"
    devices: Count = 1


Fault: TypeAlias = Annotated[
    Latency
    | Status
    | Redirect
    | Reset
    | Late
    | Lost
    | Partial
    | Garble
    | SlowHeaders
    | SlowBody
    | Total
    | Duplicate
    | Missing
    | Damage
    | Reports,
    Field(discriminator="kind"),
]
FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


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
