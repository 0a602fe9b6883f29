"""The control endpoint, `POST /_simulator/<command>`: the public methods of `Control`, with their arguments as JSON."""

from __future__ import annotations

import inspect

from pydantic import TypeAdapter, ValidationError, validate_call
from pydantic_core import ErrorDetails

from reconciler.simulator.control import Control
from reconciler.simulator.world.store import Row

_READS = frozenset({"clock", "counts", "faults", "jobs", "now_ms", "requests", "rows", "switch"})  # without arguments
COMMANDS = tuple(
    sorted(name for name, _ in inspect.getmembers(Control, inspect.isfunction) if not name.startswith("_"))
)


def carry_out(control: Control, command: str, *, method: str, body: bytes) -> tuple[int, Row]:
    """Carry out a command of the endpoint. Returns a status, and `{"result": ...}` or `{"error": ...}`."""
    if not command:
        return 200, {"result": {"commands": COMMANDS}}
    if command not in COMMANDS:
        return 404, {"error": f"there is no command {command}", "commands": COMMANDS}
    if method != "POST" and not (method == "GET" and command in _READS):
        return 405, {"error": "send POST with the arguments as a JSON object; GET is for what only reads"}
    try:
        arguments = TypeAdapter(Row).validate_json(body if method == "POST" and body else b"{}")
        return 200, {"result": validate_call(getattr(control, command))(**arguments)}
    except ValidationError as error:
        return 400, {"error": "; ".join(map(_told, error.errors(include_url=False)))}
    except (ValueError, TypeError) as error:
        return 400, {"error": str(error)}


def _told(error: ErrorDetails) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']} ({error['type']})"
