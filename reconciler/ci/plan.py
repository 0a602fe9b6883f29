"""Plans one application: a report for the publishing job, annotations on the manifest, the job's summary."""

from __future__ import annotations

from pathlib import Path

from reconciler.ci.command import Application, git
from reconciler.ci.provider import Provider, say
from reconciler.ci.reports import SUMMED, Report, show
from reconciler.documents.saved_plan import read_document
from reconciler.errors import ExitCode

_STATUS_BYTES = "20000"  # it shares an issue with the plans


def step(provider: Provider, *, application: Application, out: Path, status: bool, against: str) -> int:
    """Exits like `plan`: a refused plan fails the job, changes do not. `status`: also report device health.

    `against`: the revision to compare with, if any.
    """
    out.mkdir(parents=True)
    report = _plan(provider, application, out, against)
    if report.planned:
        provider.summary(show(out / "plan.json", commit=report.commit))
        if status:
            _status(provider, application, out)
    return 0 if report.code == ExitCode.CHANGES else report.code


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
        partial=bool(plan and plan.partial),
        problems=error.problems if error else (),
        folder=folder,
    )
    report.save()
    provider.annotate("warning", [one.problem for one in plan.warnings] if plan else ())
    provider.annotate("error", report.problems)
    return report


def _status(provider: Provider, application: Application, folder: Path) -> None:
    """Run `reconciler status`; failed devices are a warning, because they are not drift."""
    answer = application.run("status", "--format", "markdown", "--max-bytes", _STATUS_BYTES)
    if answer.code == ExitCode.NOT_CONVERGED:
        name = application.name or application.id
        say(provider, "warning", f"devices of {name} failed to take up releases; see the summary")
    else:
        answer.text()
    (folder / "status.md").write_text(answer.stdout, encoding="utf-8")
    provider.summary(answer.stdout)


def commit(provider: Provider) -> str:
    """The commit of the manifests: the head of a pull request, otherwise the checkout."""
    return provider.run().head or git("rev-parse", "HEAD")
