"""The facts of the vendor's schemas, with a validator that is neither the simulator's nor the client's."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("schemas.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DATA["definitions"]
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", ValueError)
def _is_moment(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@_FORMATS.checks("email")
def _is_address(text: object) -> bool:
    return not isinstance(text, str) or re.fullmatch(r"[^@\s]+@[^@\s]+", text) is not None


@_FORMATS.checks("uri")
def _is_uri(text: object) -> bool:
    return not isinstance(text, str) or re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S*", text) is not None


@cache
def validator(name: str) -> Draft7Validator:
    """What validates against the vendor's schema of that name."""
    return Draft7Validator({"definitions": SCHEMAS, "$ref": f"#/definitions/{name}"}, format_checker=_FORMATS)


def schema_of_body(action: str) -> str:
    """The name of the vendor's schema of an action's body: `embeddedDeployments.release` has its own."""
    resource, verb = action.split(".")
    return f"{resource.removesuffix('s')}{verb.title()}"
