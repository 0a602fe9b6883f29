"""The control endpoint: `POST /_simulator/<command>` with the arguments as a JSON object. No token, loopback only."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import TypeAdapter, validate_call

from reconciler.simulator.control import Control
from reconciler.simulator.http.delivery import Reply

PREFIX = "/_simulator/"
COMMANDS = tuple(
    sorted(name for name, _ in inspect.getmembers(Control, inspect.isfunction) if not name.startswith("_"))
)
_HEADERS = {"Content-Type": "application/json"}


def answer_control(control: Control, *, method: str, path: str, body: bytes) -> Reply:
    """Carry out a command: `{"result": ...}`, or `{"error": ...}` with status 400, 404 or 405."""
    command = path.removeprefix(PREFIX).removesuffix("/")
    if not command:
        return _reply(200, {"result": {"commands": COMMANDS}})
    if command not in COMMANDS:
        return _reply(404, {"error": f"there is no command {command}", "commands": COMMANDS})
    if method not in ("GET", "POST"):
        return _reply(405, {"error": "send GET, or POST with the arguments as a JSON object"})
    try:
        arguments = TypeAdapter(dict[str, Any]).validate_json(body or b"{}")
        result = validate_call(getattr(control, command))(**arguments)
    except (ValueError, TypeError) as error:
        return _reply(400, {"error": str(error)})
    return _reply(200, {"result": result})


def _reply(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), _HEADERS)
