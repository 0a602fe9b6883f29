"""What an apply did as Markdown: the verdict, what was to move by flow, removals one by one, and what did not go well.

From the data of its JSON document, so that a saved result reads like a fresh one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.errors import Problem
from reconciler.model.text import counted
from reconciler.render.page import DEFAULT_MAX_BYTES, MOVES, SIGN, Page, Rank, code, version_code
from reconciler.render.result import details, verdict
from reconciler.render.text import Paint

Data = Mapping[str, Any]

_ELSEWHERE = "See the result file of the job for the whole of it."


def result_markdown(
    results: Sequence[Data],
    *,
    exit_code: int,
    problems: Sequence[Problem] = (),
    commit: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> str:
    """The results of one run on one page of at most `max_bytes` bytes.

    Args:
        results: the document's.
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
        opening, rows = f"{_title(result)}\n{_standing(result)}\n{MOVES}", result["moves"]
        page.section(map(_move, rows), len(rows), noun="kinds of change", opening=opening, rank=Rank.LEADS)
    for result in results:
        opening, rows = f"{_title(result)}\nRemovals:\n\n", result["removals"]
        page.section(map(_removal, rows), len(rows), noun="removals", opening=opening, rank=Rank.VITAL)
    return page.text()


def _title(result: Data) -> str:
    application = result["application"]
    name = f"{code(application['name'])} " if application["name"] else ""
    return f"\n### Application {name}{code(application['id'])}, {result['kind']}\n"


def _standing(result: Data) -> str:
    rows = result["rows"]
    return f"{rows['confirmed']:,} of {counted(rows['total'], 'change')} confirmed. Digest: `{result['digest']}`"


def _move(move: Data) -> str:
    versions = f"{version_code(move['from'])} | {version_code(move['to'])}"
    return f"| {code(move['flow_name'] or move['flow_id'])} | {SIGN[move['op']]} | {versions} | {move['count']:,} |"


def _removal(row: Data) -> str:
    device = f"{code(row['device_name'])} {code(row['device_id'])}" if row["device_name"] else code(row["device_id"])
    flow = code(row["flow_name"] or row["flow_id"])
    return f"- {device} {flow}: {version_code(row['from'])} to nothing ({code(row['source'])})"
