"""The export job: compiled bundles in a zip archive, sent to a loopback URL or put into an outbox folder.

The modules are real WebAssembly, and empty: magic, version, and one custom section with the bundle's identifier.
"""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from reconciler.simulator.api.problems import Problem, not_found
from reconciler.simulator.world.ids import NO_BUNDLE, etag
from reconciler.simulator.world.store import World

PAUSE_S = 300
_DELIVERY_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Job:
    """An export that was accepted: what to build and where it goes."""

    id: str
    bundles: Sequence[tuple[str, str]]
    options: Mapping[str, Any]


def enqueue(world: World, application_id: str, options: Mapping[str, Any]) -> Job:
    """Accept an export.

    Raises:
        Problem: 429 within five minutes of the application's last one; 404 if nothing matches.
    """
    with world.changing() as db:
        now = world.clock.now_ms()
        (last,) = db.execute("select max(created_ms) from jobs where application_id = ?", (application_id,)).fetchone()
        if last is not None and now - last < PAUSE_S * 1000:
            raise Problem(429, "RateLimit", "Only one export every 5 minutes")
        bundles = _bundles(world, application_id, options)
        job = Job(etag(application_id, "export", str(now))[:21], bundles, options)
        world.insert("jobs", [(job.id, application_id, now, "queued", "")])
        return job


def _bundles(world: World, application_id: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    condition, values = "application_id = ?", [application_id]
    for key, column in (("embeddedDeploymentId", "id"), ("deviceId", "device_id")):
        if key in options:
            condition, values = f"{condition} and {column} = ?", [*values, options[key].lower()]
    found = world.db.execute(f"select device_id, released_bundle from records where {condition} order by 1", values)
    bundles = [(device_id, bundle or NO_BUNDLE) for device_id, bundle in found]
    if not bundles:
        raise not_found("Embedded deployment")
    return bundles


def wasm_module(bundle: str) -> bytes:
    """The smallest module that says which bundle it is, in a custom section named `bundleIdentifier`."""
    name, payload = b"bundleIdentifier", bundle.encode()
    section = _leb128(len(name)) + name + payload
    return b"\0asm\x01\0\0\0" + b"\0" + _leb128(len(section)) + section


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def archive(job: Job) -> bytes:
    """The zip archive: one module a device, gzipped if the options say so."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for device_id, bundle in job.bundles:
            module = wasm_module(bundle)
            if job.options.get("gzip"):
                file.writestr(f"{device_id}.wasm.gz", gzip.compress(module, mtime=0))
            else:
                file.writestr(f"{device_id}.wasm", module)
    return buffer.getvalue()


def deliver(world: World, job: Job, outbox: Path) -> None:
    """Build and deliver the archive; the outcome is kept with the job, never raised."""
    content, outcomes = archive(job), []
    if email := job.options.get("email"):
        outcomes.append(_put_into_outbox(outbox, job, email, content))
    if url := job.options.get("callbackUrl"):
        outcomes.append(_post(url, job, content))
    failures = [said for ok, said in outcomes if not ok]
    said = "; ".join(text for _, text in outcomes) or "no address to deliver to"
    with world.changing() as db:
        db.execute(
            "update jobs set status = ?, detail = ? where id = ?", ("failed" if failures else "done", said, job.id)
        )


def _put_into_outbox(outbox: Path, job: Job, email: str, content: bytes) -> tuple[bool, str]:
    outbox.mkdir(parents=True, exist_ok=True)
    (outbox / f"{job.id}.zip").write_bytes(content)
    note = {"to": email, "jobId": job.id, "attachment": f"{job.id}.zip", "options": dict(job.options)}
    (outbox / f"{job.id}.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return True, f"put into the outbox for {email}"


def _post(url: str, job: Job, content: bytes) -> tuple[bool, str]:
    if not is_loopback(url):
        return False, f"{url} is not on this machine, so it was not called"
    headers = {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{job.id}.zip"'}
    try:
        with httpx.Client(trust_env=False, timeout=_DELIVERY_TIMEOUT_S) as client:
            status = client.post(url, content=content, headers=headers).status_code
    except httpx.HTTPError as error:
        return False, f"{url} could not be called: {error}"
    return status < 300, f"{url} answered {status}"


def is_loopback(url: str) -> bool:
    """Whether a URL is http or https and leads to this machine without asking a name server."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
