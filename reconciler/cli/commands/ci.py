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


@click.group
def command() -> None:
    """Run one step of a pipeline in GitHub Actions. docs/ci.md shows how the steps go together.

    Inputs are options or variables. What went wrong is reported in annotations; exit codes are those of the commands
    that a step runs.
    """


def _given(name: str, text: str, **attributes: Any) -> Callable[[opt.F], opt.F]:
    """An option that a pipeline may set by a variable, too. An empty variable counts as not set."""
    variable = f"RECONCILER_{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", envvar=variable, show_envvar=True, help=text, **{"default": "", **attributes})


def _file(name: str, text: str) -> Callable[[opt.F], opt.F]:
    return click.option(f"--{name}", required=True, type=click.Path(path_type=Path), help=text)


def _step(name: str, help_text: str, *options: Callable[[Any], Any], function: str = "") -> None:
    """Add a command to the group: a function in `ci`, `NAME.step` if not named, which gets the options by name."""
    module, _, attribute = (function or f"{name.replace('-', '_')}.step").partition(".")

    @click.pass_obj
    def act(console: Console, /, **inputs: Any) -> int:
        from reconciler.ci.command import Application
        from reconciler.ci.github import GitHub
        from reconciler.errors import ReconcilerError

        provider = GitHub(os.environ, console.write)
        if "kind" in inputs:  # the commands that are run for it get the global options of this one
            given = {"--api-url": console.api_url, "--token-file": console.token_file}
            common = [word for option, value in given.items() if value for word in (option, value)]
            path, kind, label = inputs.pop("path"), inputs.pop("kind"), inputs.pop("name", "")
            common += ["-v"] * console.verbose
            inputs["application"] = Application(path, inputs["application"], kind, label, tuple(common))
        try:
            step = getattr(import_module(f"reconciler.ci.{module}"), attribute)
            return int(step(provider, **inputs))
        except ReconcilerError as error:
            provider.annotate("error", error.problems)
            return int(error.exit_code)

    for option in reversed(options):
        option(act)
    made = command.command(name, help=help_text)(act)
    made.params += opt.global_options(hidden=True)


_path = _given("path", "File or folder of the manifests.", default="manifests", show_default=True)
_digest = _given("expect-digest", "Refuse unless the plan has this digest.")
_application = (
    _path,
    _given("application", "Id of the application.", required=True, default=None),
    _given("kind", "Its kind of deployments.", required=True, default=None, type=opt.KINDS),
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

_step(
    "decide",
    "Output what this run may do: `apply`, true or false, and `plan`, which is review, drift, plan or empty.",
    _given("command", "validate, plan or apply, where it was requested."),
    _given("branch", "The only branch that is ever applied. Default: the repository's default branch."),
    _given("scheduled-apply", "Apply on a schedule, too.", is_flag=True, default=False),
)
_step(
    "check",
    "Validate the manifests; show what a pull request changes in the desired state. Needs no token.",
    _path,
    _file("diff", "Write the diff of a pull request here, for its comment."),
)
_step(
    "fan-out",
    "Output one job for each application, with the plan that was reviewed for it. Reads pull requests.",
    _path,
    _given("application", "Only this application, by id or name."),
    _digest,
)
_step(
    "plan",
    "Plan one application. Ends like `plan`, but changes are not a failure.",
    *_application,
    _given("name", "Its name, for people."),
    _given("status", "Look at the health of the devices, too.", is_flag=True, default=False),
    _file("out", "New folder for the report and the plan."),
)
_step(
    "apply",
    "Apply one application, and wait. Ends like `apply`.",
    *_application,
    *_shown,
    _given("require-reviewed-plan", "Refuse any other plan than the one shown.", is_flag=True, default=False),
    _digest,
    _given("timeout", "How long to wait for the devices.", default="15m", show_default=True),
    _given("offline", "What that wait makes of devices that are offline.", default="skip", show_default=True),
)
_step(
    "report",
    "Report an apply's result, and whether it is what the pull request showed. Needs no token.",
    *_shown,
    function="apply.report",
)
_step("comment", "Write the one comment on the pull request, or bring it up to date.", *_reports)
_step("drift", "Open, update or close the one issue about drift. Fails on drift.", *_reports)
