"""Every page: what it says first, what it leaves out, and that whatever text is in it stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.model.changes import Op
from reconciler.model.digest import digests
from reconciler.model.health import FlowStatus, Standing, StatusReport, Verdict, Verdicts, VersionStatus
from reconciler.model.plan import Plan
from reconciler.model.result import Result
from reconciler.model.state import Application, Kind
from reconciler.render.html.bars import bar
from reconciler.render.html.engine import LONGEST, moment
from reconciler.render.html.plan import plan_html
from reconciler.render.html.result import result_html
from reconciler.render.html.room import MOST_ROWS, Room
from reconciler.render.html.status import sentence, status_html
from reconciler.render.inert import inert
from tests.builders import hex_id
from tests.hostile import NAMES
from tests.support import hostile_documents as hostile

VOID = {"meta", "input", "rect", "circle", "br"}
PLAIN = "pump-7"


class Page(HTMLParser):
    """A page as a browser reads it: its elements, their attributes and the text in them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.pins: list[str] = []  # YAML, in which names are quoted
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "text":  # the label of a bar, where there is room for one
            self.tags.append(tag)
            self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            self.raw[self._open[-1]] = self.raw.get(self._open[-1], "") + data
        elif self._open[-1:] == ["pre"]:
            self.pins.append(data)
        elif data.strip() and self._open[-1:] != ["text"]:
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def status_page(text: str) -> str:
    return status_html([hostile.status(text)], commit=text)


def plan_page(text: str) -> str:
    made = hostile.plan(text)
    return plan_html([made], digests([made]), commit=text)


def result_page(text: str) -> str:
    return result_html([hostile.result(text)], exit_code=6, problems=[hostile.problem(text)], commit=text)


PAGES: dict[str, Callable[[str], str]] = {"status": status_page, "plan": plan_page, "result": result_page}


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_wherever_it_stands(make: Callable[[str], str], name: str) -> None:
    page, plain = Page(make(name)), Page(make(PLAIN))
    assert page.tags == plain.tags, "a name made or unmade an element"
    assert [one[:2] for one in page.attributes] == [one[:2] for one in plain.attributes]
    assert page.raw == plain.raw
    shown = " ".join(inert(name, limit=LONGEST).split())
    assert page.text.count(shown) >= plain.text.count(PLAIN), "a name is not shown, or not inert"


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
@settings(max_examples=15)
@given(name=st.text(min_size=1, max_size=300))
def test_any_text_is_text(make: Callable[[str], str], name: str) -> None:
    html = make(name)
    assert html.encode()
    assert Counter(Page(html).tags) == Counter(Page(make(PLAIN)).tags)


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_a_page_asks_nobody_and_runs_its_own_script_alone(make: Callable[[str], str]) -> None:
    page = Page(make("https://evil.example/x.js"))
    metas = [value or "" for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    policy = dict(part.strip().split(" ", 1) for part in metas[0].split(";"))
    assert policy.pop("default-src") == "'none'"
    for directive, element in (("style-src", "style"), ("script-src", "script")):
        hashed = base64.b64encode(hashlib.sha256(page.raw[element].encode()).digest()).decode()
        assert policy.pop(directive) == f"'sha256-{hashed}'"
    assert policy == {"base-uri": "'none'", "form-action": "'none'"}
    for tag, name, value in page.attributes:
        assert name not in ("src", "style", "srcset", "action", "formaction", "data", "xlink:href"), (tag, name)
        assert not name.startswith("on"), (tag, name)
        assert name != "href" or (value or "").startswith("#"), (tag, value)
    assert not {"img", "iframe", "object", "embed", "link", "base", "a:external"} & set(page.tags)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert "@import" not in page.raw["style"]
    assert set(re.findall(r"url\(([^)]*)\)", page.raw["style"])) == {
        "#hatched", "#dotted", "#crossed", "#striped", "#barred"
    }  # fmt: skip
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval|Function\(|fetch|XMLHttp", page.raw["script"])


def counts(**verdicts: int) -> Counter[Verdict]:
    return Counter({Verdict(name): number for name, number in verdicts.items()})


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (
            counts(converged=2_480, offline=14, failed=6),
            "2,480 of 2,500 devices run what Git says; 14 offline, 6 failed",
        ),
        (counts(converged=2_500), "All 2,500 devices run what Git says"),
        (counts(converged=1), "The only device runs what Git says"),
        (counts(drift=1), "0 of 1 device runs what Git says; 1 drift"),
        (counts(), "No device is managed here"),
        (counts(converged=1, device_deleted=1), "1 of 2 devices run what Git says; 1 device deleted"),
    ],
)
def test_a_status_begins_with_a_sentence(devices: Counter[Verdict], said: str) -> None:
    assert sentence(devices) == said
    report = replace(hostile.status(PLAIN), devices={one: devices[one] for one in Verdict})
    assert Page(status_html([report])).text.split("Skip to the content ")[1].startswith(f"reconciler status {said}")


