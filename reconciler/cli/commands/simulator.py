"""`reconciler simulator`: serve a local stand-in of the API."""

from __future__ import annotations

import click

from reconciler.cli.console import Console


@click.command
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--fleet", metavar="FILE", type=click.Path(), help="YAML: devices, flows, versions, what is deployed.")
@click.option("--db", metavar="FILE", type=click.Path(), help="Keep the state in this SQLite file. Default: memory.")
@click.option("--outbox", metavar="DIR", type=click.Path(), help="Where exports for an e-mail address are written.")
@click.pass_obj
def command(console: Console, *, port: int, fleet: str | None, db: str | None, outbox: str | None) -> int:
    """Serve a local stand-in of the API on 127.0.0.1 until Ctrl-C, and print its URL and token.

    Without --fleet it serves the fleet of `reconciler demo`. A --db that already holds a fleet goes on with it.
    """
    from pathlib import Path

    from reconciler.cli.commands.demo_fleet import demo_fleet
    from reconciler.errors import ExitCode, Problem, ReconcilerError, UsageError
    from reconciler.render.inert import inert

    with needs_simulator():
        from reconciler.simulator import FleetError, Server, run

    def announce(server: Server) -> None:
        console.write(f"LOSANT_API_URL={server.url}\nLOSANT_API_TOKEN={server.token}\n")
        console.note("Serving until Ctrl-C.")

    held = Path(db).exists() if db else False
    source: Path | str | None = Path(fleet) if fleet else None if held else demo_fleet()
    try:
        run(source, db=db, port=port, outbox=Path(outbox) if outbox else None, on_start=announce)
    except FleetError as error:
        raise ReconcilerError([Problem(inert(line)) for line in error.problems]) from None
    except OSError as error:
        raise UsageError(f"the simulator cannot start: {error.strerror or error}") from None
    return console.exit(ExitCode.DONE)


class needs_simulator:  # noqa: N801 - reads as a phrase where it is used
    """Tell how to install the extra when its packages are missing."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """A missing package becomes a usage error."""
        if isinstance(error, ModuleNotFoundError):
            from reconciler.errors import UsageError

            hint = "install reconciler with its extra, simulator"
            raise UsageError(
                f"the simulator needs the package {error.name}, which is not installed", hint=hint
            ) from None
