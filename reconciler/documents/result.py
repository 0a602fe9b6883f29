"""What came of a plan, as `apply` and `show` write it, and back from a saved document, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, NamedTuple, cast

from typing_extensions import TypedDict

from reconciler.documents.json import FORMAT_VERSION, error_data
from reconciler.documents.parts import (
    ApplicationPart,
    Count,
    Digest,
    Document,
    From,
    Id,
    KindWord,
    LaggardPart,
    NamedRowPart,
    Step,
    VerdictsPart,
    Version,
    application_part,
    laggard_part,
    row_part,
    verdicts_part,
    word,
)
from reconciler.documents.plan import CallPart
from reconciler.documents.reading import checked, headed, told, wrong
from reconciler.errors import ExitCode, Problem
from reconciler.model.health import ChangedBy, Laggard, Offline, Verdict, Verdicts, Wait
from reconciler.model.result import CallResult, CallState, Move, Moved, Operations, Removal, Result, Unconfirmed
from reconciler.model.state import Application

SAVING = "save a plan with `plan --out`, a result with `apply --result`"
_OUTCOMES = {
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.NOT_CONFIRMED: "some call is not confirmed; see results",
    ExitCode.NOT_CONVERGED: "not every device runs what it should; see results",
}


class SentCallPart(CallPart):
    """One request of an apply, and what became of it."""

    state: Annotated[CallState, word(CallState)]
    confirmed: Count
    attempts: Count
    error: str | None
    note: str | None
    started: str | None
    ended: str | None


class UnconfirmedPart(NamedRowPart):
    """A row of the plan that was not seen at its `to`."""

    expected: Version
    actual: Version
    call: Count
    moved_by_other: bool


class MovedPart(NamedRowPart):
    """A row outside the plan that moved during the run; `call` could have done it, or null."""

    before: Version
    after: Version
    call: int | None


class RowsPart(TypedDict):
    """Changes of a plan, and how many of them a read has confirmed."""

    total: Count
    confirmed: Count


class OperationsPart(TypedDict):
    """Changes of a plan by what they do."""

    add: Count
    update: Count
    remove: Count


class WaitPart(TypedDict):
    """How a wait ended. `rows` and `devices` are null where no read succeeded."""

    offline: Annotated[Offline, word(Offline)]
    elapsed_s: float
    timed_out: bool
    stopped_by: str | None
    read_error: str | None
    rows: VerdictsPart | None
    devices: VerdictsPart | None
    laggards: list[LaggardPart]


class _FlowPart(TypedDict):
    flow_id: Id
    flow_name: str | None


class MovePart(_FlowPart, Step):
    """Rows of a flow that were to move alike."""

    count: Count


class RemovalPart(NamedRowPart, From):
    """A row that was to be removed, and where the manifests say so."""

    source: str


class ResultPart(TypedDict):
    """What an apply did to one application and kind."""

    application: ApplicationPart
    kind: KindWord
    digest: Digest
    dry_run: bool
    interrupted: bool
    stopped_by: str | None
    exit_code: int
    rows: RowsPart
    operations: OperationsPart
    moves: list[MovePart]
    removals: list[RemovalPart]
    calls: list[SentCallPart]
    unconfirmed: list[UnconfirmedPart]
    collateral: list[MovedPart]
    moved_meanwhile: list[MovedPart]
    notes: list[str]
    wait: WaitPart | None


class ResultDocument(Document):
    """What `apply` writes, and `show` of a saved result."""

    command: Literal["apply", "show"]
    results: list[ResultPart]


def result_document(
    results: Iterable[Result], command: Literal["apply", "show"], *, code: ExitCode, problems: Iterable[Problem] = ()
) -> ResultDocument:
    """The JSON document of an apply. `error` is null when it ended with 0."""
    told = list(problems)
    return {
        "format_version": FORMAT_VERSION,
        "command": command,
        "error": error_data(code, told or [Problem(_OUTCOMES.get(code, "failed"))]) if code else None,
        "results": [_result(result) for result in results],
    }


def _result(result: Result) -> ResultPart:
    return {
        "application": application_part(result.application),
        "kind": result.kind,
        "digest": result.digest,
        "dry_run": result.dry_run,
        "interrupted": result.interrupted,
        "stopped_by": result.stopped_by,
        "exit_code": int(result.exit_code),
        "rows": {"total": result.total, "confirmed": result.confirmed},
        "calls": [_call(call) for call in result.calls],
        "unconfirmed": [cast("UnconfirmedPart", row_part(row)) for row in result.unconfirmed],
        "collateral": [cast("MovedPart", row_part(row)) for row in result.collateral],
        "moved_meanwhile": [cast("MovedPart", row_part(row)) for row in result.moved_meanwhile],
        "notes": list(result.notes),
        "operations": cast("OperationsPart", result.operations._asdict()),
        "moves": [_move(move) for move in result.moves],
        "removals": [_removal(row) for row in result.removals],
        "wait": _wait(result.wait) if result.wait else None,
    }


def _call(call: CallResult) -> SentCallPart:
    data = {field.name: getattr(call, field.name) for field in fields(call)}
    return cast("SentCallPart", data | {"after": list(call.after)})


def _move(move: Move) -> MovePart:
    return {
        "flow_id": move.flow_id,
        "flow_name": move.flow_name,
        "op": move.op,
        "from": move.from_version,
        "to": move.to_version,
        "count": move.count,
    }


def _removal(row: Removal) -> RemovalPart:
    return {
        "device_id": row.device_id,
        "device_name": row.device_name,
        "flow_id": row.flow_id,
        "flow_name": row.flow_name,
        "from": row.from_version,
        "source": row.source,
    }


def _wait(wait: Wait) -> WaitPart:
    verdicts = wait.verdicts
    return {
        "offline": wait.offline,
        "elapsed_s": round(wait.elapsed_s, 3),
        "timed_out": wait.timed_out,
        "stopped_by": wait.stopped_by,
        "read_error": wait.read_error,
        "rows": verdicts_part(verdicts.rows) if verdicts else None,
        "devices": verdicts_part(verdicts.devices) if verdicts else None,
        "laggards": [laggard_part(row) for row in verdicts.laggards] if verdicts else [],
    }


class Ended(NamedTuple):
    """The results of a run, and how that ended."""

    results: tuple[Result, ...]
    code: ExitCode
    problems: tuple[Problem, ...]


def read_results(data: object, *, path: str | None = None, later: bool = False) -> Ended:
    """The results of a saved document, `path` being the file it came from.

    With `later` it may be of a later minor version of the format, and what is not known of it is left out.

    Raises:
        ManifestError: not such a document, of another format, or damaged.
    """
    with told(path, SAVING):
        document = checked(ResultDocument, headed(data, later=later), later=later)
        results = tuple(_read(part, "results", number) for number, part in enumerate(document["results"]))
    error = document["error"]
    if error is None:
        return Ended(results, ExitCode.DONE, ())
    return Ended(results, ExitCode(error["code"]), tuple(Problem(**problem) for problem in error["problems"]))


def _read(part: ResultPart, *at: str | int) -> Result:
    made = Result(
        application=Application(**part["application"]),
        kind=part["kind"],
        digest=part["digest"],
        calls=tuple(_read_call(call) for call in part["calls"]),
        **part["rows"],
        operations=Operations(**part["operations"]),
        moves=tuple(
            Move(one["flow_id"], one["flow_name"], one["op"], one["from"], one["to"], one["count"])
            for one in part["moves"]
        ),
        removals=tuple(
            Removal(row["device_id"], row["device_name"], row["flow_id"], row["flow_name"], row["from"], row["source"])
            for row in part["removals"]
        ),
        unconfirmed=tuple(Unconfirmed(**row) for row in part["unconfirmed"]),
        collateral=tuple(Moved(**row) for row in part["collateral"]),
        moved_meanwhile=tuple(Moved(**row) for row in part["moved_meanwhile"]),
        dry_run=part["dry_run"],
        interrupted=part["interrupted"],
        stopped_by=part["stopped_by"],
        notes=tuple(part["notes"]),
        wait=_read_wait(part["wait"]) if part["wait"] else None,
    )
    if part["exit_code"] != made.exit_code:
        raise wrong(f"must be {made.exit_code:d}, by what became of the calls", *at, "exit_code")
    return made


def _read_call(part: SentCallPart) -> CallResult:
    return CallResult(**(cast("dict[str, Any]", part) | {"after": tuple(part["after"])}))


def _read_wait(part: WaitPart) -> Wait:
    rows, devices, laggards = part["rows"], part["devices"], tuple(map(_read_laggard, part["laggards"]))
    verdicts = Verdicts(_counts(rows), _counts(devices), laggards) if rows and devices else None
    return Wait(part["offline"], part["elapsed_s"], verdicts, part["timed_out"], part["stopped_by"], part["read_error"])


def _counts(part: VerdictsPart) -> Mapping[Verdict, int]:
    return {verdict: part[verdict.value] for verdict in Verdict}


def _read_laggard(part: LaggardPart) -> Laggard:
    return Laggard(**(cast("dict[str, Any]", part) | {"changed_by": ChangedBy(**part["changed_by"])}))