def test_a_bar_tells_what_is_desired_released_and_reported_by_form() -> None:
    line = VersionStatus("v2", in_sync=90, pending=1, offline=2, failed=3, drift=4, unmanaged=5)
    made = bar(FlowStatus(hex_id(1), "telemetry", (line,)))
    assert [one.form for one in made.segments] == ["in_sync", "pending", "offline", "failed", "drift", "unmanaged"]
    assert made.described == "v2: 90 in sync, 1 pending, 2 offline, 3 failed, 4 drift, 5 unmanaged"
    assert made.segments[1].says == "v2: 1 pending"
    ends = [float(one.x[:-1]) + float(one.width[:-1]) for one in made.segments]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(100, abs=0.1)
    style = Page(status_page(PLAIN)).raw["style"]
    forms = dict(re.findall(r"\.(in_sync|pending|offline|failed|drift)\b[^{}]*\{fill:([^;}]+)", style))
    assert len(set(forms.values())) == 5, "told apart by colour alone"
    assert all(forms[one].startswith("url(#") for one in ("pending", "offline", "failed"))


@given(
    st.lists(
        st.builds(VersionStatus, st.one_of(st.none(), st.text(min_size=1)), *[st.integers(0, 10**6)] * 7), max_size=9
    )
)
def test_a_bar_is_as_long_as_its_flow(lines: list[VersionStatus]) -> None:
    made = bar(FlowStatus(hex_id(1), None, tuple(lines)))
    assert len(made.segments) == sum(bool(getattr(line, one)) for line in lines for one in Standing)
    for one in made.segments:
        assert float(one.width[:-1]) > 0
        assert 0 <= float(one.x[:-1]) < 100


def test_the_versions_say_what_runs_where_it_is_not_what_was_released() -> None:
    page = Page(status_html([hostile.large_status(3)])).text
    assert "v2 3 3 – 3" in page, "desired, released, reported, failed"
    assert "v1 – – 3 –" in page


def test_what_matters_stands_first_in_a_plan() -> None:
    made = hostile.plan(PLAIN)
    text = Page(plan_html([made], digests([made]), read="2026-03-02T09:00:00.000Z")).text
    parts = [
        "Plan: 1 to add, 2 to change, 2 to destroy.", "pump-7 pump-7:7 pump-7", "Refused.", "Partial plan",
        "Now: 3 changes; withheld: 2",
        "The rollout of group pump-70 is stopped. pump-7.", "Read 2026-03-02 09:00:00 UTC",
        "Removals 2 rows", "Leaves management 2 rows of 12 that pump-7 manages; nothing is sent for them",
        "Changes by flow", "Calls 5", "Rollouts 2", "Withheld 2 changes", "Refused 2 reasons", "Way out:", "Warnings 2",
        "Pending 2 rows", "Unmanaged 1 row", "Unmanaged, device deleted 1 row",
        "Device by device 3 changes",
    ]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "− remove pump-7" not in text
    assert "nothing → to pump-7 1 device replace #1" in text
    assert "pump-7 → to nothing 1 device remove #2" in text


def test_a_plan_without_changes_says_so() -> None:
    made = hostile.plan(PLAIN)._replace(changes=(), calls=(), refused=(), partial=False, pending=(), rollouts=None)
    made = made._replace(summary=made.summary._replace(add=0, update=0, remove=0, calls=0))
    text = Page(plan_html([made], digests([made]))).text
    assert "reconciler plan No changes" in text
    assert "Nothing changes here: 9 rows are in sync." in text


def test_a_result_says_what_was_not_confirmed_and_why() -> None:
    text = Page(result_html([hostile.result(PLAIN)], exit_code=ExitCode.NOT_CONFIRMED)).text
    assert "Apply incomplete: 3 of 7 changes confirmed." in text
    assert "moved by somebody else; pump-7; pump-7" in text, "the error and the note of the call"
    assert "5.5 s" in text
    assert "no end" in text
    assert "Waiting for the devices 61 s, time is up" in text
    parts = ["What was asked", "Not confirmed 1 row", "Collateral", "Moved meanwhile", "Calls 9", "Warnings", "Waiting"]
    assert (places := [text.index(part) for part in parts]) == sorted(places)


def test_a_wait_without_rollouts_has_nothing_that_is_withheld() -> None:
    made = hostile.result(PLAIN)
    assert made.wait is not None
    counts: dict[Verdict, int] = {one: 4 for one in Verdict if one is not Verdict.WITHHELD}
    wait = replace(made.wait, verdicts=Verdicts(counts, counts, ()))
    text = Page(result_html([replace(made, wait=wait, withheld=None, rollouts=())], exit_code=6)).text
    assert "4 rows failed" in text
    assert "withheld" not in text


