"""One call of a run: the phases of its life, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from reconciler.errors import ApiError
from reconciler.model.changes import Change
from reconciler.model.requests import Release, RemoveRow, Request
from reconciler.model.result import CallResult, CallState


class CallPhase(Enum):
    """How far a call has come. These are all the transitions there are; `TRANSITIONS` is the same table as data.

    PLANNED    -> SENT       it is sent
    PLANNED    -> CONFIRMED  its rows turn out to be in place already
    PLANNED    -> FAILED     its rows turn out to have been moved by others
    PLANNED    -> SKIPPED    a call that it waits for came to nothing, or the run stops
    SENT       -> ACCEPTED   the API says 201
    SENT       -> IN_DOUBT   no answer, or none that tells whether it had an effect
    SENT       -> PLANNED    it had no effect for sure (429, no connection), and is tried again after a pause
    SENT       -> FAILED     it was refused, or all tries are used up
    ACCEPTED   -> CONFIRMED  a read shows every row in place
    ACCEPTED   -> OVERDUE    reads have not shown that in time: what waits for it is skipped
    ACCEPTED   -> FAILED     rows have not moved by the end of the run, or others moved them
    OVERDUE    -> CONFIRMED  a later read shows every row in place
    OVERDUE    -> FAILED     as for ACCEPTED
    IN_DOUBT   -> CONFIRMED  a read shows every row in place
    IN_DOUBT   -> FAILED     a read shows that others moved rows
    IN_DOUBT   -> RETRY      reads show that rows have not moved, and sending it again does no harm
    IN_DOUBT   -> GIVEN_UP   it must not be sent again (a wildcard), no try is left, the run stops, or reads fail
    RETRY      -> RESENT     it is sent again, for the rows that have not moved
    RETRY      -> CONFIRMED  its rows turn out to be in place
    RETRY      -> FAILED     its rows turn out to have been moved by others
    RETRY      -> GIVEN_UP   the run stops
    RESENT     -> ACCEPTED   the API says 201
    RESENT     -> IN_DOUBT   again no answer that tells
    RESENT     -> RETRY      this try had no effect for sure (429, no connection)
    RESENT     -> GIVEN_UP   this try was refused, or all are used up; an earlier one may have had an effect
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

# What can happen to a call, as the phases that it leads to. Which of them depends on where the call is.
DUE = (_P.PLANNED, _P.RETRY)
IN_FLIGHT = (_P.SENT, _P.RESENT)
REFUSED = (_P.FAILED, _P.GIVEN_UP)
ABANDONED = (_P.SKIPPED, _P.OVERDUE, _P.GIVEN_UP)  # what waits for it is skipped; a late read may still confirm it

_UNSETTLED = frozenset({_P.ACCEPTED, _P.OVERDUE, _P.IN_DOUBT, _P.RETRY, _P.GIVEN_UP})
_PUBLISHED = {
    _P.RESENT: CallState.SENT,
    _P.OVERDUE: CallState.ACCEPTED,
    _P.IN_DOUBT: CallState.UNKNOWN,
    _P.RETRY: CallState.UNKNOWN,
    _P.GIVEN_UP: CallState.UNKNOWN,
}


def published(phase: CallPhase) -> CallState:
    """The state that a result shows for a phase."""
    return _PUBLISHED.get(phase) or CallState[phase.name]


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way.

    Attributes:
        changes: what it answers for. Each change of the plan is answered for by exactly one call.
        count: how many changes it was planned to carry, those included that others finish for it.
        open: those of `changes` not yet seen at their `to`, nor known to be moved by another.
        moved: those of `changes` that another moved elsewhere; never sent over it.
        failure: how the last request of unknown outcome ended.
        acted_at: monotonic time at which the last request ended that may have had an effect; None if none may have.
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
        """Go on to another phase.

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
        """Whether it is still to be sent."""
        return self.phase in DUE

    @property
    def is_in_doubt(self) -> bool:
        """Whether reads have yet to tell what became of it."""
        return self.phase is CallPhase.IN_DOUBT

    @property
    def is_unsettled(self) -> bool:
        """Whether it may have had an effect that reads have yet to show."""
        return self.phase in _UNSETTLED and bool(self.open)

    @property
    def state(self) -> CallState:
        """What a result shows."""
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
