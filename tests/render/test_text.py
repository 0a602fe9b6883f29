"""The text of a plan beyond what the plan cases show: width, totals, colour, hostile names, many of everything."""

from __future__ import annotations

import re
from dataclasses import replace

import click
import pytest

from reconciler.model.changes import Changes
from reconciler.model.digest import digest
from reconciler.model.plan import Guard, Plan, Refusal, Warning
from reconciler.model.rules import Limits
from reconciler.model.state import Application, Kind, Live, LogEntry, Place
from reconciler.model.world import Options, World
from reconciler.planner.planner import make_plan
from reconciler.render.inert import WIDTH, fitting, wrapped
from reconciler.render.summary import ranges
from reconciler.render.text import plan_text
from tests.builders import APPLICATION, PLACE, desired, live, read
from tests.support.cases import Case, load

NAMES = {"a": "hull-pump-0001", "b": "hull-pump-0002", "c": "hull-pump-0003", "d": "hull-pump-0004"}
NO_LIMITS = Limits(removals_count=None, removals_percent=None)


def plan(wanted: str, seen: Live, *, chunk: int = 1000, warnings: tuple[Warning, ...] = (), **names: str) -> Plan:
    world = World(
        APPLICATION, Kind.EMBEDDED, desired(wanted), read(seen), warnings=warnings, device_names={**NAMES, **names}
    )
    return make_plan(world, limits=NO_LIMITS, manifests=(), options=Options(chunk=chunk))


def text(*plans: Plan, verbose: int = 0) -> str:
    return plan_text(plans, digest(plans), verbose=verbose)


@pytest.mark.parametrize("case", load(), ids=lambda case: case.name)
def test_every_case_fits_in_60_columns_and_ends_as_tools_expect(case: Case) -> None:
    plans = [case.plan()]
    for verbose in (0, 1, 2):
        *lines, last_but_one, last = text(*plans, verbose=verbose).splitlines()
        assert [line for line in lines if len(line) > WIDTH and not re.search("[0-9a-f]{24}", line)] == []
        assert last_but_one == f"Digest: {digest(plans)}"
        summary, guards = plans[0].summary, ", ".join(sorted({one.guard for one in plans[0].refused}))
        assert last == (
            f"Plan: {summary.add} to add, {summary.update} to change, {summary.remove} to destroy."
            if plans[0].changes
            else f"No changes. Refused ({guards})."
            if guards
            else "No changes."
        )


@pytest.mark.parametrize("case", load(), ids=lambda case: case.name)
def test_colour_adds_nothing_but_colour(case: Case) -> None:
    plans = [case.plan()]
    coloured = plan_text(plans, digest(plans), verbose=1, color=True)
    assert "\x1b[1m" in coloured
    assert click.unstyle(coloured) == text(*plans, verbose=1)


def test_colours() -> None:
    one = plan("a/f=1 b/f=2 c/f=absent", live("b/f=1 c/f=1"), warnings=(Warning("odd"),))
    shown = plan_text([one], digest([one]), color=True)
    for styled in (
        "\x1b[32m+ 1\x1b[0m",
        "\x1b[33m~ 1 -> 2\x1b[0m",
        "\x1b[31m- 1\x1b[0m",
        "\x1b[33mWarning:\x1b[0m odd",
    ):
        assert styled in shown
    none = plan("b/f=1", live("b/f=1"))
    assert plan_text([none], digest([none]), color=True).endswith("\x1b[32mNo changes.\x1b[0m\n")


def test_refused_rows_go_by_name() -> None:
    seen = live("a/f=1 b/f=1 c/f=1 d/f=1")
    made = plan("a/f=2 b/f=2 c/f=2 d/f=2", seen, a="pump-3", b="pump-1", c="", d="pump-2")
    rows = tuple((one, "f") for one in "abcd")
    shown = text(made._replace(refused=(Refusal(Guard.CHANGES, "too many", "see", rows),)))
    assert [line.split()[0] for line in shown.splitlines() if line.endswith(" / f")] == [
        "c", "pump-1", "pump-2", "pump-3",
    ]  # fmt: skip


