"""The result of an apply: one `Result` for each application and kind, valid at any time during the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple, TypeVar

from reconciler.errors import ExitCode
from reconciler.model.changes import Change, Op
from reconciler.model.digest import digests
from reconciler.model.health import Wait
from reconciler.model.plan import Plan, Warning
from reconciler.model.requests import Action
from reconciler.model.rollout import RolloutReport, need_attention
from reconciler.model.state import Application, Count, DeviceId, Digest, FlowId, Kind, Row, Version


class CallState(StrEnum):
    """The state of a call.

    `accepted`: the API returned 201, which guarantees nothing. `confirmed`: a read shows the effect. `failed`: it did
    not take full effect. `skipped`: it was never sent. `unknown`: it may have taken effect, or still may.
    """

    PLANNED = "planned"
    SENT = "sent"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CallResult:
    """One call. `body`: last sent, or to be sent. `count`: the changes it carries. `confirmed`: those confirmed.

    `attempts` counts requests on the wire. Times are RFC 3339 text in UTC. `error` says what went wrong; its text may
    come from the API and is untrusted. `note` says why a call differs from the plan.
    """

    id: Count
    action: Action
    body: Mapping[str, object]
    count: Count
    after: tuple[Count, ...]
    state: CallState
    confirmed: Count = 0
    attempts: Count = 0
    error: str | None = None
    note: str | None = None
    started: str | None = None
    ended: str | None = None


class Unconfirmed(NamedTuple):
    """A row of the plan that was not confirmed. `actual` is its released version in the newest read."""

    device_id: DeviceId
    flow_id: FlowId
    expected: Version | None
    actual: Version | None
    call: Count
    moved_by_other: bool
    device_name: str | None = None
    flow_name: str | None = None


class Moved(NamedTuple):
    """A row outside the plan whose released version changed during the run. `call` may have caused it."""

    device_id: DeviceId
    flow_id: FlowId
    before: Version | None
    after: Version | None
    call: int | None = None
    device_name: str | None = None
    flow_name: str | None = None


class Operations(NamedTuple):
    """The number of changes by operation."""

    add: Count
    update: Count
    remove: Count


class Progress(NamedTuple):
    """The number of changes, and how many of them are confirmed."""

    total: Count
    confirmed: Count


@dataclass(frozen=True, slots=True)
class Move:
    """The rows of a flow with the same change."""

    flow_id: FlowId
    flow_name: str | None
    op: Op
    from_version: Version | None
    to_version: Version | None
    count: Count


class Removal(NamedTuple):
    """A row to be removed, and the place in the manifests that says so (`path:line`)."""

    device_id: DeviceId
    device_name: str | None
    flow_id: FlowId
    flow_name: str | None
    from_version: Version | None
    source: str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of carrying out one plan. Rows are sorted by device, then flow; calls by id.

    `review_digest` covers what the plan was guarded with, too.
    `total` and `confirmed` count the changes of the plan; `operations`, `moves` and `removals` describe them.
    Changes of devices that turned out to be deleted count in none of these; each such device is one of `warnings`.
    `stopped_by`: why the run ended early (an expired token, for example). `notes`: what else a reader should know.
    `wait` is None if there was no wait. `withheld` counts the changes that rollouts hold back, which are in none of the
    above (None without rollouts); `rollouts` says where these stand, as of the newest read that judged them.
    """

    application: Application
    kind: Kind
    digest: Digest
    review_digest: Digest
    calls: tuple[CallResult, ...]
    total: int
    confirmed: int
    operations: Operations
    moves: tuple[Move, ...] = ()
    removals: tuple[Removal, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()
    collateral: tuple[Moved, ...] = ()
    moved_meanwhile: tuple[Moved, ...] = ()
    dry_run: bool = False
    interrupted: bool = False
    stopped_by: str | None = None
    warnings: tuple[Warning, ...] = ()
    notes: tuple[str, ...] = ()
    wait: Wait | None = None
    withheld: Count | None = None
    rollouts: tuple[RolloutReport, ...] = ()

    @property
    def rows(self) -> Progress:
        """The number of changes, and how many are confirmed."""
        return Progress(self.total, self.confirmed)

    @property
    def wrote(self) -> bool:
        """Whether any write request was sent."""
        return any(call.attempts for call in self.calls)

    @property
    def is_confirmed(self) -> bool:
        """Whether every call had its whole effect, and nothing beside."""
        confirmed = all(call.state is CallState.CONFIRMED for call in self.calls)
        return confirmed and not self.unconfirmed and not self.collateral

    @property
    def exit_code(self) -> ExitCode:
        """130 if interrupted; 6 if a change is not confirmed or a row outside the plan moved; else 7 or 0.

        7 if a rollout is stopped or stalled.
        """
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if not self.dry_run and not self.is_confirmed:
            return ExitCode.NOT_CONFIRMED
        return ExitCode.ROLLOUT_STOPPED if need_attention(self.rollouts) else ExitCode.DONE


def not_started(plan: Plan, *, without: Container[Row] = ()) -> Result:
    """The result of a plan before anything was sent: every call is `planned`.

    `without`: rows whose changes are left out of all that describes the changes.
    """
    changes = [change for change in plan.sent if change.row not in without] if without else plan.sent
    calls = tuple(
        CallResult(call.id, call.action, call.body, call.count, call.after, CallState.PLANNED) for call in plan.calls
    )
    both = digests([plan])
    operations = Counter(change.op for change in changes)
    return Result(
        application=plan.application,
        kind=plan.kind,
        digest=both.changes,
        review_digest=both.review,
        calls=calls,
        total=len(changes),
        confirmed=0,
        operations=Operations(*(operations[op] for op in Op)),
        moves=moves_of(plan, changes),
        removals=tuple(_removals(plan, changes)),
        notes=plan.notes,
        withheld=plan.withheld if plan.rollouts else None,
        rollouts=plan.rollouts.reports if plan.rollouts else (),
    )


def together(results: Sequence[Result]) -> Result:
    """The result of the steps of one plan, of which there is at least one; their calls are numbered throughout."""
    first, last = results[0], results[-1]
    if first is last:
        return first
    moves: Counter[Move] = Counter()
    for one in results:
        for move in one.moves:
            moves[replace(move, count=0)] += move.count
    return replace(
        last,
        digest=first.digest,
        review_digest=first.review_digest,
        calls=tuple(call for one in results for call in one.calls),
        total=sum(one.total for one in results),
        confirmed=sum(one.confirmed for one in results),
        operations=Operations(*(sum(numbers) for numbers in zip(*(one.operations for one in results), strict=True))),
        moves=tuple(sorted((replace(move, count=number) for move, number in moves.items()), key=_order)),
        removals=tuple(sorted((one for part in results for one in part.removals), key=itemgetter(0, 2))),
        unconfirmed=tuple(sorted((one for part in results for one in part.unconfirmed), key=itemgetter(0, 1))),
        collateral=tuple(sorted((one for part in results for one in part.collateral), key=itemgetter(0, 1))),
        moved_meanwhile=tuple(sorted((one for part in results for one in part.moved_meanwhile), key=itemgetter(0, 1))),
        interrupted=any(one.interrupted for one in results),
        warnings=tuple(dict.fromkeys(warning for one in results for warning in one.warnings)),
        notes=tuple(dict.fromkeys(note for one in results for note in one.notes)),
    )


def moves_of(plan: Plan, changes: Iterable[Change] | None = None) -> tuple[Move, ...]:
    """The changes of a plan, or some of them, grouped by flow, from and to; removals first within a flow."""
    chosen = plan.sent if changes is None else changes
    counts = Counter((one.flow_id, one.op, one.from_version, one.to_version) for one in chosen)
    moves = (Move(key[0], plan.flow_names.get(key[0]), *key[1:], number) for key, number in counts.items())
    return tuple(sorted(moves, key=_order))


def _order(move: Move) -> tuple[str, bool, str, str]:
    return move.flow_id, move.op is not Op.REMOVE, move.from_version or "", move.to_version or ""


def _removals(plan: Plan, changes: Iterable[Change]) -> Iterable[Removal]:
    devices, flows = plan.device_names, plan.flow_names
    for change in changes:
        if change.op is Op.REMOVE:
            (device_id, flow_id), source = change.row, str(change.source)
            yield Removal(device_id, devices.get(device_id), flow_id, flows.get(flow_id), change.from_version, source)


LooseRow = TypeVar("LooseRow", Unconfirmed, Moved)


def named(rows: Iterable[LooseRow], plan: Plan) -> tuple[LooseRow, ...]:
    """Rows in order, with the names from the plan."""
    return tuple(
        row._replace(device_name=plan.device_names.get(row.device_id), flow_name=plan.flow_names.get(row.flow_id))
        for row in sorted(rows, key=lambda row: row[:2])
    )
