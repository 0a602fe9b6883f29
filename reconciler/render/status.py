"""Sync and health as text for people and as Markdown: a table of versions per flow, then the rows that lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport
from reconciler.model.text import counted
from reconciler.render.inert import inert
from reconciler.render.page import DEFAULT_MAX_BYTES, Page, Rank, code, folded, version_code
from reconciler.render.result import explanation, laggards, standing
from reconciler.render.text import LISTED, Paint

_WORDS = {column: column.replace("_", " ") for column in Standing}
_COLORS = {Standing.IN_SYNC: "green", Standing.FAILED: "red", Standing.DRIFT: "red"}


def status_text(reports: Sequence[StatusReport], *, color: bool = False) -> str:
    """The reports of one run, each under its application, then a line with the totals."""
    paint = Paint(color=color)
    lines: list[str] = []
    for report in reports:
        lines += [*_report(report, paint), ""]
    lines.append(_totals(reports))
    return "\n".join(lines) + "\n"


def _totals(reports: Sequence[StatusReport]) -> str:
    rows = Counter[Standing]()
    for report in reports:
        rows.update(report.rows)
    return f"Rows: {_told(rows) or 'none'}."


def _told(rows: Mapping[Standing, int]) -> str:
    return ", ".join(f"{rows[column]:,} {_WORDS[column]}" for column in Standing if rows[column])


def _report(report: StatusReport, paint: Paint) -> Iterator[str]:
    application = report.application
    name = f"{inert(application.name)} ({application.id})" if application.name else application.id
    yield paint(f"Application {name}, {report.kind}", "bold")
    yield f"Managed devices: {sum(report.devices.values()):,}"
    for flow in report.flows:
        yield ""
        yield f"  flow {inert(flow.flow_name)} ({flow.flow_id})" if flow.flow_name else f"  flow {flow.flow_id}"
        yield from _table(flow, paint)
    if report.laggards:
        yield ""
        yield f"  Not in sync: {counted(len(report.laggards), 'row')}"
        yield from laggards(report.laggards)
    for device_id, device_name in report.devices_named.items():
        yield ""
        yield from _log(device_id, device_name, [line for line in report.log if line.device_id == device_id])


def _log(device_id: str, name: str | None, lines: Sequence[Logged]) -> Iterator[str]:
    called = f"{inert(name)} ({device_id})" if name else device_id
    yield f"  Log of {called}: {_entries(lines)}"
    for line in lines[:LISTED]:
        yield f"    {inert(line.entry.date or 'no date')}"
        yield f"        {_happening(line)}"
        if who := _who(line):
            yield f"        by {inert(who)}"
        if line.entry.error is not None:
            yield f"        error: {inert(line.entry.error, limit=200)}"
    if len(lines) > LISTED:
        yield f"    and {counted(len(lines) - LISTED, 'older line')}"


def _entries(lines: Sequence[Logged]) -> str:
    return f"{counted(len(lines), 'line')}, newest first" if lines else "empty"


def _who(line: Logged) -> str:
    return " ".join(filter(None, (line.entry.source_type, line.entry.source_id)))


def _happening(line: Logged) -> str:
    """What a line of the log is about, in words."""
    entry = line.entry
    flow = line.flow_name or entry.flow_id
    match entry.change:
        case "desired":
            told = f"released {inert(flow or 'the device')}"
        case "current":
            told = f"reported {inert(flow)}" if flow else "reported"
        case other:
            told = inert(" ".join(filter(None, (other, flow)))) or "no more is said"
    before = f"{inert(entry.previous)} -> " if entry.previous else ""
    if entry.version or entry.previous or (entry.change == "desired" and flow):
        told += f": {before}{_version(entry.version)}"
    details = (("", entry.update), ("bundle ", entry.bundle), ("attempted ", entry.attempted))
    shown = ", ".join(f"{word}{inert(text)}" for word, text in details if text)
    return f"{told} ({shown})" if shown else told


def _table(flow: FlowStatus, paint: Paint) -> Iterator[str]:
    """Six columns beside the version; with names of up to nine characters it fits 60."""
    versions = [_version(line.version) for line in flow.versions]
    width = max(map(len, ["version", *versions]))
    yield "    " + " ".join(["version".ljust(width), *_WORDS.values()])
    for version, line in zip(versions, flow.versions, strict=True):
        cells = [_cell(line.rows[column], column, paint) for column in Standing]
        yield "    " + " ".join([version.ljust(width), *cells])


def _cell(number: int, column: Standing, paint: Paint) -> str:
    text = f"{number:,}" if number else "-"
    padded = text.rjust(len(_WORDS[column]))
    return paint(padded, _COLORS[column]) if number and column in _COLORS else padded


def _version(version: str | None) -> str:
    return "nothing" if version is None else inert(version)


def status_markdown(
    reports: Sequence[StatusReport], *, commit: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> str:
    """The reports of one run on one page of at most `max_bytes` bytes; `commit` is the one that the files are of."""
    page = Page(max_bytes, elsewhere="Run `reconciler status` for the whole of it.")
    page.line(f"**{_totals(reports)}**")
    if commit:
        page.line()
        page.line(f"Commit {code(commit, limit=40)}.")
    head = " | ".join(["flow", "version", *_WORDS.values()])
    rule = " | ".join(["---", "---", *["---:"] * len(Standing)])
    for report in reports:
        opening = f"{_title(report)}\n| {head} |\n| {rule} |\n"
        versions = sum(len(flow.versions) for flow in report.flows)
        page.section(_lines(report), versions, noun="versions", opening=opening, rank=Rank.LEADS)
    for report in reports:
        opening, closing = folded(f"{counted(len(report.laggards), 'row')} not in sync")
        lagging = (_laggard(laggard) for laggard in report.laggards)
        opening = _title(report) + opening
        page.section(lagging, len(report.laggards), noun="rows", opening=opening, closing=closing)
        for device_id, name in report.devices_named.items():
            lines = [line for line in report.log if line.device_id == device_id]
            opening = f"\nLog of {code(name or device_id)}: {_entries(lines)}\n\n"
            page.section(map(_logged, lines), len(lines), noun="lines of logs", opening=opening)
    return page.text()


def _logged(line: Logged) -> str:
    who = f" by {code(_who(line))}" if _who(line) else ""
    error = f", error: {code(line.entry.error)}" if line.entry.error is not None else ""
    return f"- {code(line.entry.date or 'no date')} {code(_happening(line))}{who}{error}"


def _title(report: StatusReport) -> str:
    name = f"{code(report.application.name)} " if report.application.name else ""
    return f"\n### Application {name}`{report.application.id}`, {report.kind}\n"


def _lines(report: StatusReport) -> Iterator[str]:
    for flow in report.flows:
        for line in flow.versions:
            cells = [f"{line.rows[column]:,}" if line.rows[column] else "" for column in Standing]
            yield f"| {' | '.join([code(flow.flow_name or flow.flow_id), version_code(line.version), *cells])} |"


def _laggard(laggard: Laggard) -> str:
    versions = [version_code(one) for one in (standing(laggard), laggard.expected)]
    told = "".join(f", {code(line)}" for line in explanation(laggard))
    device, flow = laggard.device_name or laggard.device_id, laggard.flow_name or laggard.flow_id
    return f"- {code(device)} {code(flow)}: {laggard.verdict}, {versions[0]} to {versions[1]}{told}"
