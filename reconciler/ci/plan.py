"""Plan one application: a report for the job that publishes all, annotations on the manifest, the job's summary."""

from __future__ import annotations

from pathlib import Path

from reconciler.ci.command import Application, git
from reconciler.ci.provider import Provider, say
from reconciler.ci.reports import SUMMED, Report, show
from reconciler.errors import ExitCode, Problem

_STATUS_BYTES = "20000"  # it has to share an issue with the plans


def step(provider: Provider, *, application: Application, out: Path, status: bool) -> int:
    """Ends like `plan`: a refused plan fails the job, changes do not. `status`: the health of the devices, too."""
    out.mkdir(parents=True)
    report = _plan(provider, application, out)
    if report.planned:
        provider.summary(show(out / "plan.json", commit=report.commit))
        if status:
            _status(provider, application, out)
    return 0 if report.code == ExitCode.CHANGES else report.code


def _plan(provider: Provider, application: Application, folder: Path) -> Report:
    """Run `reconciler plan`; the report is saved in the folder, beside the plan."""
    options = ["--detailed-exitcode", "--out", str(folder / "plan.json"), "--format", "json"]
    answer = application.run("plan", *options)
    document = answer.document()
    plan = next(iter(document.get("plans") or ()), None)
    report = Report(
        application=application.id,
        name=application.name or application.id,
        kind=application.kind,
        code=answer.code,
        commit=commit(provider),
        digest=plan["digest"] if plan else "",
        summary={name: plan["summary"][name] for name in SUMMED} if plan else {},
        partial=bool(plan and plan["partial"]),
        problems=tuple(Problem(**one) for one in (document["error"] or {}).get("problems", ())),
        folder=folder,
    )
    report.save()
    provider.annotate("warning", [Problem(**one) for one in (plan["warnings"] if plan else ())])
    provider.annotate("error", report.problems)
    return report


def _status(provider: Provider, application: Application, folder: Path) -> None:
    """Run `reconciler status`; failed devices are a warning, because they are not drift."""
    answer = application.run("status", "--format", "markdown", "--max-bytes", _STATUS_BYTES)
    if answer.code == ExitCode.NOT_CONVERGED:
        name = application.name or application.id
        say(provider, "warning", f"devices of {name} failed to take what is released to them; see the summary")
    else:
        answer.text()
    (folder / "status.md").write_text(answer.stdout, encoding="utf-8")
    provider.summary(answer.stdout)


def commit(provider: Provider) -> str:
    """The commit that the manifests are of: the head of a pull request, else what is checked out."""
    return provider.run().head or git("rev-parse", "HEAD")
