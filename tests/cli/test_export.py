"""`reconciler export` against the simulator over loopback: what is asked for, what arrives, what goes wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import Server, faults, serve
from tests.support.cli import Ended, run_here
from tests.support.processes import usual_signals
from tests.support.waiting import until

APPLICATION = "5f0c8a1b2d3e4f5061728394"
RECORD_OF_NOBODY = "0123456789abcdef01234567"
FLEET = f"""
applications:
  - id: {APPLICATION}
    name: plant
    flows: {{telemetry: [v1], edgy: {{class: edge, versions: [e1]}}}}
    tokens:
      - {{text: narrow, scopes: [embeddedDeployments.export]}}
      - {{text: reader, scopes: [embeddedDeployments.get]}}
    devices:
      - {{count: 3, name: "leeds-{{n}}", deployed: {{telemetry: v1}}}}
      - {{name: twin, deployed: {{telemetry: v1}}}}
      - {{id: 5f0c8a1b2d3e4f50617283aa, name: twin}}
      - {{name: gateway, class: edgeCompute, deployed: {{edgy: e1}}}}
      - {{name: idle}}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        yield server


@pytest.fixture
def pump(server: Server) -> str:
    """The id of leeds-1."""
    return str(next(row["device_id"] for row in server.control.rows() if row["device"] == "leeds-1"))


@pytest.fixture
def export(server: Server) -> Any:
    def invoke(*argv: str) -> Ended:
        return run_here("export", "--application", APPLICATION, *argv)

    return invoke


def sent(server: Server) -> list[Any]:
    """The bodies of the exports that were asked for."""
    return [one["body"] for one in server.control.requests() if one["action"] == "embeddedDeployments.export"]


def until_done(server: Server) -> dict[str, Any]:
    """The last job, once it has ended."""
    until(lambda: server.control.jobs()[-1]["status"] != "queued")
    return dict(server.control.jobs()[-1])


# --- what is asked for ------------------------------------------------------------------------------------------


def test_the_job_id_is_printed(server: Server, export: Any, pump: str) -> None:
    ended = export("--device", "leeds-1", "--email", "ops@example.com")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == server.control.jobs()[-1]["id"] + "\n"
    assert sent(server) == [{"deviceId": pump, "email": "ops@example.com"}]


def test_every_option_of_the_schema_is_sent(server: Server, export: Any, pump: str) -> None:
    record = next(one for one in _records(server) if one["deviceId"] == pump)["id"]
    ended = export(
        *("--device", pump.upper(), "--embedded-deployment-id", record.upper()),
        *("--email", "ops@example.com", "--callback-url", "https://example.com/hook?a=b"),
        *("--trace-level", "2", "--disable-debug-message", "--stack-size", "1600"),
        *("--debug-symbols", "--export-memory", "--gzip", "--format", "json"),
    )
    assert ended.code == 0
    body = {
        "deviceId": pump,
        "embeddedDeploymentId": record,
        "email": "ops@example.com",
        "callbackUrl": "https://example.com/hook?a=b",
        "traceLevel": 2,
        "disableDebugMessage": True,
        "stackSize": 1600,
        "debugSymbols": True,
        "exportMemory": True,
        "gzip": True,
    }
    assert sent(server) == [body]
    job = server.control.jobs()[-1]["id"]
    export_part = {"application": APPLICATION, "job_id": job, "options": body, "file": None}
    assert ended.document == {"format_version": "1", "command": "export", "error": None, "exports": [export_part]}


def test_what_is_not_said_is_not_sent_and_no_is_said(server: Server, export: Any) -> None:
    off = ("--enable-debug-message", "--no-debug-symbols", "--no-export-memory", "--no-gzip", "--trace-level", "0")
    assert export("--email", "ops@example.com", *off, "--stack-size", "2147483648").code == 0
    assert sent(server) == [
        {
            "email": "ops@example.com",
            "disableDebugMessage": False,
            "debugSymbols": False,
            "exportMemory": False,
            "gzip": False,
            "traceLevel": 0,
            "stackSize": 2147483648,
        }
    ]


def test_an_id_needs_no_scope_but_that_of_the_export(server: Server, export: Any, pump: str) -> None:
    Path("token").write_text("narrow")
    assert export("--token-file", "token", "--device", pump, "--email", "a@b.c").code == 0
    assert [one["action"] for one in server.control.requests()] == ["embeddedDeployments.export"]
    by_name = export("--token-file", "token", "--device", "leeds-1", "--email", "a@b.c")
    assert by_name.code == 1
    assert "give the token the scope devices.get, or pass the device's id" in by_name.err


