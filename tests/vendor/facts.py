"""The facts of the vendor's schemas, with a validator that is neither the simulator's nor the client's."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft7Validator

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("schemas.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DATA["definitions"]


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    return re.fullmatch(r"[^@\s]+@[^@\s]+", text) is not None


def _is_uri(text: str) -> bool:
    return re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S*", text) is not None


_FORMATS = {"date-time": _is_moment, "email": _is_address, "uri": _is_uri}


@cache
def validator(name: str) -> Draft7Validator:
    """What validates against the vendor's schema of that name."""
    schema = {"definitions": SCHEMAS, "$ref": f"#/definitions/{name}"}
    return Draft7Validator(schema, formats=_FORMATS, validate_formats=True)


def schema_of_body(action: str) -> str:
    """The name of the vendor's schema of an action's body: `embeddedDeployments.release` has its own."""
    resource, verb = action.split(".")
    return f"{resource.removesuffix('s')}{verb.title()}"
