"""The state machine of a call, and the record of one call during a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from reconciler.errors import ApiError
from reconciler.model.changes import Change
from reconciler.model.requests import Release, RemoveRow, Request
from reconciler.model.result import CallResult, CallState


class CallPhase(Enum):
    """The state of a call. These are all transitions; `TRANSITIONS` is the same table as data.

    PLANNED    -> SENT       it is sent
    PLANNED    -> CONFIRMED  its rows are already in place
    PLANNED    -> FAILED     its rows were moved by others
    PLANNED    -> SKIPPED    a call that it waits for failed or was abandoned, or the run stops
    SENT       -> ACCEPTED   the API returns 201
    SENT       -> IN_DOUBT   no response, or one that does not show whether it took effect
    SENT       -> PLANNED    it certainly had no effect (429, no connection), and is retried after a pause; or it was
                             rejected because of devices that were deleted, and goes again for the others
    SENT       -> FAILED     it was rejected, or its retries are used up
    ACCEPTED   -> CONFIRMED  a read shows every row in place
    ACCEPTED   -> OVERDUE    reads have not shown that in time: calls that wait for it are skipped
    ACCEPTED   -> FAILED     rows have not moved by the end of the run, or others moved them
    OVERDUE    -> CONFIRMED  a later read shows every row in place
    OVERDUE    -> FAILED     as for ACCEPTED
    IN_DOUBT   -> CONFIRMED  a read shows every row in place
    IN_DOUBT   -> FAILED     a read shows that others moved rows
    IN_DOUBT   -> RETRY      reads show that rows have not moved, and resending it is harmless
    IN_DOUBT   -> GIVEN_UP   it must not be resent (a wildcard), no retry is left, the run stops, or reads fail
    RETRY      -> RESENT     it is resent, for the rows that have not moved
    RETRY      -> CONFIRMED  its rows are in place
    RETRY      -> FAILED     its rows were moved by others
    RETRY      -> GIVEN_UP   the run stops
    RESENT     -> ACCEPTED   the API returns 201
    RESENT     -> IN_DOUBT   again no conclusive response
    RESENT     -> RETRY      as for SENT -> PLANNED
    RESENT     -> GIVEN_UP   this try was rejected, or retries are used up; an earlier try may have taken effect
    GIVEN_UP   -> CONFIRMED  a later read shows every row in place
    GIVEN_UP   -> FAILED     rows have not moved by the end of the run, or others moved them
    CONFIRMED  -> FAILED     at the end of the run, others have moved its rows away again
    """

    PLANNED = auto()
    SENT = auto()
    ACCEPTED = auto()
    OVERDUE = auto()
    IN_DOUBT = auto()
    RETRY = auto()
    RESENT = auto()
    GIVEN_UP = auto()
    CONFIRMED = auto()
    FAILED = auto()
    SKIPPED = auto()


_P = CallPhase

TRANSITIONS: Mapping[CallPhase, frozenset[CallPhase]] = {
    _P.PLANNED: frozenset({_P.SENT, _P.CONFIRMED, _P.FAILED, _P.SKIPPED}),
    _P.SENT: frozenset({_P.ACCEPTED, _P.IN_DOUBT, _P.PLANNED, _P.FAILED}),
    _P.ACCEPTED: frozenset({_P.CONFIRMED, _P.OVERDUE, _P.FAILED}),
    _P.OVERDUE: frozenset({_P.CONFIRMED, _P.FAILED}),
    _P.IN_DOUBT: frozenset({_P.CONFIRMED, _P.FAILED, _P.RETRY, _P.GIVEN_UP}),
    _P.RETRY: frozenset({_P.RESENT, _P.CONFIRMED, _P.FAILED, _P.GIVEN_UP}),
    _P.RESENT: frozenset({_P.ACCEPTED, _P.IN_DOUBT, _P.RETRY, _P.GIVEN_UP}),
    _P.GIVEN_UP: frozenset({_P.CONFIRMED, _P.FAILED}),
    _P.CONFIRMED: frozenset({_P.FAILED}),
    _P.FAILED: frozenset(),
    _P.SKIPPED: frozenset(),
}

# Events, as the phases that they may lead to. Which one it is depends on the current phase.
DUE = (_P.PLANNED, _P.RETRY)
IN_FLIGHT = (_P.SENT, _P.RESENT)
REFUSED = (_P.FAILED, _P.GIVEN_UP)
ABANDONED = (_P.SKIPPED, _P.OVERDUE, _P.GIVEN_UP)  # its dependents are skipped; a late read may still confirm it

_UNSETTLED = frozenset({_P.ACCEPTED, _P.OVERDUE, _P.IN_DOUBT, _P.RETRY, _P.GIVEN_UP})
_PUBLISHED = {
    _P.RESENT: CallState.SENT,
    _P.OVERDUE: CallState.ACCEPTED,
    _P.IN_DOUBT: CallState.UNKNOWN,
    _P.RETRY: CallState.UNKNOWN,
    _P.GIVEN_UP: CallState.UNKNOWN,
}


def published(phase: CallPhase) -> CallState:
    """The state shown in results for a phase."""
    return _PUBLISHED.get(phase) or CallState[phase.name]


@dataclass(slots=True, eq=False)
class Call:
    """One call during a run.

    Attributes:
        changes: the changes that it is responsible for. Each change of the plan belongs to exactly one call.
        count: the changes that it was planned to carry, including those that other calls finish for it, but without
            those of devices that were deleted.
        open: those of `changes` neither seen at their `to` yet, nor known to have been moved by others.
        moved: those of `changes` that others moved elsewhere; they are not overwritten.
        failure: the error of the last request of unknown outcome.
        acted_at: monotonic time when the last request that may have taken effect ended; None if there is none.
    """

    id: int
    request: Request
    changes: list[Change]
    after: list[int]
    count: int = 0
    phase: CallPhase = CallPhase.PLANNED
    open: list[Change] = field(default_factory=list)
    moved: list[Change] = field(default_factory=list)
    error: str | None = None
    note: str | None = None
    failure: ApiError | None = None
    attempts: int = 0
    started: str | None = None
    ended: str | None = None
    acted_at: float | None = None

    def __post_init__(self) -> None:
        self.count = len(self.changes)
        self.open = list(self.changes)

    def move(self, phase: CallPhase) -> None:
        """Move to another phase.

        Raises:
            RuntimeError: there is no such transition.
        """
        if phase not in TRANSITIONS[self.phase]:
            raise RuntimeError(f"call {self.id} cannot go from {self.phase.name} to {phase.name}")
        self.phase = phase

    @property
    def is_explicit(self) -> bool:
        """Whether the request names every row that it can reach."""
        return isinstance(self.request, Release | RemoveRow)

    @property
    def is_due(self) -> bool:
        """Whether it has yet to be sent."""
        return self.phase in DUE

    @property
    def is_in_doubt(self) -> bool:
        """Whether its outcome is unknown until reads show it."""
        return self.phase is CallPhase.IN_DOUBT

    @property
    def is_unsettled(self) -> bool:
        """Whether it may have had an effect that reads have not shown yet."""
        return self.phase in _UNSETTLED and bool(self.open)

    @property
    def state(self) -> CallState:
        """The state shown in results."""
        return published(self.phase)

    def snapshot(self) -> CallResult:
        """The call as data."""
        return CallResult(
            id=self.id,
            action=self.request.action,
            body=self.request.body,
            count=self.count,
            after=tuple(self.after),
            state=self.state,
            confirmed=len(self.changes) - len(self.open) - len(self.moved),
            attempts=self.attempts,
            error=self.error,
            note=self.note,
            started=self.started,
            ended=self.ended,
        )
