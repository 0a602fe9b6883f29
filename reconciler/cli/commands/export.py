"""`reconciler export`: the compiled WASM of a device, a deployment, or of all of them."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console

MAX_PORT = 65_535
STACK_SIZES = (1_600, 2_147_483_648)  # limits of the API's Export schema


@click.command(short_help="Ask Losant for compiled WASM.")
@click.option("--application", required=True, metavar="ID", help="Id of the application.")
@click.option("--device", metavar="ID|NAME", help="The device whose modules to compile.")
@click.option("--embedded-deployment-id", metavar="ID", help="The deployment record whose modules to compile.")
@click.option("--email", metavar="ADDRESS", help="Let Losant mail the file there.")
@click.option("--callback-url", metavar="URL", help="Let Losant post the file there.")
@click.option("--listen", is_flag=True, help="Receive the file here, through a port of this machine.")
@click.option(
    "--port", type=click.IntRange(0, MAX_PORT), metavar="N", help="Port of --listen; any free one by default."
)
@click.option("--public-url", metavar="URL", help="Address of the tunnel that leads to the port of --listen.")
@click.option("--out", metavar="FILE", type=click.Path(), help="New file of --listen; export-JOB.zip by default.")
@click.option("--timeout", default="10m", show_default=True, metavar="TIME", help="How long --listen waits: 90s, 10m.")
@click.option("--trace-level", type=click.Choice(["0", "1", "2"]), help="How much the modules trace.")
@click.option("--stack-size", type=click.IntRange(*STACK_SIZES), metavar="BYTES", help="1600 to 2147483648.")
@click.option("--disable-debug-message/--enable-debug-message", default=None, help="Debug nodes: silent, or not.")
@click.option("--debug-symbols/--no-debug-symbols", default=None, help="With symbols, or without.")
@click.option("--export-memory/--no-export-memory", default=None, help="With the memory exported, or without.")
@click.option("--gzip/--no-gzip", default=None, help="Modules gzipped, or not.")
@opt.formats("text", "json")
@click.pass_obj
def command(console: Console, /, **flags: Any) -> int:
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
    from reconciler.cli.exporting import export
    from reconciler.cli.options import duration_s
    from reconciler.operations.export.request import ExportRequest

    timeout_s = duration_s("--timeout", flags["timeout"]) if flags["listen"] else 0.0
    return export(console, ExportRequest.from_flags({**flags, "timeout_s": timeout_s}))
