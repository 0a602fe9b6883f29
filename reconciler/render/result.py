"""Renders the results of an apply as text and Markdown: verdict, changes, removals, what went wrong; and exports.

If everything is confirmed, the last line of the text is the same as Terraform's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest

from reconciler.errors import ExitCode, Problem
from reconciler.model.changes import Op
from reconciler.model.export import ExportedFile
from reconciler.model.health import Wait
from reconciler.model.plan import Warning
from reconciler.model.result import CallResult, CallState, Moved, Removal, Result, Unconfirmed
from reconciler.model.state import FlowId
from reconciler.model.text import counted
from reconciler.render.inert import LISTED, Paint, inert, left_out, painter, title, version_text, words
from reconciler.render.laggards import laggards
from reconciler.render.page import DEFAULT_MAX_BYTES, MOVES, Page, Rank, code, heading, move_row, version_code
from reconciler.render.rollouts.pages import rollout_sections
from reconciler.render.rollouts.text import next_wave, rollout_lines

_COLORS = {CallState.CONFIRMED: "green", CallState.FAILED: "red", CallState.UNKNOWN: "red"}
_BEFORE = "The rollouts as they were before this apply:"


def result_text(results: Sequence[Result], *, code: int, problems: Sequence[Problem] = (), color: bool = False) -> str:
    """The results of one run, each under its application, then the verdict.

    Args:
        results: the result of each application and kind.
        code: the exit code of the run.
        problems: the problems that the results do not show.
        color: whether to use colours.
    """
    paint = painter(color=color)
    lines = [*_details(results, problems, paint, has_rollouts=True), *verdict(results, code, paint)]
    return "\n".join(lines) + "\n"


def result_markdown(
    results: Sequence[Result],
    *,
    exit_code: int,
    problems: Sequence[Problem] = (),
    commit: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> str:
    """The same on one page of at most `max_bytes` bytes (UTF-8); `commit` is the commit of the manifests."""
    page = Page(max_bytes, elsewhere="See the result file of the job for the whole of it.")
    if any(result.rollouts for result in results):
        page.reserve_for_rollouts()
    plain = painter(color=False)
    for line in verdict(results, exit_code, plain):
        page.line(f"**{line}**")
    page.commit(commit)
    # Details are indented text; an indented code block keeps the indentation, and makes them inert.
    lines = [f"    {line}" for line in _details(results, problems, plain, has_rollouts=False) if line]
    page.section("lines", lines, str, opening="\n", rank=Rank.LEADS)
    headings = [heading(result.application, result.kind) for result in results]
    for head, result in zip(headings, results, strict=True):
        above = f"{head}\n{_BEFORE}\n" if _is_before(result) else head
        rollout_sections(page, above, result.rollouts, _flow_names(result))
    for head, result in zip(headings, results, strict=True):
        confirmed = f"{result.confirmed:,} of {counted(result.total, 'change')} confirmed. Digest: `{result.digest}`"
        opening = f"{head}\n{confirmed}\n{MOVES}"
        page.section("kinds of change", result.moves, move_row, opening=opening, rank=Rank.LEADS)
    for head, result in zip(headings, results, strict=True):
        page.section("removals", result.removals, _removal, opening=f"{head}\nRemovals:\n\n", rank=Rank.VITAL)
    return page.text()


def _removal(row: Removal) -> str:
    device = f"{code(row.device_name)} {code(row.device_id)}" if row.device_name else code(row.device_id)
    flow = code(row.flow_name or row.flow_id)
    return f"- {device} {flow}: {version_code(row.from_version)} to nothing ({code(row.source)})"


def _details(
    results: Sequence[Result], problems: Sequence[Problem], paint: Paint, *, has_rollouts: bool
) -> Iterator[str]:
    """Everything before the verdict."""
    for problem in problems:
        yield inert(str(problem))
    for result in results:
        yield from _one(result, paint, has_rollouts=has_rollouts)


def _flow_names(result: Result) -> Mapping[FlowId, str]:
    return {move.flow_id: move.flow_name for move in result.moves if move.flow_name}


def verdict(results: Sequence[Result], code: int, paint: Paint | None = None) -> Iterator[str]:
    """How the run ended, in one line or two."""
    paint = paint or painter(color=False)
    total = sum(result.total for result in results)
    confirmed = f"{sum(result.confirmed for result in results):,} of {counted(total, 'change')} confirmed."
    calls = counted(sum(len(result.calls) for result in results), "call")
    if code == ExitCode.NOT_CONVERGED:
        yield paint("Not every device runs what it should.", "red")
    if code == ExitCode.ROLLOUT_STOPPED:
        states = {one.state for result in results for one in result.rollouts if one.needs_attention}
        yield paint(f"A rollout is {' and another '.join(sorted(map(words, states))) or 'stopped'}.", "red")
    match code:
        case ExitCode.INTERRUPTED if not any(result.wrote for result in results):
            yield paint("Apply interrupted:", "red") + f" nothing was sent, {calls} planned."
        case ExitCode.INTERRUPTED:
            yield paint("Apply interrupted:", "red") + f" {confirmed}"
        case ExitCode.NOT_CONFIRMED:
            yield paint("Apply incomplete:", "red") + f" {confirmed}"
        case ExitCode.ERROR | ExitCode.REFUSED | ExitCode.STALE:
            yield paint("Nothing was sent:", "red") + f" {calls} planned."
        case _ if code not in list(ExitCode):
            yield paint(f"Apply ended with exit code {code}:", "red") + f" {confirmed}"
        case _ if any(result.dry_run for result in results):
            yield f"Dry run: {calls} would be sent; nothing was.{_withheld(results)}"
        case _:
            add, update, remove = (sum(getattr(result.operations, op) for result in results) for op in Op)
            counts = f"{add:d} added, {update:d} changed, {remove:d} destroyed"
            withheld = _withheld(results)
            color = "yellow" if withheld or code else "green"  # what it says is true of what was sent
            yield paint("Apply complete!", color) + f" Resources: {counts}.{withheld}"


def _withheld(results: Sequence[Result]) -> str:
    """What rollouts hold back for now, and for how long."""
    number = sum(result.withheld or 0 for result in results)
    reports = [report for result in results for report in result.rollouts]
    return f" {counted(number, 'change')} withheld by rollouts{next_wave(reports)}." if number else ""


def _one(result: Result, paint: Paint, *, has_rollouts: bool) -> Iterator[str]:
    lines = [f"  {inert(note)}" for note in (result.stopped_by, *result.notes) if note]
    lines += _warnings(result.warnings, paint)
    lines += _what_became(result, paint)
    if has_rollouts:
        lines += ["", f"  {_BEFORE}"] if _is_before(result) else []
        lines += rollout_lines(result.rollouts, _flow_names(result), paint=paint)
    if not lines:
        return
    yield paint(title(result.application, result.kind), "bold")
    yield from lines
    yield ""


def _is_before(result: Result) -> bool:
    """Whether the rollouts are those of the read before what was sent, since no wait looked at them again."""
    return bool(result.rollouts) and result.wrote and result.wait is None


def _warnings(warnings: Sequence[Warning], paint: Paint) -> Iterator[str]:
    for warning in warnings[:LISTED]:
        yield f"  {paint('Warning:', 'yellow')} {inert(str(warning.problem).removeprefix('Error: '))}"
    yield from left_out(len(warnings) - LISTED, "warning", indent=4)


def _what_became(result: Result, paint: Paint) -> Iterator[str]:
    if result.dry_run:
        return
    quiet = (CallState.CONFIRMED, CallState.PLANNED)
    notable = [call for call in result.calls if call.note or call.state not in quiet]
    for call in notable[:LISTED]:
        yield f"  {_call(call, paint)}"
    yield from left_out(len(notable) - LISTED, "call", indent=4)
    unsent = sum(call.state is CallState.PLANNED for call in result.calls)
    if result.wrote and unsent:
        yield f"  {counted(unsent, 'call')} not sent"
    if result.wrote:
        yield from _rows("Not confirmed", result.unconfirmed)
    yield from _rows("Collateral: moved by a call of this run, outside the plan", result.collateral)
    yield from _rows("Moved meanwhile by somebody else", result.moved_meanwhile)
    if result.wait:
        yield from _wait(result.wait)


def _call(call: CallResult, paint: Paint) -> str:
    why = "".join(f", {inert(text)}" for text in (call.error, call.note) if text)
    state = paint(call.state, _COLORS.get(call.state, "yellow"))
    return f"#{call.id} {call.action}, {counted(call.count, 'change')}: {state}{why}"


def _rows(title: str, rows: Sequence[Unconfirmed | Moved]) -> Iterator[str]:
    if rows:
        yield f"  {title}: {counted(len(rows), 'row')}"
    for row in nsmallest(LISTED, rows, key=_in_order):
        yield f"    {_names(row)}: {_moved(row)}"
    yield from left_out(len(rows) - LISTED, "row", indent=4)


def _in_order(row: Unconfirmed | Moved) -> tuple[str, str, str, str]:
    """By the names that a reader sees."""
    return (row.device_name or "", row.device_id, row.flow_name or "", row.flow_id)


def _names(row: Unconfirmed | Moved) -> str:
    return f"{inert(row.device_name or row.device_id)} / {inert(row.flow_name or row.flow_id)}"


def _moved(row: Unconfirmed | Moved) -> str:
    call = f" (call #{row.call})" if row.call is not None else ""
    if isinstance(row, Moved):
        return f"{version_text(row.before)} -> {version_text(row.after)}{call}"
    by_other = ", moved by somebody else" if row.moved_by_other else ""
    return f"{version_text(row.actual)}, not {version_text(row.expected)}{call}{by_other}"


def _wait(wait: Wait) -> Iterator[str]:
    if wait.verdicts is None:
        yield f"  Waited {wait.elapsed_s:.0f} s without reading the devices: {inert(str(wait.read_error))}"
        return
    rows = ", ".join(f"{number:,} {words(verdict)}" for verdict, number in wait.verdicts.rows.items() if number)
    over = ", time is up" if wait.timed_out else ""
    yield f"  Rows after {wait.elapsed_s:.0f} s{over}: {rows or 'none'}"
    for text in dict.fromkeys(filter(None, (wait.stopped_by, wait.read_error))):
        yield f"  {inert(text)}"
    yield from laggards(wait.laggards)


def file_text(file: ExportedFile) -> str:
    """One line for an exported file, and one for each module with its size and whether it has the WASM magic."""
    lines = [f"{inert(file.path)}: {file.size} bytes, {file.sha256.replace(':', ' ')}, {file.type}"]
    names = [inert(module.name) or "(unpacked)" for module in file.modules]
    width = max(map(len, names), default=0)
    digits = max((len(str(module.size)) for module in file.modules), default=0)
    for name, module in zip(names, file.modules, strict=True):
        kind = "WASM" if module.wasm else "no WASM magic"
        lines.append(f"  {name.ljust(width)}  {str(module.size).rjust(digits)} bytes  {kind}")
    if file.type == "zip" and not file.modules:
        lines.append("  the archive is empty")
    return "\n".join(lines) + "\n"
