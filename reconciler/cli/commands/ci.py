"""`reconciler ci`: the steps of a CI pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Session

if TYPE_CHECKING:
    from reconciler.ci.command import Application
    from reconciler.ci.provider import Provider


def _given(name: str, text: str, **attributes: Any) -> Callable[[opt.F], opt.F]:
    """An option that a pipeline may set by a variable, too. An empty variable is none."""
    variable = f"RECONCILER_{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", envvar=variable, show_envvar=True, help=text, **attributes)


def _file(name: str, text: str) -> Callable[[opt.F], opt.F]:
    return click.option(f"--{name}", required=True, type=click.Path(), help=text)


_path = _given("path", "File or folder of the manifests.", default="manifests", show_default=True)
_only = _given("application", "Only this application, by id or name.", default="")
_application = _given("application", "Id of the application.", required=True)
_kind = _given("kind", "Its kind of deployments.", required=True, type=click.Choice(["embedded", "edge"]))
_digest = _given("expect-digest", "Refuse unless the plan has this digest.", default="")
_number = _given("pull-request", "Number of the pull request that was merged.", default="")
_reviewed = _given("reviewed", "Digest of the plan that it showed.", default="")
_expected = _given("applications", "How many reports there are to be.", type=int, default=0)
_reports = _file("reports", "Folder of the reports of all jobs.")
_result = _file("result", "Result of the apply.")


@click.group
def command() -> None:
    """Run one step of a pipeline in GitHub Actions. docs/ci.md shows how the steps go together.

    Inputs are options or variables. What went wrong is told in annotations; exit codes are those of the commands that
    a step runs.
    """


@command.command
@_given("command", "validate, plan or apply, where somebody asked for it.", default="")
@_given("branch", "The only branch that is ever applied. Default: the repository's default branch.", default="")
@_given("scheduled-apply", "Apply on a schedule, too.", is_flag=True)
@click.pass_obj
def decide(session: Session, *, command: str, branch: str, scheduled_apply: bool) -> int:
    """Output what this run may do: `apply`, true or false, and `plan`, which is review, drift, plan or empty."""
    from reconciler.ci.decide import step

    return _told(
        session, lambda provider: step(provider, command=command, branch=branch, scheduled_apply=scheduled_apply)
    )


@command.command
@_path
@_file("diff", "Write the diff of a pull request here, for its comment.")
@click.pass_obj
def check(session: Session, *, path: str, diff: str) -> int:
    """Validate the manifests; show what a pull request changes in the desired state. Needs no token."""
    from pathlib import Path

    from reconciler.ci.check import step

    return _told(session, lambda provider: step(provider, path, diff=Path(diff)))


@command.command("fan-out")
@_path
@_only
@_digest
@click.pass_obj
def fan_out(session: Session, *, path: str, application: str, expect_digest: str) -> int:
    """Output one job for each application, with the plan that was reviewed for it. Reads pull requests."""
    from reconciler.ci.fan_out import step

    return _told(session, lambda provider: step(provider, path, application=application, expect_digest=expect_digest))


@command.command
@_path
@_application
@_kind
@_given("name", "Its name, for people.", default="")
@_given("status", "Look at the health of the devices, too.", is_flag=True)
@_file("out", "New folder for the report and the plan.")
@click.pass_obj
def plan(session: Session, *, path: str, application: str, kind: str, name: str, status: bool, out: str) -> int:
    """Plan one application. Ends like `plan`, but changes are no failure."""
    from pathlib import Path

    from reconciler.ci.plan import step

    planned = _run_on(session, path, application, kind, name)
    return _told(session, lambda provider: step(provider, planned, Path(out), status=status))


@command.command
@_path
@_application
@_kind
@_number
@_reviewed
@_given("require-reviewed-plan", "Refuse any other plan than the one that was shown.", is_flag=True)
@_digest
@_given("timeout", "How long to wait for the devices.", default="15m", show_default=True)
@_given("offline", "What that wait makes of devices that are offline.", default="skip", show_default=True)
@_result
@click.pass_obj
def apply(
    session: Session,
    *,
    path: str,
    application: str,
    kind: str,
    pull_request: str,
    reviewed: str,
    require_reviewed_plan: bool,
    expect_digest: str,
    timeout: str,
    offline: str,
    result: str,
) -> int:
    """Apply one application, and wait. Ends like `apply`."""
    from pathlib import Path

    from reconciler.ci.apply import Shown, step

    applied = _run_on(session, path, application, kind)
    return _told(
        session,
        lambda provider: step(
            provider,
            applied,
            Path(result),
            shown=Shown(pull_request, reviewed),
            required=require_reviewed_plan,
            expect_digest=expect_digest,
            timeout=timeout,
            offline=offline,
        ),
    )


@command.command
@_number
@_reviewed
@_result
@click.pass_obj
def report(session: Session, *, pull_request: str, reviewed: str, result: str) -> int:
    """Tell of an apply's result, and whether it is what the pull request showed. Needs no token."""
    from pathlib import Path

    from reconciler.ci.apply import Shown
    from reconciler.ci.apply import report as step

    return _told(session, lambda provider: step(provider, Path(result), shown=Shown(pull_request, reviewed)))


@command.command
@_path
@_expected
@_reports
@click.pass_obj
def comment(session: Session, *, path: str, applications: int, reports: str) -> int:
    """Write the one comment on the pull request, or bring it up to date."""
    from pathlib import Path

    from reconciler.ci.comment import step

    return _told(session, lambda provider: step(provider, path, Path(reports), expected=applications))


@command.command
@_path
@_expected
@_reports
@click.pass_obj
def drift(session: Session, *, path: str, applications: int, reports: str) -> int:
    """Open, update or close the one issue about drift. Fails on drift."""
    from pathlib import Path

    from reconciler.ci.drift import step

    return _told(session, lambda provider: step(provider, path, Path(reports), expected=applications))


for one in command.commands.values():
    one.params += opt.global_options(hidden=True)


def _run_on(session: Session, path: str, application: str, kind: str, name: str = "") -> Application:
    """The application, whose commands get the global options of this one."""
    from reconciler.ci.command import Application

    given = {"--api-url": session.api_url, "--token-file": session.token_file}
    options = [word for name, value in given.items() if value for word in (name, value)]
    return Application(path, application, kind, name, (*options, *["-v"] * session.verbose))


def _told(session: Session, step: Callable[[Provider], int]) -> int:
    """Run a step; what ends it is told where the CI system shows it."""
    import os

    from reconciler.ci.github import GitHub
    from reconciler.errors import ReconcilerError

    provider = GitHub(os.environ, session.write)
    try:
        return step(provider)
    except ReconcilerError as error:
        provider.annotate("error", error.problems)
        return int(error.exit_code)
