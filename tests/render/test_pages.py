"""Every Markdown document: its size, what it keeps when it is cut, and that names in it are nothing but text."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.documents.json import dump
from reconciler.documents.plan import plan_document
from reconciler.documents.result import result_document
from reconciler.errors import ExitCode, Problem
from reconciler.model.changes import Change, Op, PendingRow, UnmanagedRow
from reconciler.model.digest import digest
from reconciler.model.health import FlowStatus, Laggard, Standing, StatusReport, Verdict, VersionStatus
from reconciler.model.plan import Guard, Guards, Plan, PlannedCall, Refusal, Summary, Warning
from reconciler.model.requests import Release
from reconciler.model.result import Result, not_started
from reconciler.model.rules import Difference, Limits
from reconciler.model.state import Application, ChangedBy, Kind, Place
from reconciler.render.differences import differences_markdown, differences_text
from reconciler.render.inert import inert
from reconciler.render.markdown import plan_markdown
from reconciler.render.page import SMALLEST, Page, Rank, code
from reconciler.render.result import result_markdown, result_text
from reconciler.render.status import status_markdown
from reconciler.render.text import plan_text
from tests.builders import hex_id
from tests.hostile import BITBUCKET, NAMES, cells, check_page

LIMITS = st.one_of(st.integers(SMALLEST, 3_000), st.integers(SMALLEST, 70_000))
COMMIT = "c0de" * 10
DETAILS = "\n<details><summary>"

names = st.one_of(st.sampled_from(NAMES), st.text(max_size=300), st.just("pump"))
versions = st.one_of(st.none(), names)
quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def make(
    moves: list[tuple[str, str | None, str | None]],
    *,
    name: str | None = "plant",
    device_name: str = "pump",
    refused: tuple[str, ...] = (),
    warned: tuple[str, ...] = (),
    pending: int = 0,
    number: int = 5,
) -> Plan:
    """A plan of one change for each (flow name, from, to); device and flow ids count up."""
    flow_ids = {flow: hex_id(at, "f") for at, flow in enumerate(dict.fromkeys(flow for flow, _, _ in moves))}
    place = Place(f"manifests/{device_name}.yaml", 1)
    changes = tuple(
        Change(hex_id(at), flow_ids[flow], old, new, old, place) for at, (flow, old, new) in enumerate(moves)
    )
    ops = [change.op for change in changes]
    request = Release(hex_id(0, "f"), "v", (hex_id(0),))
    rows = [PendingRow(hex_id(at), hex_id(0, "f"), "v", device_name, False, device_name) for at in range(pending)]
    return Plan(
        application=Application(hex_id(number), name),
        kind=Kind.EMBEDDED,
        manifests=(),
        partial=False,
        summary=Summary(
            ops.count(Op.ADD), ops.count(Op.UPDATE), ops.count(Op.REMOVE), 0, pending, pending, len(changes), 1
        ),
        changes=changes,
        calls=(PlannedCall(0, request, tuple(change.row for change in changes), reason=device_name),),
        pending=tuple(rows),
        unmanaged=tuple(UnmanagedRow(hex_id(at), hex_id(0, "f"), device_name, None) for at in range(pending)),
        warnings=tuple(Warning(text, place) for text in warned),
        guards=Guards(Limits(), (), 0, 0, None, empty=False, allow_removals=0, allow_empty=False, strict=False),
        refused=tuple(Refusal(Guard.REMOVALS, text, text) for text in refused),
        device_names={change.device_id: device_name for change in changes},
        flow_names={flow_id: flow for flow, flow_id in flow_ids.items()},
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any mixture of the few kinds of change of a fleet, each for up to 300 devices, names of any kind."""
    kinds = draw(st.lists(st.tuples(names, versions, versions), max_size=6))
    listed = [kind for kind in kinds if kind[1] != kind[2] for _ in range(draw(st.integers(1, 120)))]
    return make(
        listed,
        name=draw(versions),
        device_name=draw(names) or "x",
        refused=tuple(draw(st.lists(names, max_size=4))),
        warned=tuple(draw(st.lists(names, max_size=40))),
        pending=draw(st.integers(0, 50)),
    )


def several(most: int) -> st.SearchStrategy[list[Plan]]:
    """Plans of one run, each of an application of its own."""

    def numbered(made: list[Plan]) -> list[Plan]:
        applications = [Application(hex_id(at), plan.application.name) for at, plan in enumerate(made)]
        return [plan._replace(application=one) for plan, one in zip(made, applications, strict=True)]

    return st.lists(plans(), min_size=1, max_size=most).map(numbered)


def left_out(text: str, noun: str) -> int:
    """How many of something the page says that it does not show."""
    found = re.search(rf"size limit: .*?([\d,]+)(?: of ([\d,]+))? {noun}[;.]", text)
    if not found:
        return 0
    return int(found[1].replace(",", ""))


def removals_shown(text: str) -> int:
    return len(re.findall(r"^- .* to nothing \(`", text, re.MULTILINE))


