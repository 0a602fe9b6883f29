"""The export job: what is compiled, and where it may go."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from reconciler.simulator.api.export import is_loopback, wasm_module
from tests.simulator.wire import Api
from tests.support.waiting import join, until

EXPORT = "/embedded/deployments/export"


class Inbox:
    """A loopback server that keeps what is posted to it, and answers with `status`."""

    def __init__(self) -> None:
        self.posted: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.posted.append((dict(self.headers), body))
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox()
    thread = Thread(target=box.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield box
    box.server.shutdown()
    box.server.server_close()
    join(thread)


def job(api: Api) -> dict[str, Any]:
    """The last job, once it has ended."""
    until(lambda: api.control.jobs()[-1]["status"] != "queued")
    return api.control.jobs()[-1]


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_callback_gets_one_module_a_device(pumps: Api, inbox: Inbox) -> None:
    answer = pumps.post(EXPORT, {"callbackUrl": inbox.url})
    assert answer.status_code == 202
    assert job(pumps)["id"] == answer.json()["jobId"]

    ((headers, content),) = inbox.posted
    assert headers["Content-Type"] == "application/zip"
    assert answer.json()["jobId"] in headers["Content-Disposition"]
    files = unpacked(content)
    assert set(files) == {f"{pumps.device(f'pump-{n}')}.wasm" for n in (1, 2, 3)}
    bundle = pumps.record("pump-1")["desiredBundleVersion"]
    assert files[f"{pumps.device('pump-1')}.wasm"] == wasm_module(bundle)


def test_a_module_is_well_formed() -> None:
    """Magic, version 1, and one custom section whose sizes add up, also when the size takes two bytes."""
    for bundle in ("1772442847", "x" * 200):
        module = wasm_module(bundle)
        assert module[:8] == b"\x00asm\x01\x00\x00\x00"
        assert module[8] == 0
        size, at = 0, 9
        while True:
            size |= (module[at] & 0x7F) << (7 * (at - 9))
            at += 1
            if module[at - 1] < 0x80:
                break
        section = module[at:]
        assert len(section) == size
        assert section[1 : 1 + section[0]] == b"bundleIdentifier"
        assert section[1 + section[0] :].decode() == bundle


def test_an_export_of_one_device_gzipped(pumps: Api, inbox: Inbox) -> None:
    options = {"callbackUrl": inbox.url, "deviceId": pumps.device("pump-2"), "gzip": True, "traceLevel": 2}
    assert pumps.post(EXPORT, options).status_code == 202
    job(pumps)

    ((_, content),) = inbox.posted
    ((name, packed),) = unpacked(content).items()
    assert name == f"{pumps.device('pump-2')}.wasm.gz"
    assert gzip.decompress(packed).startswith(b"\0asm")


def test_an_export_by_e_mail_goes_to_the_outbox(start: Callable[..., Api], tmp_path: Path) -> None:
    api = start(
        "applications: [{name: A, flows: {f: [v1]}, devices: [{name: d, deployed: {f: v1}}]}]", outbox=tmp_path / "out"
    )
    record = api.record("d")["id"]
    own = api.post(EXPORT, {"email": "me@example.com", "embeddedDeploymentId": record}).json()["jobId"]
    assert job(api)["status"] == "done"

    note = json.loads((tmp_path / "out" / f"{own}.json").read_text(encoding="utf-8"))
    assert (note["to"], note["attachment"]) == ("me@example.com", f"{own}.zip")
    assert list(unpacked((tmp_path / "out" / f"{own}.zip").read_bytes())) == [f"{api.device('d')}.wasm"]


def test_one_export_in_five_minutes(pumps: Api) -> None:
    assert pumps.send("POST", EXPORT).status_code == 202
    assert job(pumps)["detail"] == "no address to deliver to"
    pumps.control.advance(299)
    refused = pumps.send("POST", EXPORT)
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, False)

    pumps.control.advance(1)
    assert pumps.send("POST", EXPORT).status_code == 202


def test_nobody_outside_is_called(pumps: Api) -> None:
    assert pumps.post(EXPORT, {"callbackUrl": "http://losant.example/hook"}).status_code == 202

    last = job(pumps)
    assert last["status"] == "failed"
    assert "not on this machine" in last["detail"]


def test_a_callback_that_fails(pumps: Api, inbox: Inbox) -> None:
    inbox.status = 302
    pumps.post(EXPORT, {"callbackUrl": inbox.url})
    assert job(pumps)["status"] == "failed"

    pumps.control.advance(300)
    pumps.post(EXPORT, {"callbackUrl": "http://127.0.0.1:1/"})
    assert "could not be called" in job(pumps)["detail"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("https://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://127.0.0.1.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1@example.com/", False),
        ("http://[::1", False),
        ("ftp://127.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("http:///x", False),
    ],
)
def test_what_is_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
