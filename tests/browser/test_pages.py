"""The pages in a browser: they ask nobody, run nothing but their script, and can be read by everybody, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.render.html.status import status_html
from reconciler.render.inert import inert
from tests.browser.browser import AXE, Chromium, Tab
from tests.browser.conftest import pages_of
from tests.hostile import NAMES
from tests.support.hostile_documents import large_status

Write = Callable[[str], Path]
NAMED = ["status", "plan", "result"]
DEMO = [*NAMED, "waves", "rollout"]
# Whatever could load, run, embed or lead away.
LIVELY = (
    "img, iframe, object, embed, link, base, video, audio, source, frame, a:not([href='#content']), [style], [srcdoc],"
    " script:not(body > script:last-child), meta[http-equiv=refresh], [onerror], [onload], [onclick], [onfocus]"
)
VIOLATIONS = (
    "window.violations = []; addEventListener('securitypolicyviolation', one => violations.push(one.violatedDirective))"
)
# Filters, where the names are choices, and sorting.
USE = """() => {
    for (const select of document.querySelectorAll("form[data-filters] select")) {
        select.selectedIndex = select.options.length - 1;
        select.dispatchEvent(new Event("input", {bubbles: true}));
    }
    document.querySelectorAll("form[data-filters]").forEach(one => one.reset());
    document.querySelectorAll("th button").forEach(one => one.click());
}"""
STANDING = ("proven", "soaking", "waiting", "offline", "failed", "silent", "to_release")
FINDINGS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
    one => `${one.id}: ${one.nodes.map(node => node.target + " " + node.failureSummary).join("; ")}`)"""


def opened(tab: Tab, path: Path, *, unfold: bool = False) -> Tab:
    """The tab, once it shows the file."""
    tab.page.add_init_script(VIOLATIONS)
    tab.open(path)
    if unfold:
        tab.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    return tab


def quiet(tab: Tab, path: Path) -> None:
    """The page asked for nothing, said nothing, and was kept from nothing."""
    assert tab.asked == [path.as_uri()]
    assert tab.said == []
    assert tab.page.evaluate("window.violations") == []


@pytest.mark.parametrize("name", DEMO)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    chromium: Chromium, demo: Mapping[str, str], file: Write, name: str, width: int, scheme: str
) -> None:
    pages = [(pages_of("pump-7")[name], True)] if name in NAMED else [(demo[name], True)]
    if name in NAMED and width == 1280:  # large pages take long, and the small ones have everything
        pages.append((demo[name], False))
    for html, unfold in pages:
        with chromium.page(width=width, scheme=scheme) as tab:
            opened(tab, file(html), unfold=unfold)
            tab.page.evaluate(AXE.read_text(encoding="utf-8"))
            assert tab.page.evaluate(FINDINGS) == []


