"""Who may do what: access tokens, their scopes, and the order in which the framework asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.simulator.api.problems import Problem
from reconciler.simulator.world.logs import Author
from reconciler.simulator.world.store import World


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was verified. `application_id` None: a user's token, good for every application."""

    id: str
    application_id: str | None
    scopes: frozenset[str]

    @property
    def author(self) -> Author:
        """How the logs name what this token does."""
        return Author("apiToken" if self.application_id else "user", self.id)

    def may(self, action: str, *, is_read: bool, serves_devices: bool) -> bool:
        """Whether a scope covers an action: the families, `resource.*`, or the action's own name."""
        families = [f"all.{family}" for family in ("Application", "Organization", "User")]
        resource = action.partition(".")[0]
        accepted = {*families, *(f"{family}.bounded" for family in families), action, f"{resource}.*"}
        if is_read:
            accepted |= {f"{family}.read" for family in families}
        if serves_devices:
            accepted |= {"all.Device", "all.Device.read"}
        return not accepted.isdisjoint(self.scopes)


def verify(world: World, query: Mapping[str, Any], authorization: str | None) -> Token | None:
    """The token of a request, or None if it has none. A token in the query wins over the header.

    Raises:
        Problem: 401, the token is unknown or has expired.
    """
    text = query.get("access_token") or query.get("jwt") or _header_token(authorization)
    if not text:
        return None
    if not isinstance(text, str):
        raise Problem(401, "Unauthorized", "Invalid access token")
    row = world.db.execute(
        "select id, application_id, scopes, expires_ms from tokens where text = ?", (text,)
    ).fetchone()
    if row is None:
        raise Problem(401, "Unauthorized", "Invalid access token")
    if row[3] is not None and row[3] <= world.clock.now_ms():
        raise Problem(401, "Unauthorized", "Access token has expired")
    return Token(row[0], row[1], frozenset(json.loads(row[2])))


def _header_token(authorization: str | None) -> str | None:
    scheme, _, rest = (authorization or "").partition(" ")
    return rest.split(" ")[0] if scheme.upper() in ("BEARER", "JWT") else None


def forbidden() -> Problem:
    """403, the framework's default message."""
    return Problem(403, "Forbidden", "Access is forbidden")


def missing(world: World) -> Problem:
    """No token at all: 403 says the framework, 401 the prose."""
    if world.switches.missing_token == "401":  # noqa: S105 - a status
        return Problem(401, "Unauthorized", "Invalid access token")
    return forbidden()
