"""`reconciler ci`: the steps of a CI pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.cli.examples import STEPS, ending


@click.group
def command() -> None:
    """Run one step of a pipeline. docs/ci.md shows how the steps fit together.

    Inputs are options or environment variables. Errors are reported as annotations; exit codes are those of the
    commands that a step runs.
    """


def _given(name: str, text: str, **attributes: Any) -> Callable[[opt.F], opt.F]:
    """An option that may also be set by an environment variable. An empty variable counts as unset."""
    variable = f"RECONCILER_{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", envvar=variable, show_envvar=True, help=text, **{"default": "", **attributes})


def _file(name: str, text: str) -> Callable[[opt.F], opt.F]:
    return click.option(f"--{name}", required=True, type=click.Path(path_type=Path), help=text)


def _step(name: str, help_text: str, *options: Callable[[Any], Any], function: str = "") -> None:
    """Add a command that calls a function in `ci`, by default `NAME.step`, with the options as keywords."""
    module, _, attribute = (function or f"{name.replace('-', '_')}.step").partition(".")

    @click.pass_obj
    def act(console: Console, /, **inputs: Any) -> int:
        from reconciler.ci.command import Application
        from reconciler.ci.providers import adapter, choose
        from reconciler.cli.connect import token_of
        from reconciler.errors import ReconcilerError
        from reconciler.runtime import SystemClock

        provider = adapter(inputs.pop("provider") or choose(os.environ), os.environ, console.write)
        if "kind" in inputs:  # commands that the step runs get the same global options
            given = {
                "--api-url": console.api_url,
                "--token-file": console.token_file,
                "--token-command": console.token_command,
            }
            common = [word for option, value in given.items() if value for word in (option, value)]
            path, kind, label = inputs.pop("path"), inputs.pop("kind"), inputs.pop("name", "")
            common += ["-v"] * console.verbose
            own = inputs["application"]
            inputs["application"] = Application(
                path, own, kind, label, tuple(common), lambda: token_of(console, own, SystemClock())
            )
        try:
            step = getattr(import_module(f"reconciler.ci.{module}"), attribute)
            return int(step(provider, **inputs))
        except ReconcilerError as error:
            provider.annotate("error", error.problems)
            return int(error.exit_code)

    for option in reversed((_provider, *options)):
        option(act)
    made = command.command(name, help=help_text, epilog=ending(STEPS[name]))(act)
    made.params += opt.global_options(hidden=True)


_providers = click.Choice(["github", "gitlab", "azure"])
_provider = _given("provider", "The CI system. Default: by its variables.", type=_providers, default=None)
_path = _given("path", "File or folder of the manifests.", default="manifests", show_default=True)
_digest = _given("expect-digest", "Refuse unless the plan has this digest.")
_scheduled = _given("scheduled-apply", "Also apply on a schedule.", is_flag=True, default=False)
_against = _given("against", "Revision to compare with, for what leaves management since.")
_application = (
    _path,
    _given("application", "Id of the application.", required=True, default=None),
    _given("kind", "Kind of deployments.", required=True, default=None, type=opt.KINDS),
)
_shown = (
    _given("pull-request", "Number of the pull request that was merged."),
    _given("reviewed", "Digest of the plan that the pull request showed."),
    _file("result", "Result of the apply."),
)
_reports = (
    _path,
    _given("applications", "Expected number of reports.", type=int, default=0),
    _file("reports", "Folder with the reports of all jobs."),
)

_step(
    "decide",
    "Output what this run may do: `apply`, `plan` (review, drift, plan or empty), and whether it is `by-hand`.",
    _path,
    _given("command", "validate, plan or apply, if requested."),
    _given("branch", "The only branch that is ever applied. Default: the repository's default branch."),
    _scheduled,
    _given(
        "only-related",
        "No plan and no apply where no manifest changes, nor what they are read from.",
        is_flag=True,
        default=False,
    ),
)
_step(
    "check",
    "Validate the manifests; show what a pull request changes in the desired state. Needs no token.",
    _path,
    _file("diff", "Write the diff of a pull request here, for its comment."),
)
_step(
    "fan-out",
    "Output one job for each application, with its reviewed plan. Reads pull requests.",
    _path,
    _given("application", "Only this application, by id or name."),
    _digest,
    _given(
        "require-reviewed-plan",
        "The jobs refuse any other plan than the one shown; on a schedule, they are told the seal of the mark.",
        is_flag=True,
        default=False,
    ),
)
_step(
    "plan",
    "Plan one application. Exits like `plan`, but changes are not a failure.",
    *_application,
    _against,
    _given("name", "Name of the application, for display."),
    _given("status", "Also check the health of the devices.", is_flag=True, default=False),
    _file("out", "New folder for the report and the plan."),
)
_step(
    "apply",
    "Apply one application, and wait. Exits like `apply`.",
    *_application,
    *_shown,
    _given("require-reviewed-plan", "Refuse any other plan than the one shown.", is_flag=True, default=False),
    _given("marked", "On a schedule that needs a review: the seal that `marked` found."),
    _digest,
    _against,
    _given("timeout", "How long to wait for the devices.", default="15m", show_default=True),
    _given("offline", "How the wait treats devices that are offline.", default="skip", show_default=True),
)
_step(
    "report",
    "Report an apply's result, and whether it matches the reviewed plan. Needs no token.",
    *_shown,
    function="apply.report",
)
_step(
    "mark",
    "Mark the commits whose apply ended with 0, 5, 6 or 7. Needs no token of the fleet.",
    _file("results", "Folder with the results of all jobs."),
    function="marks.step",
)
_step(
    "marked",
    "Output the `seal` of the mark, if the commit's apply ended before. Reads commit statuses.",
    *_application,
    _given(
        "wait", "Seconds that the mark may be on its way.", type=click.IntRange(min=0), default=60, show_default=True
    ),
    function="marks.look",
)
_step("comment", "Create or update the comment on the pull request.", *_reports)
_step(
    "drift",
    "Open, update or close the drift issue. Fails on drift and stopped rollouts.",
    *_reports,
    _given("application", "The only application that was looked at; it has an issue of its own."),
    _scheduled,
)