@pytest.mark.parametrize("code", [*ExitCode, 99])
def test_a_result_tells_every_way_to_end(code: int) -> None:
    text = Page(result_html([hostile.result(PLAIN)], exit_code=code)).text
    assert f"exit code {int(code)}" in text


def test_the_time_line_keeps_its_bounds() -> None:
    html = result_html([hostile.result(PLAIN)], exit_code=6)
    spans = re.findall(r'<rect class="form \w+" x="([\d.]+)%" width="([\d.]+)%" y="1"', html)
    assert len(spans) == 8, "one call has no readable time"
    assert all(0 <= float(x) <= 97 and 0 < float(x) + float(width) <= 100.01 for x, width in spans)


def test_times_are_utc_and_what_is_none_stays_as_it_is() -> None:
    assert moment("2026-03-02T10:00:00.5+01:00") == ("2026-03-02T09:00:00Z", "2026-03-02 09:00:00 UTC")
    assert moment("2026-03-02T09:00:00") == ("2026-03-02T09:00:00Z", "2026-03-02 09:00:00 UTC")
    for text in ("yesterday", "", "0001-01-01T00:00:00+23:59", "<b>"):
        assert moment(text) == (None, text)


def test_a_fleet_of_100000_devices_that_all_lag_fits_into_5_mb_and_says_what_it_leaves_out() -> None:
    html = status_html([hostile.large_status(100_000)])
    assert len(html.encode()) < 5_000_000
    text = Page(html).text
    assert "0 of 100,000 devices run what Git says; 100,000 failed" in text
    listed = text.count("flash write failed at")
    assert 1_900 < listed <= MOST_ROWS
    assert (
        f"{100_000 - listed:,} more rows of 100,000 are not listed on this page: reconciler status --format json"
        in text
    )
    assert f"It lists up to {MOST_ROWS:,} rows" in text


def test_hostile_names_do_not_make_a_page_larger() -> None:
    rows = tuple(hostile.laggard("\U000e0001&" * 127, Verdict.FAILED) for _ in range(5_000))
    html = status_html([replace(hostile.status(PLAIN), laggards=rows)])
    assert len(html.encode()) < 5_000_000
    assert "more rows</b> of 5,000" in html


def test_a_plan_of_many_changes_has_room_for_refusals_and_removals_first() -> None:
    made = hostile.plan(PLAIN)
    gone = made.changes[2]
    changes = [gone._replace(device_id=hex_id(at)) for at in range(1_500)] + [
        made.changes[0]._replace(device_id=hex_id(at + 1_500)) for at in range(1_500)
    ]
    made = made._replace(changes=tuple(changes), summary=made.summary._replace(add=0, update=1_500, remove=1_500))
    made = made._replace(rollouts=None)
    text = Page(plan_html([made], digests([made]))).text
    assert "more removals" not in text
    assert re.search(r"1,\d\d\d more changes of 1,500 are not listed on this page", text)
    assert "1,500 devices" in text


def test_room_is_taken_in_order() -> None:
    room = Room(rows=3, size=10_000)
    assert room.all(["a", "b"]) == (["a", "b"], 2)
    assert room.all(["c", "d"]) == (["c"], 2)
    assert room.all(["e"]).left == 1
    assert Room(rows=9, size=1_000).all(["x" * 500, "y" * 500]).rows == ["x" * 500]


def test_several_applications_share_a_page() -> None:
    one, two = hostile.status("one"), hostile.status("two")
    two = replace(two, application=Application(hex_id(6), None), kind=Kind.EDGE)
    page = Page(status_html([one, two]))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert f"Application {hex_id(6)} , edge" in page.text


def test_nothing_at_all_is_a_page() -> None:
    empty: StatusReport = replace(
        hostile.status(PLAIN), flows=(), laggards=(), log=(), devices_named={}, deleted_devices=(),
        devices=dict.fromkeys(Verdict, 0), rollouts=None,
    )  # fmt: skip
    assert "No device is managed here" in Page(status_html([empty])).text
    result: Result = replace(hostile.result(PLAIN), calls=(), moves=(), total=0, confirmed=0, wait=None, withheld=None)
    assert "Nothing had to change." in Page(result_html([result], exit_code=0)).text


def test_a_plan_from_a_later_version_is_shown() -> None:
    made: Plan = hostile.plan(PLAIN)
    later = replace(made.calls[0], request=type("Later", (), {"action": "recall"})(), rows=())
    text = Page(plan_html([made._replace(calls=(later,))], digests([made]))).text
    assert "recall" in text
    assert made.changes[0].op is Op.UPDATE
    assert "no call" in text
