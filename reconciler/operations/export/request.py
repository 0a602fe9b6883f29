"""What is asked of an export, checked against the API's Export schema before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reconciler.errors import UsageError
from reconciler.model.text import is_id

MAX_TEXT = 1_024  # characters of an address
MAX_PATH = 40  # of them, what --listen adds to --public-url
_ADDRESS = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_NO_URL_CHARACTER = re.compile(r"[\s\x00-\x1f\x7f]")
_FIELDS = {
    "email": "email",
    "callback_url": "callbackUrl",
    "embedded_deployment_id": "embeddedDeploymentId",
    "trace_level": "traceLevel",
    "disable_debug_message": "disableDebugMessage",
    "stack_size": "stackSize",
    "debug_symbols": "debugSymbols",
    "export_memory": "exportMemory",
    "gzip": "gzip",
}
_OF_LISTEN = ("port", "public_url", "out")


@dataclass(frozen=True, slots=True)
class Listening:
    """How to receive the file. `port` 0 is any; `timeout` is as it was typed; `out` None means a name by the job."""

    port: int
    public_url: str | None
    out: Path | None
    timeout: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One export. `options` are fields of the Export schema, as far as they are known before a request."""

    application_id: str
    device: str | None
    options: Mapping[str, object]
    listening: Listening | None

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> ExportRequest:
        """The request that the flags of `export` make, by name, with `timeout_s`. UsageError for what cannot be."""
        for name in ("application", "embedded_deployment_id"):
            _check_id(name, flags[name])
        _check_email(flags["email"])
        for name in ("callback_url", "public_url"):
            _check_url(name, flags[name])
        options = {field: flags[name] for name, field in _FIELDS.items() if flags[name] is not None}
        if "embeddedDeploymentId" in options:
            options["embeddedDeploymentId"] = options["embeddedDeploymentId"].lower()
        if "traceLevel" in options:
            options["traceLevel"] = int(options["traceLevel"])
        return cls(flags["application"].lower(), flags["device"], options, _listening(flags))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_id(name: str, text: str | None) -> None:
    if text is not None and not is_id(text):
        raise UsageError(f"{_option(name)} {text!r} is no id", hint="an id has 24 hex digits")


def _check_email(text: str | None) -> None:
    if text is not None:
        _check_length("email", text, MAX_TEXT)
        if not _ADDRESS.fullmatch(text):
            raise UsageError(f"--email {text!r} is no address", hint="such as ops@example.com")


def _check_url(name: str, text: str | None) -> None:
    if text is None:
        return
    _check_length(name, text, MAX_TEXT - (MAX_PATH if name == "public_url" else 0))
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound or _NO_URL_CHARACTER.search(text):
        raise UsageError(f"{_option(name)} {text!r} is no http or https URL", hint="such as https://example.com/hook")


def _check_length(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise UsageError(f"{_option(name)} is {len(text):,} characters long; the API takes {most:,}")


def _listening(flags: Mapping[str, Any]) -> Listening | None:
    if not flags["listen"]:
        for name in _OF_LISTEN:
            if flags[name] is not None:
                raise UsageError(f"{_option(name)} goes with --listen only", hint="add --listen, or leave it out")
        return None
    if flags["callback_url"] is not None:
        hint = "pass the address of a tunnel to this machine as --public-url"
        raise UsageError("--listen is the callback itself, so it does not go with --callback-url", hint=hint)
    public_url = flags["public_url"]
    if public_url is not None and (urlsplit(public_url).query or urlsplit(public_url).fragment):
        raise UsageError("--public-url may have no query and no fragment", hint="a path is added to it")
    timeout_s = flags["timeout_s"]
    if timeout_s <= 0:
        raise UsageError(f"--timeout {flags['timeout']} leaves no time", hint="write 90s, 10m or 2h")
    out = Path(flags["out"]) if flags["out"] is not None else None
    if out is not None and (out.exists() or out.is_symlink()):
        raise UsageError(f"--out {flags['out']} exists already", hint="remove it first, or name another file")
    return Listening(flags["port"] or 0, public_url, out, flags["timeout"], timeout_s)
