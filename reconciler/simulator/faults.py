"""Fault injection: faults that can be enabled while the simulator runs, and the requests that trigger them.

A fault has a `kind` (what happens) and a `when` (to which requests). The same models are used in Python
(`control.fault(Status(status=503, when=When(times=1)))`), at the control endpoint and in the fleet file.
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
    """Which requests trigger a fault; every condition must hold. Requests that match the first four are counted."""

    action: str | None = None  # a name, e.g. `embeddedDeployments.release`; `*` matches anything
    method: str | None = None  # `GET` or `POST`
    path: str | None = None  # a regular expression, searched in the path without its query
    query: dict[str, str] = Field(default_factory=dict)  # parameters with these values; an absent page is `"0"`
    nth: Count | None = None  # only the nth of the counted requests
    since: Count | None = None  # from the nth counted request on
    every: Count | None = None  # every nth counted request
    probability: Annotated[float, Field(gt=0, le=1)] | None = None  # from a random generator with a fixed seed
    times: Count | None = None  # at most this many times

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
    """The request is processed after a delay."""

    kind: Literal["latency"] = "latency"


class Status(_Fault):
    """An error instead of the API's response; the request has no effect.

    `body`: `json` is the API's error body; `html` a proxy's page; `text`; `empty`; `huge` ten megabytes; `echo` an
    error body that repeats the request's Authorization header.
    """

    kind: Literal["status"] = "status"
    status: Annotated[int, Field(ge=400, le=599)]
    type: str | None = None
    message: str | None = None
    retry_after: str | None = None  # the header value: seconds, or an HTTP date
    body: Literal["json", "html", "text", "empty", "huge", "echo"] = "json"


class Redirect(_Fault):
    """The response is a redirect; the request has no effect."""

    kind: Literal["redirect"] = "redirect"
    location: str = "http://elsewhere.invalid/"
    status: Literal[301, 302, 303, 307, 308] = 302


class Reset(_Fault):
    """The connection is reset before or after the request takes effect."""

    kind: Literal["reset"] = "reset"
    after_effect: bool = False


class Late(Timed):
    """A write is accepted but takes effect only after this many seconds."""

    kind: Literal["late"] = "late"


class Lost(_Fault):
    """A write is accepted but never takes effect."""

    kind: Literal["lost"] = "lost"


class Partial(_Fault):
    """A write is accepted but affects only the first half of its rows (rounded down), in the order of its ids."""

    kind: Literal["partial"] = "partial"


class Garble(_Fault):
    """The request takes effect, but its response is damaged.

    `html` or `text` instead of JSON; `array`: the body `[]`; `truncated`: half the body with the full Content-Length;
    `gzip`: garbage with Content-Encoding gzip; `utf8`: bytes that are not UTF-8; `duplicate_keys`: every key of the
    object twice, the second time empty.
    """

    kind: Literal["garble"] = "garble"
    how: Harm


class SlowHeaders(Timed):
    """The response's headers arrive slowly, over this many seconds."""

    kind: Literal["slow_headers"] = "slow_headers"


class SlowBody(Timed):
    """The response's body arrives slowly, over this many seconds."""

    kind: Literal["slow_body"] = "slow_body"


class Total(_Fault):
    """A page has a wrong `totalCount`."""

    kind: Literal["total"] = "total"
    delta: int


class Duplicate(_Fault):
    """A page contains its first item twice. With `instead`, the copy replaces the last item."""

    kind: Literal["duplicate"] = "duplicate"
    instead: bool = False


class Missing(_Fault):
    """A page omits its last item."""

    kind: Literal["missing"] = "missing"


class Damage(_Fault):
    """The first item of a page lacks a field, or has a wrong value in it."""

    kind: Literal["damage"] = "damage"
    field: str = "deviceId"
    absent: bool = True
    value: Any = None


class Reports(_Fault):
    """This many devices report before the request is processed, least recent first, which changes `lastUpdated`."""

    kind: Literal["reports"] = "reports"
    devices: Count = 1


_Effect: TypeAlias = Latency | Status | Redirect | Reset | Late | Lost | Partial
_Answer: TypeAlias = Garble | SlowHeaders | SlowBody | Total | Duplicate | Missing | Damage
Fault: TypeAlias = Annotated[_Effect | _Answer | Reports, Field(discriminator="kind")]


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
