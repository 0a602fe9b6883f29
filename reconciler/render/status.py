"""Renders sync and health as text and Markdown: a table of versions per flow, then the laggards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.health import FlowStatus, Laggard, Logged, Standing, StatusReport, VersionStatus
from reconciler.model.state import DeletedDevice, FlowId
from reconciler.model.text import counted
from reconciler.render.inert import (
    LISTED,
    WIDTH,
    Paint,
    date_text,
    inert,
    left_out,
    painter,
    title,
    version_text,
    with_id,
    words,
    wrapped,
)
from reconciler.render.laggards import explanation, in_order, laggards, standing
from reconciler.render.page import DEFAULT_MAX_BYTES, Page, Rank, code, heading, version_code
from reconciler.render.rollouts.pages import rollout_sections
from reconciler.render.rollouts.text import next_wave, rollout_lines, table

_WORDS = {column: words(column) for column in Standing}
_COLORS = {Standing.IN_SYNC: "green", Standing.FAILED: "red", Standing.DRIFT: "red"}


def status_text(reports: Sequence[StatusReport], *, color: bool = False) -> str:
    """The reports of one run, each under its application, then a line with the totals."""
    paint = painter(color=color)
    lines = [line for report in reports for line in (*_report(report, paint), "")]
    return "\n".join([*lines, *wrapped(_totals(reports), indent=0), ""])


def _totals(reports: Sequence[StatusReport]) -> str:
    rows = {column: sum(report.rows.get(column, 0) for report in reports) for column in Standing}
    counts = ", ".join(f"{rows[column]:,} {_WORDS[column]}" for column in Standing if rows[column]) or "none"
    return f"Rows: {counts}{next_wave(one for report in reports for one in report.rollouts or ())}."


def _report(report: StatusReport, paint: Paint) -> Iterator[str]:
    yield paint(title(report.application, report.kind), "bold")
    yield f"Managed devices: {sum(report.devices.values()):,}"
    for flow in report.flows:
        yield ""
        yield f"  flow {with_id(flow.flow_name, flow.flow_id)}"
        yield from _table(flow, _columns([report]), paint)
    yield from rollout_lines(report.rollouts or (), _flow_names(report), paint=paint)
    if report.laggards:
        yield ""
        yield f"  Not in sync: {counted(len(report.laggards), 'row')}"
        yield from laggards(report.laggards)
    if report.deleted_devices:
        yield ""
        yield f"  Device deleted: {counted(len(report.deleted_devices), 'device')} with a record left"
        for device in _by_name(report.deleted_devices)[:LISTED]:
            yield f"    {with_id(device.device_name, device.device_id)}"
        yield from left_out(len(report.deleted_devices) - LISTED, "device", indent=4)
    for device_id, device_name in _named(report):
        yield ""
        yield from _log(device_id, device_name, [line for line in report.log if line.device_id == device_id])


def _flow_names(report: StatusReport) -> Mapping[FlowId, str]:
    return {flow.flow_id: flow.flow_name for flow in report.flows if flow.flow_name}


def _by_name(devices: Iterable[DeletedDevice]) -> list[DeletedDevice]:
    return sorted(devices, key=lambda device: (device.device_name or "", device.device_id))


def _named(report: StatusReport) -> list[tuple[str, str | None]]:
    """The devices that the report was restricted to, by name."""
    return sorted(report.devices_named.items(), key=lambda item: (item[1] or "", item[0]))


def _log(device_id: str, name: str | None, lines: Sequence[Logged]) -> Iterator[str]:
    yield f"  Log of {with_id(name, device_id)}: {_entries(lines)}"
    for line in lines[:LISTED]:
        yield f"    {date_text(line.date or 'no date', seconds=True)}"
        yield from wrapped(_happening(line), indent=8)
        if who := _who(line):
            yield from wrapped(f"by {inert(who)}", indent=8)
        if line.error is not None:
            yield from wrapped(f"error: {inert(line.error, limit=200)}", indent=8)
    if len(lines) > LISTED:
        yield f"    and {counted(len(lines) - LISTED, 'older line')}"


def _entries(lines: Sequence[Logged]) -> str:
    return f"{counted(len(lines), 'line')}, newest first" if lines else "empty"


def _who(line: Logged) -> str:
    return " ".join(filter(None, (line.changed_by.type, line.changed_by.id)))


def _happening(line: Logged) -> str:
    """Describe an entry of the log."""
    flow = line.flow_name or line.flow_id
    match line.change:
        case "desired":
            event = f"released {inert(flow or 'the device')}"
        case "current":
            event = f"reported {inert(flow)}" if flow else "reported"
        case other:
            event = inert(" ".join(filter(None, (other, flow)))) or "no details"
    before = f"{inert(line.previous)} -> " if line.previous else ""
    if line.version or line.previous or (line.change == "desired" and flow):
        event += f": {before}{version_text(line.version)}"
    details = (("", line.update), ("bundle ", line.bundle), ("attempted ", line.attempted))
    shown = ", ".join(f"{word}{inert(text)}" for word, text in details if text)
    return f"{event} ({shown})" if shown else event


def _columns(reports: Iterable[StatusReport]) -> list[Standing]:
    """The columns to show: all, but that of withheld changes only with rollouts, and of deleted devices if any."""
    left_out = set()
    if not any(report.rows.get(Standing.DEVICE_DELETED) for report in reports):
        left_out.add(Standing.DEVICE_DELETED)
    if not any(Standing.WITHHELD in report.rows for report in reports):
        left_out.add(Standing.WITHHELD)
    return [column for column in Standing if column not in left_out]


def _table(flow: FlowStatus, columns: Sequence[Standing], paint: Paint) -> Iterator[str]:
    """A table of versions and columns, or where it would be too wide, a line for each version."""
    versions = [version_text(line.version) for line in flow.versions]
    if Standing.WITHHELD in columns:  # too wide for one line
        used = [one for one in columns if one is Standing.IN_SYNC or any(getattr(line, one) for line in flow.versions)]
        rows = [[f"{number:,}" if (number := getattr(line, one)) else "-" for one in used] for line in flow.versions]
        head = ["version", *(_WORDS[column] for column in used)]
        yield from table([head, *([version, *row] for version, row in zip(versions, rows, strict=True))], indent=4)
        return
    width = max(map(len, ["version", *versions]))
    if 4 + width + sum(1 + len(_WORDS[column]) for column in columns) > WIDTH:
        for version, line in zip(versions, flow.versions, strict=True):
            counts = [f"{number:,} {_WORDS[column]}" for column in columns if (number := getattr(line, column))]
            yield from wrapped(f"{version}: {', '.join(counts)}", indent=4)
        return
    yield "    " + " ".join(["version".ljust(width), *(_WORDS[column] for column in columns)])
    for version, line in zip(versions, flow.versions, strict=True):
        cells = [_cell(getattr(line, column), column, paint) for column in columns]
        yield "    " + " ".join([version.ljust(width), *cells])


def _cell(number: int, column: Standing, paint: Paint) -> str:
    text = f"{number:,}" if number else "-"
    padded = text.rjust(len(_WORDS[column]))
    return paint(padded, _COLORS[column]) if number and column in _COLORS else padded


def status_markdown(
    reports: Sequence[StatusReport], *, commit: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> str:
    """The reports of one run on one page of at most `max_bytes` bytes; `commit` is the commit of the manifests."""
    page = Page(max_bytes, elsewhere="Run `reconciler status` for the whole of it.")
    if any(report.rollouts for report in reports):
        page.reserve_for_rollouts()
    page.line(f"**{_totals(reports)}**")
    page.commit(commit)
    columns = _columns(reports)
    head = " | ".join(["flow", "version", *(_WORDS[column] for column in columns)])
    rule = " | ".join(["---", "---", *["---:"] * len(columns)])
    headings = [heading(report.application, report.kind) for report in reports]
    for above, report in zip(headings, reports, strict=True):
        versions = [(flow, line, columns) for flow in report.flows for line in flow.versions]
        opening = f"{above}\n| {head} |\n| {rule} |\n"
        page.section("versions", versions, _version_row, opening=opening, rank=Rank.LEADS)
    for above, report in zip(headings, reports, strict=True):
        rollout_sections(page, above, report.rollouts or (), _flow_names(report))
    for above, report in zip(headings, reports, strict=True):
        summary = f"{counted(len(report.laggards), 'row')} not in sync"
        page.section("rows", in_order(report.laggards), _laggard, opening=above, summary=summary)
        summary = f"{counted(len(report.deleted_devices), 'device')} deleted, with a record left"
        page.section("deleted devices", _by_name(report.deleted_devices), _deleted, opening=above, summary=summary)
        for device_id, name in _named(report):
            lines = [line for line in report.log if line.device_id == device_id]
            opening = f"\nLog of {code(name or device_id)}: {_entries(lines)}\n\n"
            page.section("lines of logs", lines, _logged, opening=opening)
    return page.text()


def _version_row(row: tuple[FlowStatus, VersionStatus, Sequence[Standing]]) -> str:
    flow, line, columns = row
    counts = [getattr(line, column) for column in columns]
    cells = [f"{count:,}" if count else "" for count in counts]
    return f"| {' | '.join([code(flow.flow_name or flow.flow_id), version_code(line.version), *cells])} |"


def _laggard(row: Laggard) -> str:
    versions = f"{version_code(standing(row))} to {version_code(row.expected)}"
    why = "".join(f", {code(line)}" for line in explanation(row))
    device, flow = row.device_name or row.device_id, row.flow_name or row.flow_id
    return f"- {code(device)} {code(flow)}: {words(row.verdict)}, {versions}{why}"


def _deleted(device: DeletedDevice) -> str:
    return f"- {code(device.device_name or device.device_id)}: device deleted"


def _logged(line: Logged) -> str:
    who = f" by {code(_who(line))}" if _who(line) else ""
    error = f", error: {code(line.error)}" if line.error is not None else ""
    return f"- {code(date_text(line.date or 'no date', seconds=True))} {code(_happening(line))}{who}{error}"
