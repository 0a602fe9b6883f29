"""What a lock says of a plan, for each thing that can be true of a version."""

from __future__ import annotations

import itertools
import json

import pytest

from reconciler.documents.plan import plan_document
from reconciler.documents.saved_plan import read_plans
from reconciler.model.digest import digests
from reconciler.model.plan import Guard, Plan
from reconciler.model.rules import Limits, Source
from reconciler.model.state import Place
from reconciler.model.versions import Content, Lock, Locked
from reconciler.model.world import Options
from reconciler.planner import guards, locks
from reconciler.planner.planner import make_plan
from tests.builders import desired, live, world

PATH = "live/reconciler.lock"
SOURCES = (Source("live/prod.yaml", "0" * 64),)
STATES = {  # of the row a/f, whose version is 2
    "moved": world(desired("a/f=2 b/f=1"), live("a/f=1 b/f=1")),
    "pending": world(desired("a/f=2 b/f=1"), live("a/f=2>1 b/f=1")),
    "kept": world(desired("a/f=2 b/f=1"), live("a/f=2 b/f=1")),
    "both": world(desired("a/f=2 b/f=2"), live("a/f=2>1 b/f=1")),
    "removed": world(desired("a/f=absent b/f=1"), live("a/f=2 b/f=1")),
}
A, B = ((device_id, flow_id) for device_id, flow_id, _ in STATES["moved"].desired.rows())
FLOW = A[1]
ANY = Limits(removals_count=None, removals_percent=None)


def content(sha256: str, version: str = "2", created: str = "2026-01-01T00:00:00.000Z") -> Content:
    return Content(FLOW, version, "5" * 24, created, sha256 * 64)


def lock(knowledge: str, *, frozen: bool) -> Lock:
    """A lock that has, or has not, the version 2, and what it is now."""
    locked = () if knowledge == "not locked" else (Locked(content("a"), Place(PATH, 5)),)
    found = {
        "same": (content("a"),),
        "anew": (content("a", created="2026-02-02T00:00:00.000Z"),),
        "other": (content("b"),),
    }.get(knowledge, ())
    return Lock((PATH,), locked, found, frozen=frozen)


def judged(state: str, held: Lock) -> Plan:
    plan = make_plan(STATES[state], limits=ANY, manifests=SOURCES, options=Options())
    plan = plan._replace(guards=plan.guards._replace(lock=held))
    return plan._replace(
        warnings=tuple(locks.warnings(plan)), notes=tuple(locks.notes(plan)), refused=guards.check(plan)
    )


REFUSED = {
    *itertools.product(("moved", "both"), ("other",), (False, True)),
    *itertools.product(("moved", "both", "pending"), ("not locked",), (True,)),
}
WARNED = {("pending", "other", False), ("pending", "other", True)} | {
    *itertools.product(("moved", "both", "pending"), ("not locked",), (False,))
}
NOTED = {*itertools.product(STATES, ("anew",), (False, True))}


@pytest.mark.parametrize(
    ("state", "knowledge", "frozen"),
    [*itertools.product(STATES, ("same", "anew", "other", "not locked", "not read"), (False, True))],
)
def test_what_is_refused_warned_of_and_noted(state: str, knowledge: str, frozen: bool) -> None:
    plan = judged(state, lock(knowledge, frozen=frozen))
    case = (state, knowledge, frozen)
    assert [one.guard for one in plan.refused] == [Guard.CONTENT] * (case in REFUSED)
    assert len(plan.warnings) == (case in WARNED)
    assert len(plan.notes) == (case in NOTED)
    for refusal in plan.refused:
        assert refusal.place is not None
        assert (refusal.place.path, bool(refusal.hint)) == (PATH, True)
        assert refusal.rows == ({"moved": A, "pending": A, "both": B}[state],)
    assert bool([*locks.missing(plan)]) == (knowledge == "not read" and state in ("moved", "pending", "both"))


@pytest.mark.parametrize("knowledge", ["same", "other", "not locked", "not read"])
def test_a_saved_plan_holds_the_lock_as_it_was(knowledge: str) -> None:
    plan = judged("moved", lock(knowledge, frozen=True))._replace(warnings=(), notes=())
    (again,) = read_plans(json.loads(json.dumps(plan_document([plan], "plan"))))
    assert again.guards == plan.guards
    assert again.refused == plan.refused


def test_without_a_lock_the_document_says_nothing_of_it() -> None:
    plan = make_plan(STATES["moved"], limits=ANY, manifests=SOURCES, options=Options())
    assert "locks" not in plan_document([plan], "plan")


def test_the_review_digest_covers_what_was_locked_and_nothing_that_was_found() -> None:
    one, other = Locked(content("a"), Place(PATH, 5)), Locked(content("b", "3"), Place(PATH, 6))
    plan = judged("moved", Lock((PATH,), (one, other)))
    digest = digests([plan])

    def again(held: Lock | None) -> tuple[bool, bool]:
        now = digests([plan._replace(guards=plan.guards._replace(lock=held))])
        return now.changes == digest.changes, now.review == digest.review

    assert again(Lock(("elsewhere",), (other, one._replace(place=Place(PATH, 9))), (content("c"),), frozen=True)) == (
        True,
        True,
    )
    assert again(Lock((PATH,), (one,))) == (True, False)
    assert again(Lock((PATH,), (Locked(content("c"), one.place), other))) == (True, False)
    assert again(None) == (True, False)


def test_two_locks_that_differ_refuse_whatever_the_version_is() -> None:
    both = (Locked(content("a"), Place("a/reconciler.lock", 5)), Locked(content("b"), Place("b/reconciler.lock", 5)))
    for now in ("a", "b"):
        (refusal,) = judged("moved", Lock(("a", "b"), both, (content(now),))).refused
        assert "make a new plan" in refusal.hint
    assert len(judged("moved", Lock(("a", "b"), both, (content("c"),))).refused) == 2
