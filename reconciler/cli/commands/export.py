"""`reconciler export`: requests the compiled WASM of a device, a deployment, or of all."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import Interrupted, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.operations.export.run import Listening

# Limits of the API's Export schema.
STACK_SIZES = (1_600, 2_147_483_648)  # bytes
MAX_ADDRESS = 1_024  # characters
MAX_PATH = 40  # characters of them that --listen adds to --public-url

_EMAIL = values.matching(
    r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+",
    "is not an e-mail address, such as ops@example.com",
    longest=MAX_ADDRESS,
)


@click.command(short_help="Request compiled WASM from Losant.")
@opt.application_id(required=True)
@click.option("--device", type=values.filled, metavar="ID|NAME", help="The device whose modules to compile.")
@click.option(
    "--embedded-deployment-id",
    type=values.object_id,
    metavar="ID",
    help="The deployment record whose modules to compile.",
)
@click.option("--email", type=_EMAIL, metavar="ADDRESS", help="Have Losant e-mail the file here.")
@click.option(
    "--callback-url", type=values.http_url(MAX_ADDRESS), metavar="URL", help="Have Losant POST the file here."
)
@click.option("--listen", is_flag=True, help="Receive the file here, on a local port.")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="N", help="Port of --listen; by default any free one.")
@click.option(
    "--public-url",
    type=values.http_url(MAX_ADDRESS - MAX_PATH),
    metavar="URL",
    help="Public URL of the tunnel to the port of --listen.",
)
@click.option("--out", metavar="FILE", type=values.new_file, help="New file for --listen; by default export-JOB.zip.")
@opt.timeout("10m", "Timeout of --listen: 90s, 10m.")
@click.option("--trace-level", type=click.Choice([0, 1, 2]), help="Trace level of the modules.")
@click.option("--stack-size", type=click.IntRange(*STACK_SIZES), metavar="BYTES", help="1600 to 2147483648.")
@click.option("--disable-debug-message/--enable-debug-message", default=None, help="Silence Debug nodes, or not.")
@click.option("--debug-symbols/--no-debug-symbols", default=None, help="Include debug symbols, or not.")
@click.option("--export-memory/--no-export-memory", default=None, help="Export the memory, or not.")
@click.option("--gzip/--no-gzip", default=None, help="Gzip the modules, or not.")
@opt.formats("text", "json")
@click.pass_obj
def command(
    console: Console, /, *, application: str, device: str | None, listen: bool, timeout: float, **flags: Any
) -> int | None:
    """Request Losant to compile the embedded workflows of a device, and print the id of the job.

    Losant e-mails the file (--email), POSTs it to a URL (--callback-url) or to this machine (--listen), which saves it,
    prints its size and checksum, and lists the modules of a zip or gzip. Without --device and
    --embedded-deployment-id, Losant chooses what is compiled; if both are given, they should refer to the same record.
    Compiler options that are not given are left to Losant. An application may request one export per 5 minutes.

    --listen opens a port on 127.0.0.1 only, with a secret path. Losant's cloud can reach it only through a tunnel:
    start one to a local port (with `ssh -R`, ngrok or cloudflared, for example), pass that port as --port and the
    tunnel's address as --public-url. `reconciler simulator` needs no tunnel.

    Exits with 1 if Losant refused, 5 if the job is queued but no valid file arrived, 6 if it is unknown whether the
    job is queued.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.progress import Display
    from reconciler.cli.signals import run_async, undisturbed
    from reconciler.operations.export.run import ExportRequest, ExportRun
    from reconciler.render.inert import inert
    from reconciler.render.result import file_text
    from reconciler.runtime import SystemClock

    unwritten: list[ReconcilerError] = []

    def queued(job_id: str | None) -> None:
        if job_id and not console.wants_json:  # immediately, unless stdout is one JSON document
            try:
                console.write(inert(job_id))
            except BrokenPipeError:
                pass  # who reads it is gone; the file is still to come
            except ReconcilerError as error:
                unwritten.append(error)

    listening = _listening(flags, timeout, listen=listen)
    # The remaining options are fields of the Export schema, spelled differently.
    given = {name: value for name, value in flags.items() if value is not None}
    options = {re.sub("_(.)", lambda match: match[1].upper(), name): value for name, value in given.items()}
    request = ExportRequest(application, options, device, listening)
    display = Display(console, SystemClock())
    gateway = connect(console, [application], parallelism=1, clock=display.clock)
    failure: ReconcilerError | None = None
    with display.shown():
        phase = display.phase("receiving", 0) if listening else None
        received = (lambda size, total: phase.rows(size, total or size)) if phase else None
        run = ExportRun(request, gateway, display.note, queued, received)
        try:
            run_async(run.carry_out())
        except KeyboardInterrupt:
            failure = Interrupted("interrupted")
        except ReconcilerError as error:
            failure = error
    with undisturbed():
        done, failure = run.export, failure or next(iter(unwritten), None)
        with contextlib.suppress(BrokenPipeError):
            if console.wants_json:
                console.write_json(error=failure, exports=(done,) if done else ())
            elif done and done.file:
                console.write(file_text(done.file))
        if done and done.file and done.file.type == "other" and not console.wants_json:
            console.note("Warning: the file is not a zip archive, a gzip file or a WASM module; inspect it.")
        return console.fail(failure) if failure else None


def _listening(flags: dict[str, Any], timeout_s: float, *, listen: bool) -> Listening | None:
    """Take the options of --listen out of the flags."""
    from reconciler.operations.export.run import Listening

    own = {name: flags.pop(name) for name in ("public_url", "port", "out")}
    if not listen:
        for given in (f"--{name.replace('_', '-')}" for name, value in own.items() if value is not None):
            raise UsageError(f"{given} requires --listen", hint=f"add --listen, or remove {given}")
        return None
    public_url, port, out = own.values()
    if flags["callback_url"] is not None:
        hint = "pass the address of a tunnel to this machine as --public-url"
        raise UsageError("--listen and --callback-url cannot be combined", hint=hint)
    if public_url is not None and (urlsplit(public_url).query or urlsplit(public_url).fragment):
        raise UsageError("--public-url must not have a query or a fragment", hint="a path is appended to it")
    if timeout_s <= 0:
        raise UsageError("--timeout must be more than 0", hint="write 90s, 10m or 2h")
    return Listening(port or 0, public_url, Path(out) if out is not None else None, timeout_s)
