"""The command `reconciler`: its global options, its commands by name, and the one place that catches errors."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, Interrupted, Problem, ReconcilerError, UsageError

# Module of each command, in the order that help shows them. A module is imported when its command is asked for.
COMMANDS = {
    "validate": "validate",
    "plan": "plan",
    "show": "show",
    "apply": "apply",
    "status": "status",
    "diff": "diff",
    "import": "import_",
    "export": "export",
    "schema": "schema",
    "applications": "applications",
    "init": "init",
    "simulator": "simulator",
    "demo": "demo",
}


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, each with an object named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Commands in the order of their use."""
        return [name for name, module in COMMANDS.items() if importlib.util.find_spec(f"reconciler.cli.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command object, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the near miss when there is no such command."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, rest


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--api-url", metavar="URL", help="Base URL of the API. [env: LOSANT_API_URL]")
@click.option("--token-file", metavar="FILE", type=click.Path(), help="File that holds the API token.")
@click.option("-v", "--verbose", count=True, help="Explain more; -vv also logs each request.")
@click.option("--no-color", is_flag=True, help="No colours. [env: NO_COLOR]")
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, api_url: str | None, token_file: str | None, *, verbose: int, no_color: bool) -> None:
    """GitOps for fleets of embedded devices on Losant.

    YAML manifests in Git say which version of which flow each device runs; `plan` shows what would change,
    `apply` carries it out.
    """
    session: Session = ctx.obj
    session.api_url = api_url
    session.token_file = token_file
    session.verbose = verbose
    session.color = not no_color and not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def run(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code. Nothing but this maps errors to codes and to text."""
    session = Session(argv)
    with _terminated_like_interrupt():
        try:
            return _invoke(list(argv), session)
        except ReconcilerError as error:
            return session.fail(error)
        except (KeyboardInterrupt, click.Abort):
            return session.fail(Interrupted("interrupted"))
        except BrokenPipeError:
            # The reader of our output went away (`| head`): not an error of this run, but nothing more to say.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(ExitCode.ERROR)
        except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback reaches a user
            return session.crash(error)


def _invoke(argv: list[str], session: Session) -> int:
    try:
        code = cli.main(args=argv, prog_name="reconciler", standalone_mode=False, obj=session)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        return int(ExitCode.ERROR)
    except click.UsageError as error:
        raise _usage_error(error) from None
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    sys.stdout.flush()
    return int(code or 0)


def _usage_error(error: click.UsageError) -> UsageError:
    path = error.ctx.command_path if error.ctx else "reconciler"
    return UsageError([Problem(error.format_message().replace("\n", " "), hint=f"see `{path} --help`")])


@contextlib.contextmanager
def _terminated_like_interrupt() -> Any:
    """SIGTERM ends a run the way Ctrl-C does: with the result of what was done."""

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: the caller's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
