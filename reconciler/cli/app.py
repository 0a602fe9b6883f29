"""The `reconciler` command: global options, lazily loaded commands, and the one place that catches errors."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.cli.registry import COMMANDS
from reconciler.cli.signals import current, interruptible
from reconciler.cli.terraform import ours
from reconciler.errors import ExitCode, Interrupted, Problem, ReconcilerError, UsageError
from reconciler.model.text import nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, each with an object named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Command names in the order of the help text."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in COMMANDS.values()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command. It accepts the global options too, so that they may follow the command."""
        if cmd_name not in COMMANDS:
            return None
        from reconciler.cli.examples import EXAMPLES, ending

        command: click.Command = importlib.import_module(COMMANDS[cmd_name].module).command
        command.epilog = ending(EXAMPLES[cmd_name])
        names = {param.name for param in command.params}
        command.params += [option for option in opt.global_options(hidden=True) if option.name not in names]
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that begin like what is typed, without importing them."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        from click.shell_completion import CompletionItem

        matching = (command for command in COMMANDS.values() if command.name.startswith(incomplete))
        return [CompletionItem(command.name, help=command.summary) for command in matching]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest name for an unknown command."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-") and not ctx.resilient_parsing:
            near = nearest(name, self.list_commands(ctx))
            meant = f"; did you mean {near!r}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{meant}", ctx)
        ctx.ensure_object(Console).command = name
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    params=opt.global_options(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="These options may also follow the command.",
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def cli() -> None:
    """GitOps for fleets of embedded devices on Losant.

    YAML manifests in Git say which version of which flow each device runs; `plan` shows what would change,
    `apply` carries it out.
    """


def run(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code. Only this maps errors to exit codes and messages."""
    _sound_streams()
    console = Console(argv)
    with interruptible():
        try:
            return _invoke(list(argv), console)
        except ReconcilerError as error:
            return console.fail(error)
        except (KeyboardInterrupt, click.Abort):
            return console.fail(Interrupted("interrupted"))
        except BrokenPipeError:  # the reader of our output closed the pipe (`| head`)
            return int(console.end_events(ExitCode.ERROR))
        except FileNotFoundError as error:
            return console.fail(console.bug(error) if _has_working_directory() else _NO_WORKING_DIRECTORY)
        except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback reaches a user
            return console.fail(console.bug(error))


_NO_WORKING_DIRECTORY = UsageError("the working directory was deleted", hint="change to a folder that exists")


def _has_working_directory() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - one system call
    except FileNotFoundError:
        return False


def _invoke(argv: list[str], console: Console) -> int:
    if asked := os.environ.get("_RECONCILER_COMPLETE"):
        from reconciler.cli.completion import answer

        click.echo(answer(cli, asked, console))
        return int(ExitCode.DONE)
    try:
        code = cli.main(args=argv, prog_name="reconciler", standalone_mode=False, obj=console)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        return int(ExitCode.ERROR)
    except click.UsageError as error:
        raise _usage_error(error, console, argv) from None
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    if code != ExitCode.INTERRUPTED:
        current().check()
    return int(code or 0)


def _usage_error(error: click.UsageError, console: Console, argv: Sequence[str]) -> UsageError:
    """A usage error with a hint. Click omits the command when an option lacks its argument."""
    if isinstance(error, click.NoSuchOption) and (known_word := ours(argv)):
        word, hint = known_word
        return UsageError([Problem(f"{word} is Terraform's spelling", hint=hint)])
    known = "reconciler" if console.command == "reconciler" else f"reconciler {console.command}"
    path = error.ctx.command_path if error.ctx else known
    return UsageError([Problem(" ".join(error.format_message().split()), hint=f"see `{path} --help`")])


def _sound_streams() -> None:
    """Make the standard streams usable: replace closed ones by the null device, escape unencodable characters."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
