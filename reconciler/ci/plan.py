"""Plans one application: a report for the publishing job, annotations on the manifest, the job's summary."""

from __future__ import annotations

from pathlib import Path

from reconciler.ci.changed import changed
from reconciler.ci.command import Application, git
from reconciler.ci.provider import Provider, Trigger, say
from reconciler.ci.reports import SUMMED, Report, show
from reconciler.ci.stopped import stopped
from reconciler.documents.saved_plan import read_document
from reconciler.errors import ExitCode, UsageError
from reconciler.render.inert import inert

_STATUS_BYTES = "20000"  # it shares an issue with the plans


def step(provider: Provider, *, application: Application, out: Path, status: bool, against: str) -> int:
    """Exits like `plan`: a refused plan fails the job, changes do not. `status`: also report device health.

    `against`: the revision to compare with, if any. A rollout that is stopped fails the job, with 7; but on a pull
    request only if its group or its policy is what changes, or nothing else could be merged meanwhile.
    """
    try:
        out.mkdir(parents=True)
    except OSError as error:
        why = f"the folder {inert(str(out))} cannot be made: {error.strerror or error}"
        raise UsageError(why, hint="give --out a folder that does not exist yet") from None
    report = _plan(provider, application, out, against)
    if report.planned:
        provider.summary(show(out / "plan.json", commit=report.commit))
        if status:
            _status(provider, application, out)
    if report.code not in (ExitCode.DONE, ExitCode.CHANGES, ExitCode.ROLLOUT_STOPPED):
        return report.code
    return _of_rollouts(provider, application, report, against)


def _of_rollouts(provider: Provider, application: Application, report: Report, against: str) -> int:
    """Annotate the rollouts that are stopped; the exit code that follows from them."""
    failing = set(report.stopped)
    if provider.run().trigger is Trigger.REVIEW and against:
        failing &= set(changed(application, report.stopped, against))
    for one in report.stopped:
        provider.annotate("error" if one in failing else "warning", [one.problem])
    return ExitCode.ROLLOUT_STOPPED if failing else ExitCode.DONE


def _plan(provider: Provider, application: Application, folder: Path, against: str) -> Report:
    """Run `reconciler plan`, and save the report in the folder, next to the plan."""
    options = ["--detailed-exitcode", "--out", str(folder / "plan.json"), "--format", "json"]
    options += ["--against", against] if against else []
    answer = application.run("plan", *options)
    document = read_document(answer.document())
    plan, error = next(iter(document["plans"]), None), document["error"]
    report = Report(
        application=application.id,
        name=application.name or application.id,
        kind=application.kind,
        code=answer.code,
        commit=commit(provider),
        digest=(document.get("review_digest") or "") if plan else "",
        summary={name: getattr(plan.summary, name) for name in SUMMED} if plan else {},
        leaving=(plan.summary.leaving or 0) if plan else 0,
        withheld=(plan.summary.withheld or 0) if plan else 0,
        moving=sum(one.get("wave") is not None and not one.get("withheld") for one in plan.changes) if plan else 0,
        unverified=sum(one.message.startswith("not verified") for one in plan.warnings) if plan else 0,
        stopped=stopped(plan.rollouts) if plan else (),
        partial=bool(plan and plan.partial),
        problems=error.problems if error else (),
        folder=folder,
    )
    report.save()
    provider.annotate("warning", [one.problem for one in plan.warnings] if plan else ())
    if report.code != ExitCode.ROLLOUT_STOPPED:
        provider.annotate("error", report.problems)
    return report


def _status(provider: Provider, application: Application, folder: Path) -> None:
    """Run `reconciler status`; failed devices are a warning, because they are not drift."""
    answer = application.run("status", "--format", "markdown", "--max-bytes", _STATUS_BYTES)
    if answer.code == ExitCode.NOT_CONVERGED:
        name = application.name or application.id
        say(provider, "warning", f"devices of {name} failed to take up releases; see the summary")
    elif answer.code != ExitCode.ROLLOUT_STOPPED:  # of that the plan tells
        answer.text()
    (folder / "status.md").write_text(answer.stdout, encoding="utf-8")
    provider.summary(answer.stdout)


def commit(provider: Provider) -> str:
    """The commit of the manifests: the head of a pull request, otherwise the checkout."""
    return provider.run().head or git("rev-parse", "HEAD")