def test_without_an_address_there_is_a_warning(export: Any) -> None:
    ended = export("--device", "leeds-1")
    assert ended.code == 0
    assert "the file is not delivered" in ended.err


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stack-size", "1599"], "1599 is not in the range 1600<=x<=2147483648"),
        (["--stack-size", "2147483649"], "2147483649 is not in the range"),
        (["--stack-size", "2000.5"], "is not a valid integer range"),
        (["--trace-level", "3"], "'3' is not one of '0', '1', '2'"),
        (
            ["--email", "nobody"],
            "'nobody' is not an e-mail address, such as ops@example.com",
        ),
        (["--email", "a b@c"], "'a b@c' is not an e-mail address"),
        (
            ["--email", "a@" + "b" * 1023],
            "it is 1,025 characters long; the API accepts 1,024",
        ),
        (
            ["--callback-url", "example.com/hook"],
            "'example.com/hook' is not an http or https URL",
        ),
        (["--callback-url", "ftp://example.com"], "is not an http or https URL"),
        (["--callback-url", "https://"], "is not an http or https URL"),
        (["--callback-url", "https://example.com/a b"], "is not an http or https URL"),
        (["--callback-url", "https://example.com:port/"], "is not an http or https URL"),
        (
            ["--callback-url", "https://e.com/" + "x" * 1011],
            "it is 1,025 characters long",
        ),
        (
            ["--embedded-deployment-id", "12"],
            "'12' is not a valid id: write its 24 hex digits",
        ),
        (["--device", ""], "it is empty"),
        (["--device", "leeds-11"], "device leeds-11: there is no such device of class embedded (nearest: leeds-1"),
        (["--device", "gateway"], "device gateway: that device is of class edgeCompute"),
        (["--device", "twin"], "device twin: 2 devices have that name (pass an id: "),
        (["--out", "x.zip"], "--out requires --listen"),
        (["--port", "8080"], "--port requires --listen"),
        (["--public-url", "https://t.example.com"], "--public-url requires --listen"),
        (["--listen", "--callback-url", "https://example.com"], "--listen and --callback-url cannot be combined"),
        (["--listen", "--timeout", "soon"], "'soon' is not a duration"),
        (["--listen", "--timeout", "0"], "--timeout must be more than 0"),
        (["--listen", "--port", "65536"], "65536 is not in the range"),
        (["--listen", "--public-url", "tunnel"], "'tunnel' is not an http or https URL"),
        (["--listen", "--public-url", "https://e.com/" + "x" * 971], "is 985 characters long; the API accepts 984"),
        (["--listen", "--public-url", "https://example.com/?a=b"], "--public-url must not have a query"),
        (["--listen", "--out", "no/such/x.zip"], "a file in no/such cannot be written"),
        (["--listen", "--out", "taken.zip"], "taken.zip already exists"),
        (["--application", "plant"], "'plant' is not a valid id"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    arguments: list[str], words: str, server: Server, export: Any
) -> None:
    Path("taken.zip").write_text("mine")
    ended = export(*arguments)
    assert ended.code == 1
    assert words in ended.err
    assert ended.out == ""
    assert sent(server) == []
    assert [path.name for path in Path().iterdir()] == ["taken.zip"]
    assert Path("taken.zip").read_text() == "mine"


def test_a_mistake_is_one_json_document_too(export: Any) -> None:
    ended = export("--device", "leeds-11", "--format", "json")
    assert ended.code == 1
    assert ended.document["command"] == "export"
    assert ended.document["exports"] == []
    (problem,) = ended.document["error"]["problems"]
    assert problem["hint"].startswith("nearest: leeds-1")


