"""Options shared by several commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeVar

import click

from reconciler.cli.console import Console
from reconciler.cli.values import duration_s, filled, object_id, row_filter
from reconciler.runtime import DEFAULT_PARALLELISM, MAX_PARALLELISM

if TYPE_CHECKING:
    from reconciler.model.world import Options

F = TypeVar("F", bound=Callable[..., Any])


def _together(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store the value in the console. If repeated, the last one counts; `-v` adds up."""
    console = ctx.ensure_object(Console)
    if param.name == "verbose":
        console.verbose += value
    elif value and param.name:
        setattr(console, param.name, value)
        if console.token_file and console.token_command:
            raise click.UsageError("--token-file and --token-command each name a token: give one of them", ctx)


_KEPT: dict[str, Any] = {"expose_value": False, "callback": _remember}


def global_options(*, hidden: bool = False) -> list[click.Parameter]:
    """The options accepted before and after the command; `hidden` in the help of each command."""
    common = {**_KEPT, "hidden": hidden}
    return [
        click.Option(["--api-url"], metavar="URL", help="Base URL of the API. [env: LOSANT_API_URL]", **common),
        click.Option(["--token-file"], metavar="FILE", help="File that contains the API token.", **common),
        click.Option(
            ["--token-command"],
            metavar="CMD",
            type=filled,
            help="Command that writes the API token; it is run without a shell.",
            **common,
        ),
        click.Option(["-v", "--verbose"], count=True, help="Explain more; -vv also logs each request.", **common),
        click.Option(
            ["--color", "color_mode"],
            type=click.Choice(["auto", "always", "never"]),
            help="When text is coloured; auto: on a terminal. [env: NO_COLOR, FORCE_COLOR]",
            **common,
        ),
        click.Option(["--no-color", "color_mode"], flag_value="never", **{**common, "hidden": True}),
    ]


KINDS = click.Choice(["embedded", "edge"])

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]


def names(*kinds: str) -> Completer:
    """Offers the names of a kind in the manifests; with several kinds `KIND=NAME`."""

    def offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[Any]:
        from reconciler.cli.completion import completions

        return completions(*kinds)(ctx, param, typed)

    return offer


def files(_: click.Context, __: click.Parameter, typed: str) -> list[Any]:
    """Leaves it to the shell to offer files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type="file")]


paths = click.argument("paths", nargs=-1, metavar="[PATH]...", type=filled, shell_complete=files)


def standard_input(paths: Sequence[str]) -> BinaryIO | None:
    """The binary stdin if `-` is among the paths."""
    return sys.stdin.buffer if "-" in paths else None


pick = _together(
    click.option(
        "--application",
        type=filled,
        metavar="ID|NAME",
        shell_complete=names("application"),
        help="Only this application of those in the paths.",
    ),
    click.option("--kind", type=KINDS, help="Only this kind of deployment."),
)

check = click.option("--check", is_flag=True, help="Write nothing; exit 2 instead of 0 if there is something to write.")

kind = click.option("--kind", type=KINDS, default="embedded", show_default=True, help="Kind of deployments.")


def application_id(*, required: bool) -> Callable[[F], F]:
    """`--application` of a command that does not read manifests."""
    return click.option(
        "--application",
        type=object_id,
        required=required,
        metavar="ID",
        shell_complete=names("application"),
        help="Id of the application.",
    )


filters = _together(
    click.option(
        "--target",
        "targets",
        type=row_filter,
        multiple=True,
        metavar="KEY=NAME",
        shell_complete=names("device", "flow", "group"),
        help="Plan only these rows: device=, flow= or group=. Repeatable.",
    ),
    click.option(
        *("--exclude", "excludes"),
        type=row_filter,
        multiple=True,
        metavar="KEY=NAME",
        shell_complete=names("device", "flow", "group"),
        help="Exclude these rows. Repeatable.",
    ),
)

against = click.option(
    "--against",
    type=filled,
    metavar="REV|REV:PATH",
    help="List what that git revision managed and the manifests do not any more; limits.leaving refuses more.",
)


def refuse_stdin(paths: Sequence[str], revision: str | None) -> None:
    """Refuse to compare standard input with a revision, before it is read."""
    if revision is not None and "-" in paths:
        from reconciler.errors import UsageError

        raise UsageError("--against compares with files in git, and - is standard input", hint="give their path in git")


planning = _together(
    click.option(
        "--calls",
        type=click.Choice(["fewest", "explicit"]),
        default="fewest",
        show_default=True,
        help="Whether to use calls without device ids where they are safe.",
    ),
    click.option(
        "--allow-removals",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Allow up to N removals despite the limits.",
    ),
    click.option("--allow-empty", is_flag=True, help="Accept manifests that declare nothing at all."),
    click.option("--strict", is_flag=True, help="Refuse on warnings."),
    click.option("--frozen", is_flag=True, help="Refuse versions that no lock names."),
)


def planning_options(flags: Mapping[str, Any]) -> Options:
    """The options given by the flags of `filters` and `planning`."""
    from reconciler.model.world import CallMode, Options

    names = ("targets", "excludes", "allow_removals", "allow_empty", "strict", "frozen")
    return Options(calls=CallMode(flags["calls"]), **{name: flags[name] for name in names})


parallelism = click.option(
    "--parallelism",
    type=click.IntRange(1, MAX_PARALLELISM),
    default=DEFAULT_PARALLELISM,
    show_default=True,
    metavar="N",
    help=f"Maximum concurrent requests, 1 to {MAX_PARALLELISM}.",
)


def timeout(default: str, help_text: str) -> Callable[[F], F]:
    """`--timeout`, in seconds."""
    return click.option(
        "--timeout", type=duration_s, default=default, show_default=True, metavar="TIME", help=help_text
    )


def formats(*names: str) -> Callable[[F], F]:
    """`--format`, with the formats that the command supports."""
    return click.option(
        "--format",
        "fmt",
        type=click.Choice(names),
        default="text",
        show_default=True,
        help="Format of the result on stdout.",
        **_KEPT,
    )


events = click.option(
    "--events",
    metavar="FILE|-",
    type=click.Path(allow_dash=True),
    help="Append events to FILE while it runs, as lines of JSON; - makes stdout the stream of events.",
)

commit = click.option(
    "--commit", metavar="SHA", help="Commit of the manifests, to be shown in Markdown and HTML.", **_KEPT
)

max_bytes = click.option(
    "--max-bytes",
    type=click.IntRange(min=1_000),
    default=65_000,
    show_default=True,
    metavar="N",
    help="Size limit of Markdown, in bytes.",
    **_KEPT,
)
