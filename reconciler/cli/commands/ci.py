"""`reconciler ci`: the steps of a CI pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console

if TYPE_CHECKING:
    from reconciler.ci.command import Application
    from reconciler.ci.provider import Provider


@click.group
def command() -> None:
    """Run one step of a pipeline in GitHub Actions. docs/ci.md shows how the steps go together.

    Inputs are options or variables. What went wrong is told in annotations; exit codes are those of the commands that
    a step runs.
    """


def _given(name: str, text: str, **attributes: Any) -> Callable[[opt.F], opt.F]:
    """An option that a pipeline may set by a variable, too. An empty variable is none."""
    variable = f"RECONCILER_{name.upper().replace('-', '_')}"
    attributes = {"default": ""} | attributes
    return click.option(f"--{name}", envvar=variable, show_envvar=True, help=text, **attributes)


def _file(name: str, text: str) -> Callable[[opt.F], opt.F]:
    return click.option(f"--{name}", required=True, type=click.Path(path_type=Path), help=text)


_path = _given("path", "File or folder of the manifests.", default="manifests", show_default=True)
_digest = _given("expect-digest", "Refuse unless the plan has this digest.")
_application = (
    _path,
    _given("application", "Id of the application.", required=True, default=None),
    _given("kind", "Its kind of deployments.", required=True, default=None, type=click.Choice(["embedded", "edge"])),
)
_shown = (
    _given("pull-request", "Number of the pull request that was merged."),
    _given("reviewed", "Digest of the plan that it showed."),
    _file("result", "Result of the apply."),
)
_reports = (
    _path,
    _given("applications", "How many reports there are to be.", type=int, default=0),
    _file("reports", "Folder of the reports of all jobs."),
)


def _step(name: str, *options: Callable[[Any], Any]) -> Callable[[Callable[..., int]], click.Command]:
    """A command of the group. What ends it is told where the CI system shows it."""

    def declare(function: Callable[..., int]) -> click.Command:
        @click.pass_obj
        def act(console: Console, /, **inputs: Any) -> int:
            from reconciler.ci.github import GitHub
            from reconciler.errors import ReconcilerError

            provider = GitHub(os.environ, console.write)
            try:
                return function(provider, **inputs)
            except ReconcilerError as error:
                provider.annotate("error", error.problems)
                return int(error.exit_code)

        for option in reversed(options):
            option(act)
        made = command.command(name, help=function.__doc__)(act)
        made.params += opt.global_options(hidden=True)
        return made

    return declare


@_step(
    "decide",
    _given("command", "validate, plan or apply, where somebody asked for it."),
    _given("branch", "The only branch that is ever applied. Default: the repository's default branch."),
    _given("scheduled-apply", "Apply on a schedule, too.", is_flag=True, default=False),
)
def decide(provider: Provider, **inputs: Any) -> int:
    """Output what this run may do: `apply`, true or false, and `plan`, which is review, drift, plan or empty."""
    from reconciler.ci.decide import step

    return step(provider, **inputs)


@_step("check", _path, _file("diff", "Write the diff of a pull request here, for its comment."))
def check(provider: Provider, **inputs: Any) -> int:
    """Validate the manifests; show what a pull request changes in the desired state. Needs no token."""
    from reconciler.ci.check import step

    return step(provider, **inputs)


@_step("fan-out", _path, _given("application", "Only this application, by id or name."), _digest)
def fan_out(provider: Provider, **inputs: Any) -> int:
    """Output one job for each application, with the plan that was reviewed for it. Reads pull requests."""
    from reconciler.ci.fan_out import step

    return step(provider, **inputs)


@_step(
    "plan",
    *_application,
    _given("name", "Its name, for people."),
    _given("status", "Look at the health of the devices, too.", is_flag=True, default=False),
    _file("out", "New folder for the report and the plan."),
)
def plan(provider: Provider, *, path: str, application: str, kind: str, name: str, **inputs: Any) -> int:
    """Plan one application. Ends like `plan`, but changes are no failure."""
    from reconciler.ci.plan import step

    return step(provider, _run_on(path, application, kind, name), **inputs)


@_step(
    "apply",
    *_application,
    *_shown,
    _given("require-reviewed-plan", "Refuse any other plan than the one shown.", is_flag=True, default=False),
    _digest,
    _given("timeout", "How long to wait for the devices.", default="15m", show_default=True),
    _given("offline", "What that wait makes of devices that are offline.", default="skip", show_default=True),
)
def apply(
    provider: Provider, *, path: str, application: str, kind: str, pull_request: str, reviewed: str, **inputs: Any
) -> int:
    """Apply one application, and wait. Ends like `apply`."""
    from reconciler.ci.apply import Shown, step

    return step(provider, _run_on(path, application, kind), shown=Shown(pull_request, reviewed), **inputs)


@_step("report", *_shown)
def report(provider: Provider, *, pull_request: str, reviewed: str, result: Path) -> int:
    """Tell of an apply's result, and whether it is what the pull request showed. Needs no token."""
    from reconciler.ci.apply import Shown
    from reconciler.ci.apply import report as step

    return step(provider, shown=Shown(pull_request, reviewed), result=result)


@_step("comment", *_reports)
def comment(provider: Provider, **inputs: Any) -> int:
    """Write the one comment on the pull request, or bring it up to date."""
    from reconciler.ci.comment import step

    return step(provider, **inputs)


@_step("drift", *_reports)
def drift(provider: Provider, **inputs: Any) -> int:
    """Open, update or close the one issue about drift. Fails on drift."""
    from reconciler.ci.drift import step

    return step(provider, **inputs)


def _run_on(path: str, application: str, kind: str, name: str = "") -> Application:
    """The application, whose commands get the global options of this one."""
    from reconciler.ci.command import Application

    console = click.get_current_context().ensure_object(Console)
    given = {"--api-url": console.api_url, "--token-file": console.token_file}
    options = [word for name, value in given.items() if value for word in (name, value)]
    return Application(path, application, kind, name or application, (*options, *["-v"] * console.verbose))
