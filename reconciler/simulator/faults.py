"""What can go wrong on the way: faults that are switched on while the simulator runs, and which requests they strike.

A fault says what happens (`kind`) and to which requests (`when`). The same models serve Python
(`control.fault(Status(status=503, when=When(times=1)))`), the control endpoint and the fleet file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=3600)]
Harm: TypeAlias = Literal["html", "text", "array", "truncated", "gzip", "utf8", "duplicate_keys"]
Count: TypeAlias = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Part):
    """Which requests a fault strikes; every condition must hold. Requests that match the first four are counted."""

    action: str | None = None  # a name, e.g. `embeddedDeployments.release`; a `*` in it matches anything
    method: str | None = None  # `GET` or `POST`
    path: str | None = None  # a regular expression, searched in the path without its query
    query: dict[str, str] = Field(default_factory=dict)  # parameters with these texts; an absent page is `"0"`
    nth: Count | None = None  # only the nth of the counted requests
    since: Count | None = None  # from the nth on
    every: Count | None = None  # each nth
    probability: Annotated[float, Field(gt=0, le=1)] | None = None  # drawn from a generator with a fixed seed
    times: Count | None = None  # at most so many times

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


class Timed(_Fault):
    """A fault that has a duration."""

    seconds: Seconds


class Latency(Timed):
    """The request is looked at only after a while."""

    kind: Literal["latency"] = "latency"


class Status(_Fault):
    """An error instead of the API's answer; the request has no effect.

    The body is `json` the API's error envelope; `html` a proxy's page; `text`; `empty`; `huge` ten megabytes; `echo` an
    envelope that repeats the request's Authorization header.
    """

    kind: Literal["status"] = "status"
    status: Annotated[int, Field(ge=400, le=599)]
    type: str | None = None
    message: str | None = None
    retry_after: str | None = None  # the header's text: seconds, or an HTTP date
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


class Late(Timed):
    """A write is accepted and takes effect only so many seconds later."""

    kind: Literal["late"] = "late"


class Lost(_Fault):
    """A write is accepted and never takes effect."""

    kind: Literal["lost"] = "lost"


class Partial(_Fault):
    """A write is accepted and reaches only the first half of its rows (rounded down), in the order of its ids."""

    kind: Literal["partial"] = "partial"


class Garble(_Fault):
    """The request takes effect and its answer is damaged.

    `html` or `text` instead of JSON; `array` the body `[]`; `truncated` half a body under a whole one's Content-Length;
    `gzip` garbage under Content-Encoding gzip; `utf8` bytes that are not UTF-8; `duplicate_keys` keys twice in one
    object, the second time empty.
    """

    kind: Literal["garble"] = "garble"
    how: Harm


class SlowHeaders(Timed):
    """The answer's headers trickle in over so many seconds."""

    kind: Literal["slow_headers"] = "slow_headers"


class SlowBody(Timed):
    """The answer's body trickles in over so many seconds."""

    kind: Literal["slow_body"] = "slow_body"


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


_Effect: TypeAlias = Latency | Status | Redirect | Reset | Late | Lost | Partial
_Answer: TypeAlias = Garble | SlowHeaders | SlowBody | Total | Duplicate | Missing | Damage
Fault: TypeAlias = Annotated[_Effect | _Answer | Reports, Field(discriminator="kind")]


@dataclass(slots=True)
class Armed:
    """A fault that is switched on: how many matching requests it has seen, how often it struck."""

    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self, dice: random.Random, *, action: str, method: str, path: str, query: Mapping[str, str]) -> bool:
        """Whether it strikes a request, which is counted if it meets the conditions about itself."""
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
    """The faults that are switched on, by number, in the order in which they were."""

    armed: dict[int, Armed] = field(default_factory=dict)
    _last: int = 0
    _dice: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret, and repeatable

    def add(self, fault: Fault) -> int:
        """Switch a fault on; the number returned switches it off."""
        self._last += 1
        self.armed[self._last] = Armed(fault)
        return self._last

    def striking(self, *, action: str, method: str, path: str, query: Mapping[str, str]) -> tuple[Fault, ...]:
        """The faults that strike one request; asking counts it."""
        request = {"action": action, "method": method, "path": path}
        return tuple(one.fault for one in self.armed.values() if one.strikes(self._dice, **request, query=query))