def test_losant_beyond_this_machine_reaches_no_loopback_port(
    server: Server, export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSANT_API_URL", "https://api.losant.com")
    ended = export("--listen")
    assert ended.code == 1
    assert "which api.losant.com cannot reach" in ended.err
    assert "the tunnel's --public-url" in ended.err


def test_a_port_that_is_taken_is_told(server: Server, export: Any) -> None:
    port = server.url.rpartition(":")[2]
    ended = export("--listen", "--port", port)
    assert ended.code == 1
    assert f"port {port} cannot be opened" in ended.err
    assert sent(server) == []


def test_a_device_without_a_deployment(server: Server, export: Any) -> None:
    ended = export("--device", "idle", "--email", "a@b.c")
    assert ended.code == 1
    assert "HTTP 404" in ended.err
    assert "no deployments to compile" in ended.err


def test_a_token_that_may_not(export: Any) -> None:
    Path("token").write_text("reader")
    ended = export("--token-file", "token", "--email", "a@b.c")
    assert ended.code == 1
    assert "needs the scope embeddedDeployments.export" in ended.err


def test_the_limit_of_one_in_five_minutes_is_told_as_such(server: Server, export: Any) -> None:
    assert export("--email", "a@b.c").code == 0
    ended = export("--email", "a@b.c", "--format", "json")
    assert ended.code == 1
    (problem,) = ended.document["error"]["problems"]
    assert "HTTP 429" in problem["message"]
    assert "one export per application in 5 minutes" in problem["message"]
    assert "try again at " in problem["hint"]
    assert " UTC" in problem["hint"]
    assert len(sent(server)) == 2  # the refused one was not sent again
    server.control.advance(301)
    assert export("--email", "a@b.c").code == 0


def test_when_to_try_again_is_the_servers_word_if_it_has_one(
    server: Server, export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.runtime import SystemClock

    monkeypatch.setattr(SystemClock, "utc_now", lambda _: "2026-03-02T23:59:30.000Z")
    server.control.fault(faults.Status(status=429, retry_after="90", when=faults.When(method="POST")))
    assert "try again at 2026-03-03 00:01:00 UTC" in export("--email", "a@b.c").err
    server.control.clear_faults()
    server.control.fault(faults.Status(status=429, when=faults.When(method="POST")))
    assert "try again at 2026-03-03 00:04:30 UTC" in export("--email", "a@b.c").err


@pytest.mark.parametrize(
    "fault", [faults.Status(status=503), faults.Reset(after_effect=True), faults.Garble(how="html")]
)
def test_an_answer_that_leaves_it_open_ends_with_6(fault: Any, server: Server, export: Any) -> None:
    server.control.fault(fault)
    ended = export("--email", "a@b.c", "--format", "json")
    assert ended.code == 6
    assert ended.document["error"]["code"] == 6
    assert ended.document["exports"] == []
    assert "it is unknown whether the job was queued" in ended.err
    assert len(sent(server)) <= 1


# --- listening --------------------------------------------------------------------------------------------------


def _records(server: Server) -> list[dict[str, Any]]:
    from losant_rest import Client

    found = Client(server.token, server.url).embedded_deployments.get(applicationId=APPLICATION)["items"]
    return list(found)


def test_the_file_arrives_and_is_listed(server: Server, export: Any, pump: str) -> None:
    ended = export("--device", "leeds-1", "--listen", "--out", "leeds.zip")
    assert ended.code == 0, ended.err
    content = Path("leeds.zip").read_bytes()
    job, saved, listed = ended.out.splitlines()
    assert job == server.control.jobs()[-1]["id"]
    assert saved == f"leeds.zip: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}, zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        module = archive.read(f"{pump}.wasm")
    assert listed.split() == [f"{pump}.wasm", str(len(module)), "bytes", "WASM"]
    assert [path.name for path in Path().iterdir()] == ["leeds.zip"]
    assert until_done(server)["status"] == "done"
    (body,) = sent(server)
    assert body["callbackUrl"].startswith("http://127.0.0.1:")
    assert len(body["callbackUrl"].rpartition("/")[2]) >= 32  # nobody guesses it


def test_gzipped_modules_are_looked_into(server: Server, export: Any, pump: str) -> None:
    ended = export("--listen", "--gzip", "--format", "json")
    assert ended.code == 0
    (one,) = ended.document["exports"]
    path = Path(one["file"]["path"])
    assert path.name == f"export-{one['job_id']}.zip"
    content = path.read_bytes()
    assert one["file"]["size"] == len(content)
    assert one["file"]["sha256"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert one["file"]["type"] == "zip"
    modules = {module["name"]: module for module in one["file"]["modules"]}
    assert len(modules) == 4
    with zipfile.ZipFile(path) as archive:
        size = len(gzip.decompress(archive.read(f"{pump}.wasm.gz")))
    assert modules[f"{pump}.wasm.gz"] == {"name": f"{pump}.wasm.gz", "size": size, "wasm": True}


def test_a_tunnel_leads_to_the_port(server: Server, export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--public-url` is what Losant is told; the port stays this machine's."""
    monkeypatch.setattr("reconciler.simulator.api.export.is_loopback", lambda _: False)  # nobody delivers
    ended = export("--listen", "--public-url", "https://tunnel.example.com/in/", "--timeout", "0.1s")
    assert ended.code == 5
    (body,) = sent(server)
    assert body["callbackUrl"].startswith("https://tunnel.example.com/in/")
    assert "//" not in body["callbackUrl"].removeprefix("https://")


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_callback_that_does_not_come_in_time(
    fmt: str, server: Server, export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.simulator.api.export.is_loopback", lambda _: False)
    ended = export("--listen", "--timeout", "0.1s", "--format", fmt)
    assert ended.code == 5
    job = server.control.jobs()[-1]["id"]
    assert f"no file arrived for job {job} within 0.1 s" in ended.err
    if fmt == "text":
        assert ended.out == job + "\n"
    else:
        assert ended.document["exports"][0]["job_id"] == job
        assert ended.document["exports"][0]["file"] is None
        assert ended.document["error"]["code"] == 5
    assert list(Path().iterdir()) == []


def test_a_damaged_archive_is_told_and_not_kept(server: Server, export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.simulator.api import export as job

    sound = job.archive
    monkeypatch.setattr(job, "archive", lambda one: sound(one)[:-30])
    ended = export("--listen", "--out", "x.zip", "--format", "json")
    assert ended.code == 5
    assert "the file is not a valid zip archive" in ended.err
    assert ended.document["exports"][0]["file"] is None
    assert list(Path().iterdir()) == []


def test_a_file_that_came_and_cannot_be_saved(server: Server, export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else took the name while Losant compiled: theirs stays."""
    from reconciler.simulator.api import export as job

    sound = job.archive

    def meanwhile(one: Any) -> bytes:
        Path("x.zip").write_text("mine")
        return sound(one)

    monkeypatch.setattr(job, "archive", meanwhile)
    ended = export("--listen", "--out", "x.zip", "--format", "json")
    assert ended.code == 5
    assert "the received file x.zip cannot be written: it already exists" in ended.err
    assert ended.document["exports"][0]["job_id"]
    assert [path.name for path in Path().iterdir()] == ["x.zip"]
    assert Path("x.zip").read_text() == "mine"


def test_hostile_names_and_job_ids_do_nothing(server: Server, export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.api.client import LosantApi
    from reconciler.simulator.api import export as job

    def archive(_: Any) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("\x1b[2J##[error]x.wasm", b"\0asm")
        return buffer.getvalue()

    ask = LosantApi.export

    async def evil(self: LosantApi, options: Any) -> str:
        await ask(self, options)
        return "../\x1b[2J\n::set"

    monkeypatch.setattr(job, "archive", archive)
    monkeypatch.setattr(LosantApi, "export", evil)
    ended = export("--listen")
    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out + ended.err
    assert "##[" not in ended.out
    assert not any(line.lstrip().startswith("::") for line in (ended.out + ended.err).splitlines())
    (saved,) = Path().iterdir()
    assert saved.name == "export-_____2J___set.zip"


def test_what_is_no_archive_is_saved_with_a_warning(
    server: Server, export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.simulator.api import export as job

    monkeypatch.setattr(job, "archive", lambda _: b'{"url": "https://example.com/file"}')
    ended = export("--listen", "--out", "x.json")
    assert ended.code == 0
    assert "Warning: the file is not a zip archive, a gzip file or a WASM module" in ended.err
    assert Path("x.json").read_bytes() == b'{"url": "https://example.com/file"}'


def test_ctrl_c_while_listening(server: Server, export: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from reconciler.operations.export.listener import Listener, Received

    monkeypatch.setattr("reconciler.simulator.api.export.is_loopback", lambda _: False)
    wait = Listener.file

    async def interrupted(self: Listener) -> Received:
        until_done(server)
        signal.raise_signal(signal.SIGINT)
        return await wait(self)

    monkeypatch.setattr(Listener, "file", interrupted)
    with usual_signals():
        ended = export("--listen", "--format", "json")
    assert ended.code == 130
    assert ended.document["error"]["code"] == 130
    assert ended.document["exports"][0]["job_id"] == server.control.jobs()[-1]["id"]
    assert list(Path().iterdir()) == []


def test_a_bar_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.simulator.api import export as job
    from tests.cli.test_terminal import terminal
    from tests.support.fleet import FLEET as SHOP
    from tests.support.fleet import Shop

    sound = job.archive

    def slowly(one: Any) -> bytes:
        time.sleep(0.3)  # so that the bar is drawn at least once
        return sound(one)

    monkeypatch.setattr(job, "archive", slowly)
    with serve(SHOP) as server:
        shop = Shop(server, tmp_path)
        with terminal(shop, "export", "--application", APPLICATION, "--listen", "--out", "shop.zip") as screen:
            assert screen.end() == 0, screen.shown
    assert "\nreceiving" in screen.shown
    assert "\x1b[2K" in screen.shown  # the bar is wiped away at the end
    assert screen.shown.count(" WASM\n") == 6


def test_documents_fit_the_published_schema(export: Any) -> None:
    from jsonschema_rs import Draft202012Validator

    from reconciler.documents.json_schema import output_schema

    schema = Draft202012Validator(output_schema())
    for arguments in (["--listen"], ["--email", "a@b.c"], ["--device", "nobody"]):
        schema.validate(export(*arguments, "--format", "json").document)
