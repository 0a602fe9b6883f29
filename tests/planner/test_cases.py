"""The readable cases, and what must hold of every one of them besides what it says."""

from __future__ import annotations

import json

import pytest

from reconciler.documents.plan import plan_document
from reconciler.documents.saved_plan import read_plans
from reconciler.model.state import Kind
from reconciler.planner.diff import compare
from tests.planner.model import astray
from tests.support.cases import Case, load, shown, told

CASES = load()


def test_there_are_many() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestCase:
    def test_says_what_comes_out(self, case: Case) -> None:
        expected = case.expected
        assert told(case.plan(), expected) == expected

    def test_shows_what_the_case_shows(self, case: Case) -> None:
        texts = shown(case.plan(), verbose="verbose" in case.data)
        assert texts == {key: case.data[key] for key in texts}, "see tests/planner/rewrite_cases.py"

    def test_is_safe_under_every_reading(self, case: Case) -> None:
        plan, live = case.plan(), case.world.live
        versions = {version for _, _, entry in live.rows() for version in entry if version is not None}
        wanted = {change.row: change.to_version for change in plan.changes}
        assert not list(astray(live, wanted, [(call.request, frozenset(call.after)) for call in plan.calls], versions))

    def test_counts_add_up(self, case: Case) -> None:
        plan = case.plan()
        summary = plan.summary
        assert summary.add + summary.update + summary.remove == len(plan.changes)
        assert summary.pending == len(plan.pending) <= summary.keep
        assert summary.unmanaged == len(plan.unmanaged)
        assert summary.calls == len(plan.calls)
        if not plan.partial:
            whole = compare(case.world.desired, case.world.live)
            assert len(plan.changes) + summary.keep == whole.rows

    def test_is_planned_alike_for_the_other_kind(self, case: Case) -> None:
        """What may come up for one kind only is in the records: planning never looks at the kind."""
        own = case.plan()
        for kind in Kind:
            plan = case.plan(kind)
            assert plan.kind is kind
            assert [one.guard for one in plan.refused] == [one.guard for one in own.refused]
            assert plan._replace(kind=own.kind, refused=own.refused) == own  # what a refusal says names the kind

    def test_survives_being_saved(self, case: Case) -> None:
        saved = json.loads(json.dumps(plan_document([case.plan()], "plan")))
        assert plan_document(read_plans(saved), "plan") == saved

    def test_has_a_reason_for_doing_nothing(self, case: Case) -> None:
        assert ("why" in case.data) == (case.data["calls"] == [])
