"""Renders where rollouts stand as sections of a Markdown page: a table of waves, the failing devices, pins to paste."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.documents.attention import ways_on
from reconciler.model.rollout import FailingDevice, RolloutReport, WaveReport
from reconciler.model.state import FlowId
from reconciler.model.text import counted
from reconciler.render.inert import date_text, words
from reconciler.render.page import Page, Rank, code
from reconciler.render.rollouts.pins import pinned
from reconciler.render.rollouts.text import COLUMNS, WHY, earliest, limit, progress, why


def rollout_sections(
    page: Page, above: str, reports: Iterable[RolloutReport], flow_names: Mapping[FlowId, str]
) -> None:
    """The table of each rollout, its failing devices, and the pins, under the heading of its application."""
    head = f"| wave | who | {' | '.join(map(words, COLUMNS))} | |\n| ---: | --- |{' ---: |' * len(COLUMNS)} --- |\n"
    for report in reports:
        named = f"Rollout of group {code(report.group)} by {code(report.policy)}{limit(report)}"
        opening = f"{above}\n{named}: **{words(report.state)}**"
        if report.reason:
            opening += f", {code(why(report))}"
        opening += earliest(report)
        opening += f". Ways on: {ways}." if (ways := ways_on(report)) else ""
        rows = [(wave, report) for wave in report.waves]
        page.section("waves", rows, _wave_row, opening=f"{opening}\n\n{head}", rank=Rank.LEADS)
        page.section(
            "failing devices",
            report.failing_by_name,
            _failing_row,
            opening=f"\nFailing: {counted(len(report.failing), 'device')}\n\n",
            rank=Rank.LEADS,
        )
        if report.needs_attention:
            pins = list(enumerate(pinned(report, report.failing_by_name, flow_names)))
            page.section("pins", pins, _pin_row, summary="Pins that leave the failing devices out")


def _wave_row(row: tuple[WaveReport, RolloutReport]) -> str:
    wave, report = row
    counts = [f"{number:,}" if (number := getattr(wave, one)) else "" for one in COLUMNS]
    who = "the rest" if wave.select is None else code(wave.select.removeprefix("all, "))
    return f"| {' | '.join([str(wave.wave), who, *counts, progress(wave, report).removeprefix(', ')])} |"


def _failing_row(device: FailingDevice) -> str:
    name = f"{code(device.device_name)} `{device.device_id}`" if device.device_name else f"`{device.device_id}`"
    since = f", released {date_text(device.since)}" if device.since else ""
    error = f", error {code(device.error, limit=200)}" if device.error else ""
    return f"- {name}: {words(device.verdict)}{since}{error}"


def _pin_row(pin: tuple[int, str]) -> str:
    """Indented text is shown as it is; the first row begins the list."""
    number, text = pin
    return "\n".join(f"    {line}" for line in [*(["pins:"] if number == 0 else []), *text.splitlines()])


def withheld_line(reasons: Mapping[str, int], going_back: int) -> str:
    """How many changes of a plan are withheld, by reason, and how many are sent because they go back."""
    parts = [f"{number:,} withheld: {WHY.get(reason, words(reason))}" for reason, number in reasons.items()]
    parts += [f"{going_back:,} go back, which no wave holds"] if going_back else []
    return f"\n{'; '.join(parts)}.\n" if parts else ""
