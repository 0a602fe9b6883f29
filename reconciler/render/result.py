"""What an apply did, as text, from the data of its JSON document: so a saved result reads like a fresh one.

The last line is Terraform's own when everything is confirmed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.errors import ExitCode, Problem
from reconciler.model.text import counted
from reconciler.render.inert import inert
from reconciler.render.text import LISTED, Paint

Data = Mapping[str, Any]


def result_text(results: Sequence[Data], *, code: int, problems: Sequence[Problem] = (), color: bool = False) -> str:
    """The results of one run, each under its application, then the verdict.

    Args:
        results: the document's.
        code: what the run ended with.
        problems: why it ended so, where that is not told elsewhere.
        color: whether to use colours.
    """
    paint = Paint(color=color)
    lines = [*details(results, problems, paint), *verdict(results, code, paint)]
    return "\n".join(lines) + "\n"


def details(results: Sequence[Data], problems: Sequence[Problem], paint: Paint) -> Iterator[str]:
    """Everything before the verdict."""
    for problem in problems:
        yield inert(str(problem))
    for result in results:
        yield from _one(result, paint)


def verdict(results: Sequence[Data], code: int, paint: Paint) -> Iterator[str]:
    """The last lines, of which the last is Terraform's when every change is confirmed."""
    total = sum(result["rows"]["total"] for result in results)
    confirmed = f"{sum(result['rows']['confirmed'] for result in results):,} of {counted(total, 'change')} confirmed."
    calls = counted(sum(len(result["calls"]) for result in results), "call")
    if code == ExitCode.NOT_CONVERGED:
        yield paint("Not every device runs what it should.", "red")
    match code:
        case ExitCode.INTERRUPTED:
            yield paint("Apply interrupted:", "red") + f" {confirmed}"
        case ExitCode.NOT_CONFIRMED:
            yield paint("Apply incomplete:", "red") + f" {confirmed}"
        case ExitCode.ERROR | ExitCode.REFUSED | ExitCode.STALE:
            yield paint("Nothing was sent:", "red") + f" {calls} planned."
        case _ if any(result["dry_run"] for result in results):
            yield f"Dry run: {calls} would be sent; nothing was."
        case _:
            ops = Counter[str]()
            for result in results:
                ops.update(result["operations"])
            counts = f"{ops['add']:d} added, {ops['update']:d} changed, {ops['remove']:d} destroyed"
            yield paint("Apply complete!", "green") + f" Resources: {counts}."


def _one(result: Data, paint: Paint) -> Iterator[str]:
    lines = [*_notes(result), *_what_became(result, paint)]
    if not lines:
        return
    application = result["application"]
    name = f"{inert(application['name'])} " if application["name"] else ""
    identifier = f"({inert(application['id'])})" if name else inert(application["id"])
    yield paint(f"Application {name}{identifier}, {result['kind']}", "bold")
    yield from lines
    yield ""


def _notes(result: Data) -> Iterator[str]:
    stopped = [result["stopped_by"]] if result["stopped_by"] else []
    for note in [*stopped, *result["notes"]]:
        yield f"  {inert(note)}"


def _what_became(result: Data, paint: Paint) -> Iterator[str]:
    if result["dry_run"]:
        return
    told = [call for call in result["calls"] if call["note"] or call["state"] not in ("confirmed", "planned")]
    for call in told[:LISTED]:
        yield f"  {_call(call, paint)}"
    yield from _more(len(told), "call")
    sent = any(call["attempts"] for call in result["calls"])
    unsent = sum(call["state"] == "planned" for call in result["calls"])
    if sent and unsent:
        yield f"  {counted(unsent, 'call')} not sent"
    if sent:
        yield from _rows("Not confirmed", result["unconfirmed"], _unconfirmed)
    yield from _rows("Collateral: moved by a call of this run, outside the plan", result["collateral"], _moved)
    yield from _rows("Moved meanwhile by somebody else", result["moved_meanwhile"], _moved)
    if result["wait"]:
        yield from _wait(result["wait"])


def _call(call: Data, paint: Paint) -> str:
    told = "".join(f", {inert(call[key])}" for key in ("error", "note") if call[key])
    color = {"confirmed": "green", "failed": "red", "unknown": "red"}.get(call["state"], "yellow")
    state = paint(call["state"], color)
    return f"#{call['id']} {call['action']}, {counted(call['count'], 'change')}: {state}" + (
        f", {told}" if told else ""
    )


def _more(total: int, noun: str = "row") -> Iterator[str]:
    if total > LISTED:
        yield f"    and {counted(total - LISTED, f'more {noun}')}"


def _rows(title: str, rows: Sequence[Data], tell: Any) -> Iterator[str]:
    if not rows:
        return
    yield f"  {title}: {counted(len(rows), 'row')}"
    for row in rows[:LISTED]:
        yield f"    {_names(row)}: {tell(row)}"
    yield from _more(len(rows))


def _names(row: Data) -> str:
    return f"{inert(row['device_name'] or row['device_id'])} / {inert(row['flow_name'] or row['flow_id'])}"


def _unconfirmed(row: Data) -> str:
    by_other = ", moved by somebody else" if row["moved_by_other"] else ""
    return f"{_version(row['actual'])}, not {_version(row['expected'])} (call #{row['call']}){by_other}"


def _moved(row: Data) -> str:
    by = f" (call #{row['call']})" if row["call"] is not None else ""
    return f"{_version(row['before'])} -> {_version(row['after'])}{by}"


def _version(version: str | None) -> str:
    return "nothing" if version is None else inert(version)


def _wait(wait: Data) -> Iterator[str]:
    rows = wait["rows"]
    if rows is None:
        yield f"  Waited {wait['elapsed_s']:.0f} s without reading the devices: {inert(str(wait['read_error']))}"
        return
    told = ", ".join(f"{number:,} {verdict}" for verdict, number in rows.items() if number)
    over = ", time is up" if wait["timed_out"] else ""
    yield f"  Rows after {wait['elapsed_s']:.0f} s{over}: {told or 'none'}"
    for text in dict.fromkeys(filter(None, (wait["stopped_by"], wait["read_error"]))):
        yield f"  {inert(text)}"
    yield from laggards(wait["laggards"])


def laggards(rows: Sequence[Data]) -> Iterator[str]:
    """Up to 20 rows that are not converged, each with what explains it."""
    for row in rows[:LISTED]:
        yield f"    {_names(row)}: {row['verdict']}, {_version(standing(row))} -> {_version(row['expected'])}"
        for line in explanation(row):
            yield f"        {line}"
    yield from _more(len(rows))


def standing(row: Data) -> str | None:
    """The version that keeps a row from being converged: what is released if that is the trouble, else reported."""
    version: str | None = row["released" if row["verdict"] == "drift" else "reported"]
    return version


def explanation(row: Data) -> Iterator[str]:
    """What is known of why a row is not converged."""
    if row["connected"] is False:
        yield f"not connected, last change {inert(row['connection_time'] or 'never')}"
    if row["unknown_bundle"]:
        yield "runs a bundle that the platform does not know"
    if row["error"]:
        bundle = f" (bundle {inert(row['attempted_bundle'])})" if row["attempted_bundle"] else ""
        yield f"error: {inert(row['error'], limit=200)}{bundle}"
    by = row["changed_by"]
    if by["type"]:
        when = f" at {inert(row['since'])}" if row["since"] else ""
        yield f"released by {inert(by['type'])} {inert(by['id'] or '')}{when}"
