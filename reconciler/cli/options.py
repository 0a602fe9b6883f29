"""Options that several commands share, each written once."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from reconciler.cli.console import Console
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.model.world import Filter, Options

F = TypeVar("F", bound=Callable[..., Any])


def _together(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep a global option in the console. Given twice, the later one counts; `-v` adds up."""
    console = ctx.ensure_object(Console)
    if param.name == "verbose":
        console.verbose += value
    elif value and param.name:
        setattr(console, param.name, value)


def global_options(*, hidden: bool = False) -> list[click.Parameter]:
    """The options that may stand before the command and after it; `hidden` from the help of each command."""
    common: dict[str, Any] = {"expose_value": False, "callback": _remember, "hidden": hidden}
    return [
        click.Option(["--api-url"], metavar="URL", help="Base URL of the API. [env: LOSANT_API_URL]", **common),
        click.Option(["--token-file"], metavar="FILE", help="File that holds the API token.", **common),
        click.Option(["-v", "--verbose"], count=True, help="Explain more; -vv also logs each request.", **common),
        click.Option(["--no-color"], is_flag=True, help="No colours. [env: NO_COLOR]", **common),
    ]


def filled(text: str) -> str:
    """An argument that is not empty: an empty one is most often a shell variable that nobody has set."""
    if not text.strip():
        raise click.BadParameter("it is empty; is a variable not set?")
    return text


def digest(text: str) -> str:
    """A plan's digest, which may be written without its `sha256:`."""
    match = re.fullmatch(r"(?:sha256:)?([0-9a-f]{64})", text.lower())
    if match is None:
        raise click.BadParameter("a digest is sha256: and 64 hex digits")
    return f"sha256:{match[1]}"


paths = click.argument("paths", nargs=-1, metavar="[PATH]...", type=filled)


def standard_input(paths: Sequence[str]) -> BinaryIO | None:
    """What `-` among the paths means."""
    return sys.stdin.buffer if "-" in paths else None


pick = _together(
    click.option("--application", type=filled, metavar="ID|NAME", help="Only this application of what the paths hold."),
    click.option("--kind", type=click.Choice(["embedded", "edge"]), help="Only this kind of deployment."),
)

filters = _together(
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="KEY=NAME",
        help="Plan only these rows: device=, flow= or group=. Repeatable.",
    ),
    click.option("--exclude", "excludes", multiple=True, metavar="KEY=NAME", help="Leave these rows out. Repeatable."),
)

planning = _together(
    click.option(
        "--calls",
        type=click.Choice(["fewest", "explicit"]),
        default="fewest",
        show_default=True,
        help="May calls without device ids be used where they are safe?",
    ),
    click.option(
        "--allow-removals",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Lift the removal limits for at most N removals.",
    ),
    click.option("--allow-empty", is_flag=True, help="Accept manifests that declare nothing at all."),
    click.option("--strict", is_flag=True, help="Refuse on warnings."),
)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


def planning_options(flags: Mapping[str, Any]) -> Options:
    """What the flags of `filters` and `planning` say; a filter that is none is a usage error."""
    from reconciler.model.world import CallMode, Options

    return Options(
        targets=_filters("--target", flags["targets"]),
        excludes=_filters("--exclude", flags["excludes"]),
        calls=CallMode(flags["calls"]),
        allow_removals=flags["allow_removals"],
        allow_empty=flags["allow_empty"],
        strict=flags["strict"],
    )


def _filters(option: str, texts: Sequence[str]) -> tuple[Filter, ...]:
    from reconciler.model.world import Filter

    filters = []
    for text in texts:
        by, equals, name = text.partition("=")
        if not equals or by not in ("device", "flow", "group") or not name:
            message = f"{option} {text!r} is not of the form device=NAME, flow=NAME or group=NAME"
            raise UsageError(message, hint="ids may stand for names")
        filters.append(Filter(by, name))
    return tuple(filters)


def duration_s(option: str, text: str) -> float:
    """Seconds of `90s`, `15m`, `2h` or a bare number; UsageError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{option} {text!r} is not a duration", hint="write 90s, 15m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def object_id(option: str, text: str) -> str:
    """An id of 24 hex digits, in lower case; UsageError for anything else."""
    from reconciler.model.text import is_id

    if not is_id(text):
        raise UsageError(f"{option} {text!r} is no id", hint="an id has 24 hex digits")
    return text.lower()


parallelism = click.option(
    "--parallelism",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    metavar="N",
    help="Requests in flight at once, 1 to 32.",
)


def _remember_format(ctx: click.Context, param: click.Parameter, value: str) -> str:  # noqa: ARG001
    ctx.ensure_object(Console).fmt = value
    return value


def formats(*names: str) -> Callable[[F], F]:
    """`--format`, with the formats that the command has."""
    return click.option(
        "--format",
        "fmt",
        callback=_remember_format,
        type=click.Choice(names),
        default="text",
        show_default=True,
        help="Format of the result on stdout.",
    )


commit = click.option("--commit", metavar="SHA", help="Commit of the manifests, to be named in Markdown.")

max_bytes = click.option(
    "--max-bytes",
    type=click.IntRange(min=1_000),
    default=65_000,
    show_default=True,
    metavar="N",
    help="Largest Markdown, in bytes.",
)