@quick
@given(several(4), LIMITS)
def test_a_plan_keeps_every_limit_and_hides_no_removal(made: list[Plan], limit: int) -> None:
    text = plan_markdown(made, digest(made), commit=COMMIT, max_bytes=limit)
    check_page(text, limit)
    first, _, second = text.split("\n")[:3]
    assert first.startswith(("**Plan: ", "**No changes."))
    assert second == f"Digest: `{digest(made)}`, commit `{COMMIT}`"
    removed = sum(change.op is Op.REMOVE for plan in made for change in plan.changes)
    shown = removals_shown(text.partition(DETAILS)[0])
    assert shown + left_out(text, "removals") == removed
    if "Left out" in text:
        assert text.rstrip("\n").endswith(
            "Run `reconciler plan`, or see the plan that the job saved, for the whole of it."
        )


def unsent(plan: Plan) -> Result:
    return not_started(plan)


@quick
@given(several(3), LIMITS, st.sampled_from(sorted(set(ExitCode) - {ExitCode.CHANGES})), names)
def test_a_result_keeps_every_limit_and_hides_no_removal(
    made: list[Plan], limit: int, exit_code: ExitCode, message: str
) -> None:
    data = [replace(unsent(plan), notes=(message,) * 30) for plan in made]
    problems = [Problem(message, hint=message)] * 30 if exit_code else []
    text = result_markdown(data, exit_code=exit_code, problems=problems, commit=COMMIT, max_bytes=limit)
    check_page(text, limit)
    assert text.startswith("**")
    removed = sum(change.op is Op.REMOVE for plan in made for change in plan.changes)
    assert removals_shown(text) + left_out(text, "removals") == removed
    assert ("the result file of the job" in text) == ("Left out" in text)


@quick
@given(st.lists(st.tuples(names, versions, names, names), max_size=30), st.integers(1, 30), LIMITS)
def test_a_status_keeps_every_limit(rows: list[tuple[str, str | None, str, str]], times: int, limit: int) -> None:
    flows = tuple(
        FlowStatus(hex_id(at, "f"), flow, (VersionStatus(version, *(at for _ in Standing)),))
        for at, (flow, version, _, _) in enumerate(rows)
    )
    laggards = tuple(
        Laggard(
            hex_id(at), hex_id(at, "f"), Verdict.FAILED, version, version, None, False, error, True, error, error,
            error, ChangedBy(error, error), device, flow,
        )
        for at, (flow, version, device, error) in enumerate(rows * times)
    )  # fmt: skip
    counts = dict.fromkeys(Standing, 0) | {Standing.FAILED: len(laggards)}
    report = StatusReport(Application(hex_id(5), "x"), Kind.EMBEDDED, flows, counts, {}, laggards)
    text = status_markdown([report], commit=COMMIT, max_bytes=limit)
    check_page(text, limit)
    assert text.startswith("**Rows: ")
    assert f"Commit `{COMMIT}`." in text
    shown = len(re.findall("^- `.*: failed, ", text, re.MULTILINE))
    assert shown + left_out(text, "rows") == len(laggards)


@quick
@given(
    st.lists(st.tuples(st.sampled_from(["version", "priority", "limits"]), names, versions, versions), max_size=300),
    names,
    LIMITS,
)
def test_a_diff_keeps_every_limit_and_hides_no_removal(
    rows: list[tuple[str, str, str | None, str | None]], revision: str, limit: int
) -> None:
    place = Place(f"manifests/{revision}.yaml", 3)
    found = [
        Difference(hex_id(1), Kind.EMBEDDED, what, name, None if what == "limits" else name, old, new, place)
        for what, name, old, new in rows
    ]
    text = differences_markdown(found, revision, revision, max_bytes=limit)
    check_page(text, limit)
    gone = sum(one.what == "version" and one.after in (None, "absent") for one in found)
    section = text.partition("No longer declared")[2].partition(DETAILS)[0]
    shown = len(re.findall("^- ", section.partition("###")[0], re.MULTILINE))
    assert shown + left_out(text, "removals") == gone


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_plain_text_in_its_cell(name: str) -> None:
    made = make([(name, name, f"{name}2"), (name, name, None)], name=name, device_name=name, refused=(name,))
    shown = [inert(text, limit=300).replace("`", "\\x60").replace("|", "\\x7c") for text in (name, f"{name}2")]
    expected = [text if not text.strip() else re.sub(r"^ (.*) $", r"\1", text) for text in shown]
    pages: list[Callable[[], str]] = [
        lambda: plan_markdown([make([(name, name, f"{name}2")])], "sha256:0"),
        lambda: result_markdown([unsent(make([(name, name, f"{name}2")]))], exit_code=ExitCode.DONE),
        lambda: differences_markdown(
            [Difference(hex_id(1), Kind.EDGE, "version", name, name, name, f"{name}2", Place(name, 1))], name, name
        ),
    ]
    for page in pages:
        text = page()
        check_page(text, 65_000)
        assert [cells(text, column) for column in (0, 2, 3)] == [[expected[0]], [expected[0]], [expected[1]]]
    check_page(plan_markdown([made], "sha256:0"), 65_000)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_plain_text_in_a_terminal_and_in_a_log_and_whole_in_json(name: str) -> None:
    made = make(
        [(name, name, f"{name}2"), (name, name, None)],
        name=name,
        device_name=name,
        refused=(name,),
        warned=(name,),
        pending=2,
    )
    done = replace(unsent(made), notes=(name,), stopped_by=name)
    changed = Difference(hex_id(1), Kind.EDGE, "version", name, name, name, f"{name}2", Place(name, 1))
    for text in (
        plan_text([made], "sha256:0", verbose=2),
        result_text([done], code=ExitCode.NOT_CONFIRMED, problems=[Problem(name, hint=name)]),
        differences_text([changed, changed._replace(what="limits", flow=None)], verbose=True),
        plan_markdown([made], "sha256:0"),
        result_markdown([done], exit_code=ExitCode.NOT_CONFIRMED, problems=[Problem(name, hint=name)]),
        differences_markdown([changed], name, name),
    ):
        for line in text.split("\n"):
            assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
            assert not re.match(r"\s*::", line)
            assert not re.search(r"##(\[|vso\[)", line, re.IGNORECASE)
    for data in (plan_document([made], "plan"), result_document([done], "apply", code=ExitCode.NOT_CONFIRMED)):
        assert json.loads(dump(data)) == data


