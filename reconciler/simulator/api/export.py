"""The export job: compiled bundles in a zip archive, sent to a loopback URL or saved in an outbox folder.

The modules are valid but empty WebAssembly: magic, version, and one custom section with the bundle's identifier.
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

from reconciler.simulator.api.query import Sql, every
from reconciler.simulator.api.validation import Problem, not_found
from reconciler.simulator.world.records import NO_BUNDLE, etag
from reconciler.simulator.world.store import World

PAUSE_S = 300
_DELIVERY_TIMEOUT_S = 10
_COLUMNS = {"embeddedDeploymentId": "id", "deviceId": "device_id"}


@dataclass(frozen=True, slots=True)
class Job:
    """An accepted export: what to build and where to send it."""

    id: str
    bundles: Sequence[tuple[str, str]]
    options: Mapping[str, Any]


def enqueue(world: World, application_id: str, options: Mapping[str, Any]) -> Job:
    """Accept an export.

    Raises:
        Problem: 429 within five minutes of the application's last export; 404 if no deployment matches.
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
    named = {column: options[key].lower() for key, column in _COLUMNS.items() if key in options}
    where = every(Sql(f"{column} = ?", (own,)) for column, own in {"application_id": application_id, **named}.items())
    found = world.db.execute(
        f"select device_id, coalesce(released_bundle, ?) from records where {where.text} order by 1",
        (NO_BUNDLE, *where.values),
    ).fetchall()
    if not found:
        raise not_found("Embedded deployment")
    return found


def wasm_module(bundle: str) -> bytes:
    """A minimal module with the bundle's identifier in a custom section named `bundleIdentifier`."""
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
    """The zip archive: one module per device, gzipped if the options say so."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for device_id, bundle in job.bundles:
            module = wasm_module(bundle)
            name, data = (".gz", gzip.compress(module, mtime=0)) if job.options.get("gzip") else ("", module)
            file.writestr(f"{device_id}.wasm{name}", data)
    return buffer.getvalue()


def deliver(world: World, job: Job, outbox: Path) -> None:
    """Build and deliver the archive; failures are recorded in the job, never raised."""
    content, status, outcomes = archive(job), "done", []
    if email := job.options.get("email"):
        _put_into_outbox(outbox, job, email, content)
        outcomes.append(f"saved in the outbox for {email}")
    if url := job.options.get("callbackUrl"):
        was_taken, outcome = _post(url, job, content)
        status = "done" if was_taken else "failed"
        outcomes.append(outcome)
    detail = "; ".join(outcomes) or "no address to deliver to"
    with world.changing() as db:
        db.execute("update jobs set status = ?, detail = ? where id = ?", (status, detail, job.id))


def _put_into_outbox(outbox: Path, job: Job, email: str, content: bytes) -> None:
    outbox.mkdir(parents=True, exist_ok=True)
    (outbox / f"{job.id}.zip").write_bytes(content)
    note = {"to": email, "jobId": job.id, "attachment": f"{job.id}.zip", "options": dict(job.options)}
    (outbox / f"{job.id}.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _post(url: str, job: Job, content: bytes) -> tuple[bool, str]:
    """Whether the archive was accepted, and the outcome as text."""
    if not is_loopback(url):
        return False, f"{url} is not on this machine, so it was not called"
    headers = {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{job.id}.zip"'}
    try:
        answer = httpx.post(url, content=content, headers=headers, trust_env=False, timeout=_DELIVERY_TIMEOUT_S)
    except httpx.HTTPError as error:
        return False, f"{url} could not be called: {error}"
    return answer.status_code < 300, f"{url} answered {answer.status_code}"


def is_loopback(url: str) -> bool:
    """Whether a URL is http or https and its host is loopback, without a DNS lookup."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
