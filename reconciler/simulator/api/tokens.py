"""Authorisation: access tokens and their scopes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.simulator.api.actions import Action
from reconciler.simulator.api.validation import Problem
from reconciler.simulator.world.records import Author
from reconciler.simulator.world.store import World


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token. `application_id` is None for a user's token, which is valid for every application."""

    id: str
    application_id: str | None
    scopes: frozenset[str]

    @property
    def author(self) -> Author:
        """The author of this token's changes in the logs."""
        return Author("apiToken" if self.application_id else "user", self.id)

    def may(self, action: Action) -> bool:
        """Whether a scope permits an action: an `all.*` scope, `resource.*`, or the action's own name."""
        families = [f"all.{family}" for family in ("Application", "Organization", "User")]
        resource = action.name.partition(".")[0]
        accepted = {*families, *(f"{family}.bounded" for family in families), action.name, f"{resource}.*"}
        if action.method == "GET" or action.answer == "job":  # an export changes nothing
            accepted |= {f"{family}.read" for family in families}
        if action.name in ("devices.get", "device.get"):
            accepted |= {"all.Device", "all.Device.read"}
        if action.name == "application.get":
            accepted |= {"all.Application.cli", "all.User.cli"}
        return not accepted.isdisjoint(self.scopes)


def unauthorized(message: str = "Invalid access token") -> Problem:
    """401: the token is unknown or has expired."""
    return Problem(401, "Unauthorized", message)


def forbidden() -> Problem:
    """403, with the framework's default message."""
    return Problem(403, "Forbidden", "Access is forbidden")


def authorize(world: World, action: Action, query: Mapping[str, Any], authorization: str | None) -> Token:
    """The token of a request, checked for the action. A token in the query wins over the header.

    Raises:
        Problem: 401 if the token is unknown or has expired, 403 if it lacks a scope. No token at all gives 403 in the
            framework's code and 401 according to Losant's documentation.
    """
    text = query.get("access_token") or query.get("jwt") or _header_token(authorization)
    if not text:
        raise unauthorized() if world.switches.missing_token == "401" else forbidden()  # noqa: S105 - a status
    found = world.rows("select * from tokens where text = ?", (text,)) if isinstance(text, str) else []
    if not found:
        raise unauthorized()
    (row,) = found
    if row["expires_ms"] is not None and row["expires_ms"] <= world.clock.now_ms():
        raise unauthorized("Access token has expired")
    token = Token(row["id"], row["application_id"], frozenset(json.loads(row["scopes"])))
    if not token.may(action):
        raise forbidden()
    return token


def _header_token(authorization: str | None) -> str | None:
    scheme, _, rest = (authorization or "").partition(" ")
    return rest.split(" ")[0] if scheme.upper() in ("BEARER", "JWT") else None
