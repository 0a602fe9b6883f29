"""Fault injection: the faults that can be enabled while the simulator runs. `active` says which requests trigger them.

A fault has a `kind` (what happens) and a `when` (to which requests). The same models are used in Python
(`control.fault(Status(status=503, when=When(times=1)))`), at the control endpoint and in the fleet file.
"""

from __future__ import annotations

import re
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


class Date(_Fault):
    """The response's `Date` header is off by some seconds, another text, or absent."""

    kind: Literal["date"] = "date"
    seconds: Annotated[float, Field(ge=-(10**9), le=10**9)] = 0.0
    text: Annotated[str, Field(pattern=r"^[ -~]*$")] | None = None
    absent: bool = False


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


class Shift(_Fault):
    """Things of the application come and go before the request is processed, which moves others between pages.

    `swap`: some are deleted, and as many like them are created behind all others. `create`: the same, and nothing is
    deleted. `restore`: some that were deleted are back in their old places. They are the `count` first or last ones by
    id. Deleted devices leave their records; a deleted record takes its rows along.
    """

    kind: Literal["shift"] = "shift"
    how: Literal["swap", "delete", "create", "restore"] = "swap"
    what: Literal["records", "devices", "flows", "versions"] = "records"
    end: Literal["first", "last"] = "first"
    count: Count = 1


_Effect: TypeAlias = Latency | Status | Redirect | Reset | Late | Lost | Partial
_Answer: TypeAlias = Garble | SlowHeaders | SlowBody | Date | Total | Duplicate | Missing | Damage
Fault: TypeAlias = Annotated[_Effect | _Answer | Reports | Shift, Field(discriminator="kind")]