def fleet(updates: int, removed: int) -> Plan:
    moved = [(f"Füllstand-{at % 3}", "v1.2.3", f"v1.2.{4 + at % 2}") for at in range(updates)]
    return make([*moved, *[("Wächter-泵", "v1", None)] * removed], device_name="Pumpe-Süd-泵-🚰", pending=500)


def test_a_hundred_thousand_changes_with_every_removal() -> None:
    made = fleet(99_700, 300)
    text = plan_markdown([made], digest([made]))
    check_page(text, 65_000)
    assert text.startswith("**Plan: 0 to add, 99700 to change, 300 to destroy.**")
    assert removals_shown(text) == 300
    assert left_out(text, "removals") == 0
    assert "| `Füllstand-0` | change | `v1.2.3` | `v1.2.4` | 16,617 |" in text
    assert left_out(text, "changes") > 90_000


def test_a_hundred_thousand_removals_are_counted_with_a_pointer() -> None:
    made = fleet(0, 100_000)
    for limit in (SMALLEST, 65_000):
        text = plan_markdown([made], digest([made]), max_bytes=limit)
        check_page(text, limit)
        assert "100000 to destroy" in text
        assert removals_shown(text) + left_out(text, "removals") == 100_000
        assert text.endswith("Run `reconciler plan`, or see the plan that the job saved, for the whole of it.\n")
    assert removals_shown(text) > 400  # the room is used
    assert "| `Wächter-泵` | **destroy** | `v1` | nothing | 100,000 |" in text


def test_a_long_table_and_many_refusals_leave_room_for_the_removals() -> None:
    many = [(f"flow-{at}", "v1", "v2") for at in range(3_000)]
    made = make([*many, *[("watchdog", "v1", None)] * 100], refused=("no " * 200,) * 100)
    text = plan_markdown([made], digest([made]))
    check_page(text, 65_000)
    assert removals_shown(text) == 100
    assert left_out(text, "refusals") < 100
    assert left_out(text, "kinds of change") < 3_001


def test_what_is_left_out_of_hundreds_of_applications_is_told_in_whole() -> None:
    made = [
        make([("a", "v1", "v2"), ("b", "v1", None)], number=at, warned=("w",), pending=1, refused=("r",))
        for at in range(400)
    ]
    text = plan_markdown(made, digest(made), max_bytes=SMALLEST)
    check_page(text, SMALLEST)
    for noun in ("refusals", "kinds of change", "removals", "warnings", "calls", "changes", "pending rows"):
        assert left_out(text, noun) or noun in text, noun
    assert left_out(text, "removals") + removals_shown(text) == 400


def test_without_html_the_folded_parts_are_open_under_their_titles() -> None:
    made = make([("telemetry", "v1", "v2")] * 3)
    html = BITBUCKET.render(plan_markdown([made], digest([made])))
    assert "&lt;summary&gt;3 device changes&lt;/summary&gt;" in html
    assert html.count("<li>") == 4  # a call and three changes
    assert "<pre>" not in html


def test_the_closing_words_have_their_room() -> None:
    page = Page(SMALLEST, elsewhere="x" * 75)
    nouns = ("refusals", "kinds of change", "removals", "warnings", "calls", "changes", "pending rows")
    for noun in nouns:
        page.section(noun, range(9_999_999), lambda at: "z" * 600 if at else "y", rank=Rank.VITAL)
    page.section("unmanaged rows", range(9_999_999), lambda _: "y")  # fills what is left
    assert SMALLEST - 50 < len(page.text().encode()) <= SMALLEST


def test_a_code_span_is_never_empty() -> None:
    assert code("") == "` `"