@pytest.mark.parametrize("name", NAMED)
def test_hostile_names_are_text(chromium: Chromium, file: Write, name: str) -> None:
    path = file(pages_of(*NAMES)[name])
    with chromium.page(width=390) as tab:
        page = opened(tab, path, unfold=True).page
        assert page.locator(LIVELY).count() == 0
        widths = page.evaluate(
            "[...document.querySelectorAll('table')].map("
            "one => [...new Set([...one.rows].map(row => row.cells.length))])"
        )
        assert widths
        assert all(len(one) == 1 for one in widths), "a name broke out of its cell"
        whole = " ".join(page.evaluate("document.body.textContent").split())
        for text in NAMES:
            assert " ".join(inert(text, limit=40).rstrip("…").split()) in whole
        page.evaluate(USE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "a name widens the page"
        quiet(tab, path)


def test_the_policy_of_the_page_stops_what_would_get_in(
    chromium: Chromium, demo: Mapping[str, str], file: Write
) -> None:
    injected = (
        '<main id="content"><script>window.hit = 1</script><img src="https://evil.example/x" onerror="window.hit = 2">'
    )
    html = demo["status"].replace('<main id="content"', f"{injected}<div", 1)
    assert injected in html
    with chromium.page() as tab:
        page = opened(tab, file(html)).page
        assert page.evaluate("window.hit") is None
        blocked = page.evaluate("window.violations")
        assert {"script-src-elem", "img-src"} <= set(blocked)


def rows(page: Any, column: int = 1) -> list[str]:
    """The first lines of a column of the laggards, of rows in sight."""
    cells = page.locator(f"[data-sortable] tbody tr:not([hidden]) > :nth-child({column})")
    return [text.strip().splitlines()[0].strip() for text in cells.all_inner_texts()]


def test_laggards_are_filtered_by_everything(chromium: Chromium, demo: Mapping[str, str], file: Write) -> None:
    with chromium.page() as tab:
        page = opened(tab, file(demo["status"])).page
        whole = len(rows(page))
        assert page.locator("output").inner_text() == f"{whole} of {whole} listed rows"
        for label, value, column in (("Flow", "telemetry", 2), ("Verdict", "failed", 3), ("Group", "york", 7)):
            page.get_by_label(label, exact=True).select_option(value)
            assert 0 < len(rows(page)) < whole
            assert set(rows(page, column)) == {value}
        assert len(rows(page)) == 6
        page.get_by_label("Find").fill("PUMP-0103")
        assert rows(page) == ["york-pump-0103"]
        assert page.locator("output").inner_text() == f"1 of {whole} listed rows"
        page.get_by_label("Find").fill("no such pump")
        assert rows(page) == []
        page.get_by_role("button", name="Clear").click()
        page.wait_for_function("document.querySelectorAll('[data-sortable] tr[hidden]').length === 0")
        page.get_by_label("Version", exact=True).select_option("v3.1.0")
        assert set(rows(page, 2)) == {"pump-control"}


def test_laggards_are_sorted_by_keyboard(chromium: Chromium, demo: Mapping[str, str], file: Write) -> None:
    with chromium.page() as tab:
        page = opened(tab, file(demo["status"])).page
        head = page.get_by_role("columnheader", name="Device").locator("button")
        head.focus()
        page.keyboard.press("Enter")
        up = rows(page)
        assert up == sorted(up)
        assert page.locator("[aria-sort=ascending]").inner_text().startswith("Device")
        page.keyboard.press("Space")
        assert rows(page) == sorted(up, reverse=True)
        assert page.locator("[aria-sort]").count() == 1


def test_a_keyboard_gets_everywhere(chromium: Chromium, demo: Mapping[str, str], file: Write) -> None:
    with chromium.page() as tab:
        page = opened(tab, file(demo["status"])).page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert page.locator(".skip").bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.closest('.scroll, .filters, th')?.className"))
        assert {"scroll", "filters"} <= reached, "tables that scroll, and the filters"


@pytest.mark.parametrize("name", DEMO)
def test_without_a_script_everything_is_there(
    chromium: Chromium, demo: Mapping[str, str], file: Write, name: str
) -> None:
    path = file(demo[name])
    with chromium.page(script=False) as tab:
        tab.open(path)
        assert tab.page.locator(".filters:visible").count() == 0
        assert tab.page.locator("th button").count() == 0
        assert "2026-03-02 09:0" in tab.page.locator("body").inner_text()
        assert " UTC" in tab.page.locator("time").first.inner_text()
        assert tab.page.locator("tbody tr:visible").count() > 0


def test_times_are_in_the_readers_zone_with_utc_beside(
    chromium: Chromium, demo: Mapping[str, str], file: Write
) -> None:
    for zone, local, beside in (
        ("Europe/Berlin", "2 Mar 2026, 10:00:00 CET", "09:00:00 UTC"),
        ("Pacific/Auckland", "2 Mar 2026, 22:00:00 GMT+13", "09:00:00 UTC"),
        ("America/Los_Angeles", "2 Mar 2026, 01:00:00 GMT-8", "09:00:00 UTC"),
        ("Pacific/Kiritimati", "2 Mar 2026, 23:00:00 GMT+14", "09:00:00 UTC"),
    ):
        with chromium.page(zone=zone) as tab:
            tab.open(file(demo["plan"]))
            time = tab.page.locator("time").first
            assert time.locator(".local").text_content() == local
            assert time.locator(".utc").text_content() == beside


def test_where_the_readers_day_is_another_utc_has_its_own_date(chromium: Chromium, file: Write) -> None:
    html = status_html([large_status(1)], read="2026-03-02T23:30:00.000Z")
    with chromium.page(zone="Europe/Berlin") as tab:
        tab.open(file(html))
        assert tab.page.locator("time").first.locator(".local").text_content() == "3 Mar 2026, 00:30:00 CET"
        assert tab.page.locator("time").first.locator(".utc").text_content() == "2026-03-02 23:30:00 UTC"


@pytest.mark.parametrize("name", DEMO)
def test_a_phone_scrolls_in_one_direction(chromium: Chromium, demo: Mapping[str, str], file: Write, name: str) -> None:
    with chromium.page(width=360) as tab:
        page = opened(tab, file(demo[name]), unfold=True).page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        frames = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
        )
        assert frames == 0, "a table is wider than a phone"


