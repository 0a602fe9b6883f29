"""`reconciler export`: the compiled WASM of a device, a deployment, or of all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import Interrupted, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.operations.export.run import Listening

# Limits of the API's Export schema.
STACK_SIZES = (1_600, 2_147_483_648)  # bytes
MAX_ADDRESS = 1_024  # characters
MAX_PATH = 40  # of them, what --listen adds to --public-url

_EMAIL = opt.matching(
    r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+",
    "is not an e-mail address, such as ops@example.com",
    longest=MAX_ADDRESS,
)


@click.command(short_help="Ask Losant for compiled WASM.")
@opt.application_id(required=True)
@click.option("--device", type=opt.filled, metavar="ID|NAME", help="The device whose modules to compile.")
@click.option(
    "--embedded-deployment-id", type=opt.object_id, metavar="ID", help="The deployment record whose modules to compile."
)
@click.option("--email", type=_EMAIL, metavar="ADDRESS", help="Let Losant mail the file there.")
@click.option("--callback-url", type=opt.http_url(MAX_ADDRESS), metavar="URL", help="Let Losant post the file there.")
@click.option("--listen", is_flag=True, help="Receive the file here, through a port of this machine.")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="N", help="Port of --listen; any free one by default.")
@click.option(
    "--public-url",
    type=opt.http_url(MAX_ADDRESS - MAX_PATH),
    metavar="URL",
    help="Address of the tunnel that leads to the port of --listen.",
)
@click.option("--out", metavar="FILE", type=opt.new_file, help="New file of --listen; export-JOB.zip by default.")
@opt.timeout("10m", "How long --listen waits: 90s, 10m.")
@click.option("--trace-level", type=click.Choice([0, 1, 2]), help="How much the modules trace.")
@click.option("--stack-size", type=click.IntRange(*STACK_SIZES), metavar="BYTES", help="1600 to 2147483648.")
@click.option("--disable-debug-message/--enable-debug-message", default=None, help="Debug nodes: silent, or not.")
@click.option("--debug-symbols/--no-debug-symbols", default=None, help="With symbols, or without.")
@click.option("--export-memory/--no-export-memory", default=None, help="With the memory exported, or without.")
@click.option("--gzip/--no-gzip", default=None, help="Modules gzipped, or not.")
@opt.formats("text", "json")
@click.pass_obj
def command(
    console: Console, /, *, application: str, device: str | None, listen: bool, timeout: float, **flags: Any
) -> int | None:
    """Ask Losant to compile the embedded workflows of a device, and print the id of the job.

    Losant mails the file (--email), posts it (--callback-url), or posts it to this machine (--listen), which saves it,
    prints its size and checksum, and lists the modules of a zip or gzip. Without --device and
    --embedded-deployment-id, what is compiled is Losant's choice; with both, they should mean the same record. What is
    not said of the compiler is left to Losant, too. An application has one export in 5 minutes.

    --listen opens a port on 127.0.0.1 only, with a path that nobody can guess. Losant's cloud reaches it through a
    tunnel alone: start one that leads to a port (such as `ssh -R`, ngrok or cloudflared), pass that port as --port and
    the tunnel's address as --public-url. No tunnel is needed with `reconciler simulator`.

    Ends with 1 when Losant refused, 5 when the job is queued but no sound file came, 6 when it is not known whether
    the job is queued.
    """
    from reconciler.cli.connect import connect
    from reconciler.cli.progress import Display
    from reconciler.cli.signals import run_async, undisturbed
    from reconciler.operations.export.run import ExportRequest, ExportRun
    from reconciler.render.export import file_text
    from reconciler.render.inert import inert
    from reconciler.runtime import SystemClock

    def queued(job_id: str | None) -> None:
        if job_id and not console.wants_json:  # at once, unless stdout is one document
            console.write(inert(job_id))

    listening = _listening(flags.pop("public_url"), flags.pop("port"), flags.pop("out"), timeout, flags, listen=listen)
    # What is left are fields of the Export schema, but for their spelling.
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
        done = run.export
        if console.wants_json:
            console.write_json(error=failure, exports=(done,) if done else ())
        elif done and done.file:
            console.write(file_text(done.file))
            if done.file.type == "other":
                console.note("Warning: the file is not a zip archive, a gzip file or a WASM module; look into it.")
        return console.fail(failure) if failure else None


def _listening(
    public_url: str | None,
    port: int | None,
    out: str | None,
    timeout_s: float,
    flags: Mapping[str, Any],
    *,
    listen: bool,
) -> Listening | None:
    from reconciler.operations.export.run import Listening

    if not listen:
        for name, value in {"--public-url": public_url, "--port": port, "--out": out}.items():
            if value is not None:
                raise UsageError(f"{name} goes with --listen only", hint="add --listen, or leave it out")
        return None
    if flags["callback_url"] is not None:
        hint = "pass the address of a tunnel to this machine as --public-url"
        raise UsageError("--listen is the callback itself, so it does not go with --callback-url", hint=hint)
    if public_url is not None and (urlsplit(public_url).query or urlsplit(public_url).fragment):
        raise UsageError("--public-url may have no query and no fragment", hint="a path is added to it")
    if timeout_s <= 0:
        raise UsageError("--timeout leaves no time", hint="write 90s, 10m or 2h")
    return Listening(port or 0, public_url, Path(out) if out is not None else None, timeout_s)
