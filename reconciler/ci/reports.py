"""The report of each application's job, passed to the publishing job, and one page with all reports.

A report is a folder with up to three files: `report.json`; `plan.json`, the saved plan, if there is one; `status.md`,
the status of a nightly run.

The page never exceeds the forge's limit for a comment or an issue. Failures come first, then changes. Applications
without changes are only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from reconciler.ci.stopped import Stopped, lines
from reconciler.documents.result import Ended
from reconciler.documents.saved_plan import load_saved
from reconciler.documents.status import Stood
from reconciler.errors import Problem, ReconcilerError
from reconciler.files import TooLarge, read_bounded
from reconciler.model.digest import digests
from reconciler.model.text import counted
from reconciler.render.markdown import plan_markdown
from reconciler.render.page import DEFAULT_MAX_BYTES, SMALLEST, code, size
from reconciler.render.result import result_markdown
from reconciler.render.status import status_markdown

SUMMED = ("add", "update", "remove")
_CLOSING = 300  # bytes reserved for the line about omitted applications
_ROWS_SHARE = 4  # the table of applications gets at most a quarter of the page


@dataclass(frozen=True, slots=True)
class Report:
    """A summary of one application's plan.

    Attributes:
        code: exit code of `plan`: 0 nothing to send, 2 changes, 3 refused, 7 a rollout is stopped, else no plan.
        commit: the commit of the manifests.
        digest: the review digest of the plan; empty if there is none.
        summary: the number of rows to add, update and remove.
        leaving: the number of rows that leave management.
        withheld: the number of changes that rollouts withhold.
        moving: the number of changes that rollouts send now.
        unverified: the number of warnings that something could not be verified.
        stopped: the rollouts that wait for somebody.
        problems: errors and refusals.
        folder: the folder with `plan.json`.
    """

    application: str
    name: str
    kind: str
    code: int
    commit: str = ""
    digest: str = ""
    summary: dict[str, int] = field(default_factory=dict)
    leaving: int = 0
    withheld: int = 0
    moving: int = 0
    unverified: int = 0
    stopped: tuple[Stopped, ...] = ()
    partial: bool = False
    problems: tuple[Problem, ...] = ()
    folder: Path = Path()

    @property
    def planned(self) -> bool:
        """Whether the plan could be made."""
        return self.code in (0, 2, 3, 7) and bool(self.digest)

    @property
    def changes(self) -> int:
        """The number of rows that would change."""
        return sum(self.summary.get(name, 0) for name in SUMMED)

    def drift(self, *, moved_on: bool) -> bool:
        """Whether Losant is not as the manifests say: what a rollout withholds is none, nor what a schedule sends next.

        `moved_on`: whether schedules move rollouts on.
        """
        return self.code == 3 or self.changes > self.withheld + (self.moving if moved_on else 0)

    def save(self) -> None:
        """Write `report.json` into the folder."""
        (self.folder / "report.json").write_bytes(_DOCUMENT.dump_json(self, exclude={"folder"}))


_DOCUMENT = TypeAdapter(Report)
_MAX_BYTES = 16 * 1024 * 1024  # far more than any page or report of a job


def show(file: Path, *, commit: str = "", max_bytes: int = DEFAULT_MAX_BYTES) -> str:
    """A saved plan or result as Markdown; `commit` is the commit of the manifests."""
    saved = load_saved(str(file))
    if isinstance(saved, Stood):
        return status_markdown(saved.reports, commit=commit, max_bytes=max_bytes).strip()
    if not isinstance(saved, Ended):
        both = digests(saved)
        page = plan_markdown(saved, both.changes, review_digest=both.review, commit=commit, max_bytes=max_bytes)
        return page.strip()
    results, code, _ = saved
    return result_markdown(
        results, exit_code=code, problems=saved.unexplained, commit=commit, max_bytes=max_bytes
    ).strip()


def load_reports(folder: Path) -> list[Report]:
    """The reports of all jobs, sorted; none if there is no such folder."""
    found = [_report(file) for file in folder.glob("*/report.json")]
    return sorted(found, key=lambda one: (one.name, one.application, one.kind))


def _report(file: Path) -> Report:
    try:
        return replace(_DOCUMENT.validate_json(read_page(file)), folder=file.parent)
    except ValueError:
        raise ReconcilerError(f"{file} is not a report", hint="run the jobs again that write the reports") from None


def read_page(file: Path) -> str:
    """What another job of the run wrote for people; empty if it wrote nothing. ReconcilerError beyond any such size."""
    try:
        return read_bounded(file, _MAX_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except (OSError, TooLarge) as error:
        raise ReconcilerError(f"{file} cannot be read: {error}") from None


def body(reports: Sequence[Report], *, max_bytes: int) -> str:
    """The page: the verdict, a table if there are several applications, and as many whole plans as fit."""
    shown = sorted(
        (one for one in reports if one.changes or one.leaving or one.unverified or one.code or one.stopped),
        key=lambda one: (one.planned, one.code != 3, not one.stopped),
    )
    parts = [f"**{_verdict(reports)}**"]
    if len(reports) > 1:
        waiting = [(f"{one.name} {one.kind}", rollout) for one in shown for rollout in one.stopped]
        parts += [lines(waiting, max_bytes=max_bytes)] if waiting else []
        parts.append(_table(shown, len(reports) - len(shown), max_bytes // _ROWS_SHARE))
    left = max_bytes - sum(size(part) + 2 for part in parts) - _CLOSING
    share = max(SMALLEST, left // max(1, len(shown)))
    omitted = 0
    for one in shown:
        text = show(one.folder / "plan.json", commit=one.commit, max_bytes=share) if one.planned else _failure(one)
        if size(text) + 2 > left:
            omitted += 1
            continue
        parts.append(text)
        left -= size(text) + 2
    if omitted:
        parts.append(
            f"Left out to stay under the size limit: {omitted:,} applications. Each job shows its own in full."
        )
    return "\n\n".join(parts) + "\n"


def _verdict(reports: Sequence[Report]) -> str:
    """The first visible line."""
    failed = sum(not one.planned for one in reports)
    refused = sum(one.code == 3 for one in reports)
    withheld, waiting = sum(one.withheld for one in reports), sum(len(one.stopped) for one in reports)
    ending = f" {failed} without a plan." if failed else ""
    ending += f" {refused} refused." if refused else ""
    ending += f" {withheld} withheld by rollouts." if withheld else ""
    ending += f" {counted(waiting, 'rollout')} stopped." if waiting else ""
    ending += " Not everything could be verified." if any(one.unverified for one in reports) else ""
    add, update, remove = (sum(one.summary.get(name, 0) for one in reports) for name in SUMMED)
    if add or update or remove:
        return f"Plan: {add} to add, {update} to change, {remove} to destroy.{ending}"
    return ("No changes." if failed < len(reports) else "No plan.") + ending


def _failure(one: Report) -> str:
    lines = [f"### {code(one.name)} {one.kind}: no plan", ""]
    for problem in one.problems[:20]:
        place = f"{code(problem.place)}: " if problem.place else ""
        lines.append(f"- {place}{code(problem.text)}")
    return "\n".join(lines)


def _table(shown: Sequence[Report], quiet: int, max_bytes: int) -> str:
    if not shown:
        return f"{quiet:,} applications, all in sync."
    lines = ["| application | kind | add | change | destroy | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    left = max_bytes - sum(size(line) + 1 for line in lines) - 200
    for number, one in enumerate(shown):
        remark = "no plan" if not one.planned else "refused" if one.code == 3 else "stopped" if one.stopped else ""
        remark = remark or ("not verified" if one.unverified else "")
        counts = " | ".join(f"{one.summary[name]:,}" if one.planned else "" for name in SUMMED)
        row = f"| {code(one.name)} | {one.kind} | {counts} | {remark} |"
        if size(row) + 1 > left:
            lines += ["", f"And {len(shown) - number:,} more applications."]
            break
        left -= size(row) + 1
        lines.append(row)
    return "\n".join([*lines, *(["", f"{quiet:,} more without changes."] if quiet else [])])
