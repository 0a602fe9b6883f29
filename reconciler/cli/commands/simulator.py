"""`reconciler simulator`: runs a local simulator of the API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from errno import EADDRINUSE
from pathlib import Path

import click

from reconciler.cli.console import Console
from reconciler.errors import Problem, ReconcilerError, UsageError

_TAKEN = "stop what has it, such as another simulator, or let --port 0 take a free one"
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """A date and time of an option: RFC 3339, of a year that every clock knows."""
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if _FIRST_YEAR <= moment.year < _LAST_YEAR:
            return moment
    raise click.BadParameter(f'"{text}" is no date and time: write it like 2026-03-02T09:00:00Z')


@click.command
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 means any free port.")
@click.option("--fleet", metavar="FILE", type=click.Path(), help="YAML: devices, flows, versions, what is deployed.")
@click.option("--db", metavar="FILE", type=click.Path(), help="Keep the state in this SQLite file. Default: memory.")
@click.option("--outbox", metavar="DIR", type=click.Path(), help="Folder for exports sent to an e-mail address.")
@click.option("--clock", metavar="DATE", callback=_moment, help="The time at the start, e.g. 2026-03-02T09:00:00Z.")
@click.option(
    "--speed", type=click.IntRange(0, 1_000_000), metavar="N", help="Time runs N times as fast. 0: it stands still."
)
@click.pass_obj
def command(
    console: Console,
    *,
    port: int,
    fleet: str | None,
    db: str | None,
    outbox: str | None,
    clock: datetime | None,
    speed: float | None,
) -> None:
    """Run a local simulator of the API on 127.0.0.1 until Ctrl-C, and print its URL and token.

    Without --fleet it serves the fleet of `reconciler demo`. A --db that already contains a fleet is continued.
    """
    from reconciler.cli.commands.demo import demo_fleet
    from reconciler.render.inert import inert

    with needs_simulator():
        from reconciler.simulator import Clock, ControlError, FleetError, Server, run

    def announce(server: Server) -> None:
        console.write(f"LOSANT_API_URL={server.url}\nLOSANT_API_TOKEN={server.token}\n")
        for one, name in server.applications.items():
            console.note(f"Application {one} ({inert(name)}).")
        console.note("Serving until Ctrl-C.")

    stored = db is not None and Path(db).exists()
    source: Path | str | None = Path(fleet) if fleet else None if stored else demo_fleet()
    try:
        time = Clock(at=clock, speed=1.0 if speed is None else speed)
        server = Server(source, db=db, port=port, outbox=Path(outbox) if outbox else None, clock=time)
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            if stored:
                server.control.clock(at=clock, speed=speed)
            run(server, announce)
    except FleetError as error:
        raise ReconcilerError([Problem(inert(line)) for line in error.problems]) from None
    except ControlError as error:
        raise UsageError(f"--clock: {error}") from None
    except OSError as error:
        hint = (
            "stop what has it, such as another simulator, or let --port 0 take a free one"
            if error.errno == EADDRINUSE
            else None
        )
        raise UsageError(f"the simulator cannot start: {error.strerror or error}", hint=hint) from None


@contextlib.contextmanager
def needs_simulator() -> Iterator[None]:
    """Report a missing package inside the block as a usage error: the extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        hint = "install reconciler with its extra `simulator`"
        raise UsageError(f"the simulator needs the package {error.name}, which is not installed", hint=hint) from None