def test_the_totals_are_those_of_all_plans() -> None:
    one = plan("a/f=1 b/f=2 c/f=absent", live("b/f=1 c/f=1"))
    other = plan("d/f=9", live("d/f=1 x/f=1"))._replace(application=Application("6" * 24, None))
    shown = text(one, other)
    assert shown.splitlines()[0] == f"Application plant ({'5' * 24}), embedded"
    assert f"\nApplication {'6' * 24}, embedded\n" in shown
    assert shown.endswith(f"\n\nDigest: {digest([one, other])}\nPlan: 1 to add, 2 to change, 1 to destroy.\n")
    idle = plan("a/f=1", live("a/f=1"))
    assert text(one, idle).endswith("\nPlan: 1 to add, 1 to change, 1 to destroy.\n")
    assert text(idle, idle).endswith("\nNo changes.\n")


def test_groups_go_by_the_name_of_the_flow_then_what_happens_then_version() -> None:
    wanted = "a/f1=2 b/f1=3 c/f1=absent d/f1=1 a/f2=1"
    world = World(
        APPLICATION,
        Kind.EMBEDDED,
        desired(wanted),
        read(live("a/f1=1 b/f1=1 c/f1=1 a/f2=2")),
        flow_names={"f1": "z", "f2": "a"},
    )
    shown = text(make_plan(world, limits=NO_LIMITS, manifests=(), options=Options()))
    heads = [line.strip() for line in shown.splitlines() if re.match(r"  flow|    [-+~]", line)]
    assert heads == [
        "flow a (f2)",
        "~ 2 -> 1  1 device, release #1",
        "flow z (f1)",
        "+ 1  1 device, release #4",
        "~ 1 -> 2  1 device, release #0",
        "~ 1 -> 3  1 device, release #2",
        "- 1  1 device, remove #3",
    ]


def test_examples_are_as_many_as_fit() -> None:
    wanted = "a/f=2 b/f=2 c/f=2 d/f=2"
    shown = text(plan(wanted, live(wanted.replace("=2", "=1"))))
    assert "\n        hull-pump-0001, hull-pump-0002 and 2 more\n" in shown
    assert fitting(["a", "b", "c"], total=3, indent=2) == "  a, b, c"
    assert fitting(["a", "b", "c"], total=1004, indent=2) == "  a, b, c and 1,001 more"
    assert fitting(["x" * 80, "b"], total=2, indent=0) == "x" * 80 + " and 1 more"
    assert fitting(["x" * 28, "y" * 28], total=2, indent=2) == "  " + "x" * 28 + ", " + "y" * 28
    assert fitting(["x" * 28, "y" * 28], total=2, indent=3) == "   " + "x" * 28 + " and 1 more"


def test_pending_and_unmanaged_rows_are_counted_with_examples() -> None:
    rows = "a/f=2>1 b/f=2>- c/f=2>1 d/f=2>1 x/f=7 w/f=7>6 v/f=7 u/f=->7"
    seen = live(rows, offline=["a"])
    error = LogEntry("2026-01-01T00:00:00Z", "current", "f", error="no space left " * 30)
    seen = Live({**seen.devices, "c": seen.devices["c"]._replace(logs=(error,))})
    shown = text(plan("a/f=2 b/f=2 c/f=2 d/f=2", seen))
    assert "  In sync: 4 rows\n  Pending: 4 of these, released but not yet reported\n" in shown
    assert "    hull-pump-0001 / f: 2, reports 1, offline\n    hull-pump-0002 / f: 2, reports nothing\n" in shown
    assert "    hull-pump-0003 / f: 2, reports 1, last error: no space\n      left no space" in shown
    assert "…\n    and 1 more\n  Unmanaged: 4 rows, left alone\n" in shown
    assert "    u / f: nothing, reports 7\n    v / f: 7\n    w / f: 7, reports 6\n    and 1 more\n" in shown
    everything = text(plan("a/f=2 b/f=2 c/f=2 d/f=2", seen), verbose=1)
    assert "and 1 more" not in everything
    assert "    hull-pump-0004 / f: 2, reports 1\n" in everything