@pytest.mark.parametrize("name", DEMO)
def test_paper_shows_what_a_screen_shows(chromium: Chromium, demo: Mapping[str, str], file: Write, name: str) -> None:
    with chromium.page(scheme="dark") as tab:
        page = opened(tab, file(demo[name]), unfold=True).page
        page.emulate_media(media="print")
        assert page.locator(".filters:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
        wide = (
            "[...document.querySelectorAll('table')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
        )
        page.set_viewport_size({"width": 794, "height": 1123})  # A4
        assert page.evaluate(f"{wide}.length") == 0, "a table is wider than the paper"


def test_forms_are_drawn_not_only_coloured(chromium: Chromium, demo: Mapping[str, str], file: Write) -> None:
    with chromium.page() as tab:
        page = opened(tab, file(demo["status"])).page
        fills = page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('.bar .form')].map("
            "one => [one.classList[1], getComputedStyle(one).fill]))"
        )
        assert {"in_sync", "offline", "failed", "drift", "unmanaged"} <= set(fills)
        assert len(set(fills.values())) == len(fills)
        assert fills["offline"].startswith("url(")
        narrow = (
            "[...document.querySelectorAll('.bar .form')].filter(one => one.getBoundingClientRect().width < 4).length"
        )
        assert page.evaluate(narrow) == 0, "a segment cannot be seen"


def test_the_forms_of_a_rollout_are_drawn_not_only_coloured(
    chromium: Chromium, demo: Mapping[str, str], file: Write
) -> None:
    for name, expected in (("status", set(STANDING)), ("rollout", {"proven", "failed", "to_release"})):
        html = pages_of("pump-7")[name] if name in NAMED else demo[name]
        with chromium.page() as tab:
            fills = opened(tab, file(html)).page.evaluate(
                "Object.fromEntries([...document.querySelectorAll('.waves .form')].map("
                "one => [one.classList[1], getComputedStyle(one).fill]))"
            )
        assert expected <= set(fills)
        assert fills.pop("silent", None) in (None, fills["failed"]), "both fail"
        assert len(set(fills.values())) == len(fills)


def test_pins_can_be_copied_as_they_are(chromium: Chromium, demo: Mapping[str, str], file: Write) -> None:
    """Of what a reader selects, no blank is lost and no line is broken."""
    with chromium.page(width=360) as tab:
        page = opened(tab, file(demo["rollout"]), unfold=True).page
        (pin,) = yaml.safe_load(page.locator("pre").inner_text())["pins"]
    assert pin["reason"] == "failed in the rollout of leeds: out of memory at 0x3f2"
    assert list(pin["flows"].values()) == ["v1.2.3"]


def test_a_page_of_100000_devices_works(chromium: Chromium, file: Write) -> None:
    path = file(status_html([large_status(100_000)]))
    with chromium.page() as tab:
        page = opened(tab, path).page
        assert page.locator("h1").inner_text() == "0 of 100,000 devices run what Git says; 100,000 failed"
        page.get_by_label("Find").fill("pump-000007")
        assert rows(page) == ["pump-000007"]
        quiet(tab, path)
