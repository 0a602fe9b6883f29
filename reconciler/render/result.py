"""What an apply did, as text, from the data of its JSON document: so a saved result reads like a fresh one.

The last line is Terraform's own when everything is confirmed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.render.inert import inert
from reconciler.render.text import LISTED, Paint, counted

Data = Mapping[str, Any]


def result_text(results: Sequence[Data], *, color: bool = False) -> str:
    """The results of one run, each under its application, then the verdict."""
    paint = Paint(color=color)
    lines: list[str] = []
    for result in results:
        lines += _one(result, paint)
    lines.append(_verdict(results, paint))
    return "\n".join(lines) + "\n"


def _verdict(results: Sequence[Data], paint: Paint) -> str:
    if any(result["dry_run"] for result in results):
        calls = sum(len(result["calls"]) for result in results)
        return f"Dry run: {counted(calls, 'call')} would be sent; nothing was."
    total = sum(result["rows"]["total"] for result in results)
    confirmed = sum(result["rows"]["confirmed"] for result in results)
    if any(result["interrupted"] for result in results):
        return paint("Apply interrupted:", "red") + f" {confirmed:,} of {counted(total, 'change')} confirmed."
    if any(result["exit_code"] for result in results):
        return paint("Apply incomplete:", "red") + f" {confirmed:,} of {counted(total, 'change')} confirmed."
    ops = Counter[str]()
    for result in results:
        ops.update(result["operations"])
    counts = f"{ops['add']:d} added, {ops['update']:d} changed, {ops['remove']:d} destroyed"
    return paint("Apply complete!", "green") + f" Resources: {counts}."


def _one(result: Data, paint: Paint) -> Iterator[str]:
    loose = [call for call in result["calls"] if call["state"] != "confirmed"]
    notes = [*([result["stopped_by"]] if result["stopped_by"] else []), *result["notes"]]
    sections = [loose if not result["dry_run"] else [], notes, result["collateral"], result["moved_meanwhile"]]
    if not any([*sections, result["wait"]]):
        return
    application = result["application"]
    name = f"{inert(application['name'])} ({application['id']})" if application["name"] else application["id"]
    yield paint(f"Application {name}, {result['kind']}", "bold")
    for note in notes:
        yield f"  {inert(note)}"
    if not result["dry_run"]:
        for call in loose:
            yield f"  {_call(call, paint)}"
        yield from _rows("Not confirmed", result["unconfirmed"], _unconfirmed)
        yield from _rows("Collateral: moved by a call of this run, outside the plan", result["collateral"], _moved)
        yield from _rows("Moved meanwhile by somebody else", result["moved_meanwhile"], _moved)
    if result["wait"]:
        yield from _wait(result["wait"])
    yield ""


def _call(call: Data, paint: Paint) -> str:
    error = f": {inert(call['error'])}" if call["error"] else ""
    state = paint(call["state"], "red" if call["state"] in ("failed", "unknown") else "yellow")
    return f"#{call['id']} {call['action']}, {counted(call['count'], 'change')}: {state}{error}"


def _rows(title: str, rows: Sequence[Data], tell: Any) -> Iterator[str]:
    if not rows:
        return
    yield f"  {title}: {counted(len(rows), 'row')}"
    for row in rows[:LISTED]:
        yield f"    {_names(row)}: {tell(row)}"
    if len(rows) > LISTED:
        yield f"    and {len(rows) - LISTED:,} more"


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
    for text in (wait["stopped_by"], wait["read_error"]):
        if text:
            yield f"  {inert(text)}"
    yield from laggards(wait["laggards"])


def laggards(rows: Sequence[Data]) -> Iterator[str]:
    """Up to 20 rows that are not converged, each with what explains it."""
    for row in rows[:LISTED]:
        yield f"    {_names(row)}: {row['verdict']}, {_version(row['reported'])} -> {_version(row['expected'])}"
        for line in _explanation(row):
            yield f"        {line}"
    if len(rows) > LISTED:
        yield f"    and {len(rows) - LISTED:,} more"


def _explanation(row: Data) -> Iterator[str]:
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