def test_kinds_of_rows_are_told_not_every_row() -> None:
    """What `-v` adds does not grow with the fleet, except for removals."""
    ids = [f"d{number:04}" for number in range(1_600)]
    quiet = [f"q{number:04}" for number in range(1_600)]
    wanted = " ".join([*(f"{one}/f=2" for one in ids), *(f"{one}/f=2" for one in quiet)])
    seen = live(
        " ".join([*(f"{one}/f=1 {one}/g=5" for one in ids), *(f"{one}/f=2>1" for one in quiet)]), offline=quiet[:900]
    )
    made = plan(wanted, seen)
    shown = text(made, verbose=1)
    assert len(shown.splitlines()) < 40
    assert "        manifests/test.yaml:1  1,600 devices\n            d0000, d0001, d0002 and 1,597 more\n" in shown
    assert "    900 devices / f: 2, reports 1, offline\n        q0000, q0001, q0002 and 897 more\n" in shown
    assert "    700 devices / f: 2, reports 1\n        q0900, q0901, q0902 and 697 more\n" in shown
    assert "    1,600 devices / g: 5\n        d0000, d0001, d0002 and 1,597 more\n" in shown
    one_by_one = Changes.of(
        change._replace(source=Place("m.yaml", 10 + number)) for number, change in enumerate(made.changes)
    )
    shown = text(made._replace(changes=one_by_one), verbose=1)
    assert "        m.yaml:10-1609  1,600 devices\n            d0000, d0001, d0002 and 1,597 more\n" in shown


def test_removals_are_told_one_by_one_also_where_kinds_are_explained() -> None:
    made = plan("a/f=absent b/f=absent c/f=absent", live("a/f=1 b/f=1 c/f=1 x/f=3"))
    shown = text(made, verbose=1)
    assert len(re.findall(r"^        - \S+-pump-000[123] \(\w\)  manifests/test.yaml:1$", shown, re.MULTILINE)) == 3


def test_a_line_break_makes_no_command_of_a_ci_system() -> None:
    hostile = "x" * 50 + " ::error::pwned ##[error]too"
    one = plan("a/f=1", live(), warnings=(Warning(hostile, PLACE, hint=hostile),))
    shown = text(one)
    assert not re.search(r"^\s*::", shown, re.MULTILINE)
    assert "##[" not in shown
    assert [line for line in wrapped(hostile, indent=0) if line.strip().startswith("::")] == []


def test_a_warning_has_its_place_and_its_hint() -> None:
    shown = text(plan("a/f=1", live(), warnings=(Warning("odd"), Warning("odder", PLACE, "mend it"))))
    assert "  Warning: odd\n  Warning: manifests/test.yaml:1: odder (mend it)\n" in shown


def test_call_numbers() -> None:
    assert ranges([4]) == "#4"
    assert ranges([0, 1, 2, 7]) == "#0-2, #7"
    assert ranges([0, 2, 4]) == "#0, #2, #4"
    assert ranges([0, 2, 4, 6, 7, 9]) == "#0, #2, #4 and 3 more"


def test_a_saved_plan_has_no_reasons_to_show() -> None:
    one = plan("a/f=2 b/f=2", live("a/f=1 b/f=1"))
    one = one._replace(calls=tuple(replace(call, reason="") for call in one.calls))
    assert "    #0 release f -> 2, 2 changes\n" in text(one, verbose=1)
    assert "2 devices\n" in text(one._replace(calls=()), verbose=1)
