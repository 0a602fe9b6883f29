"""What an apply did as Markdown: the verdict, what was to move, removals one by one, what did not go well."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import ExitCode, Problem
from reconciler.model.result import Removal, Result
from reconciler.model.text import counted
from reconciler.render.page import DEFAULT_MAX_BYTES, MOVES, Page, Rank, code, move_row, version_code
from reconciler.render.result import details, verdict
from reconciler.render.text import Paint

_ELSEWHERE = "See the result file of the job for the whole of it."


def result_markdown(
    results: Sequence[Result],
    *,
    exit_code: ExitCode,
    problems: Sequence[Problem] = (),
    commit: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> str:
    """The results of one run on one page of at most `max_bytes` bytes.

    Args:
        results: of each application and kind.
        exit_code: what the run ended with.
        problems: why it ended so, where that is not told elsewhere.
        commit: the one that the manifests are of.
        max_bytes: counted in UTF-8.
    """
    page = Page(max_bytes, elsewhere=_ELSEWHERE)
    plain = Paint(color=False)
    for line in verdict(results, exit_code, plain):
        page.line(f"**{line}**")
    if commit:
        page.line()
        page.line(f"Commit {code(commit, limit=40)}.")
    # What went wrong is text of several levels; a block of code keeps them, and nothing in it acts.
    told = [f"    {line}" for line in details(results, problems, plain) if line]
    page.section(told, len(told), noun="lines", opening="\n", rank=Rank.LEADS)
    for result in results:
        opening, rows = f"{_title(result)}\n{_standing(result)}\n{MOVES}", result.moves
        page.section(map(move_row, rows), len(rows), noun="kinds of change", opening=opening, rank=Rank.LEADS)
    for result in results:
        opening, gone = f"{_title(result)}\nRemovals:\n\n", result.removals
        page.section(map(_removal, gone), len(gone), noun="removals", opening=opening, rank=Rank.VITAL)
    return page.text()


def _title(result: Result) -> str:
    application = result.application
    name = f"{code(application.name)} " if application.name else ""
    return f"\n### Application {name}{code(application.id)}, {result.kind}\n"


def _standing(result: Result) -> str:
    return f"{result.confirmed:,} of {counted(result.total, 'change')} confirmed. Digest: `{result.digest}`"


def _removal(row: Removal) -> str:
    device = f"{code(row.device_name)} {code(row.device_id)}" if row.device_name else code(row.device_id)
    flow = code(row.flow_name or row.flow_id)
    return f"- {device} {flow}: {version_code(row.from_version)} to nothing ({code(row.source)})"
