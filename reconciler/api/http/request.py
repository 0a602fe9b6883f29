"""An API request as a value: what to send, and how errors refer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from reconciler.errors import UsageError
from reconciler.model.state import NO_ITEMS

# Responses without links, permitted actions and embedded entities are smaller. The server accepts only this spelling of
# a boolean.
FLAGS = {"_actions": "false", "_links": "false", "_embedded": "false"}

_SHOWN = ("page", "flowId", "deviceId")


class ApiRequest(NamedTuple):
    """A request to the API.

    Attributes:
        action: the API's own name for it, also the scope that permits it, such as `embeddedDeployments.get`.
        path: absolute, with every part percent-encoded.
        body: sent as JSON; None sends no body.
        remedy: the hint for a 404 response.
    """

    action: str
    method: str
    path: str
    params: Mapping[str, str] = NO_ITEMS
    body: Mapping[str, object] | None = None
    remedy: str = "check the application's id in the manifest, and that the token belongs to that application"

    @property
    def name(self) -> str:
        """A short name for messages, such as `GET /applications/…/devices?page=2`."""
        shown = {key: value for key, value in self.params.items() if key in _SHOWN}
        return f"{self.method} {self.path}" + (f"?{urlencode(shown)}" if shown else "")

    @property
    def target(self) -> str:
        """Path and query string, as sent."""
        return f"{self.path}?{urlencode({**FLAGS, **self.params}, quote_via=quote)}"


def path(*parts: str) -> str:
    """`/a/b/c` with every part encoded.

    Raises:
        UsageError: a part that would change the path, such as `..`.
    """
    for part in parts:
        if part.strip(".") == "":
            raise UsageError(f"{part!r} is not a valid id")
    return "".join(f"/{quote(part, safe='')}" for part in parts)
