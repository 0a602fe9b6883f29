"""Progress on stderr: bars on a terminal, occasional lines elsewhere.

Whatever happens to the terminal, nothing here raises: what shows progress must not change what is done. Once drawing
has failed, as on a terminal that was closed, nothing more is drawn.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from reconciler.cli.console import Console
from reconciler.executor import Observer
from reconciler.model.health import Verdict, Wait
from reconciler.model.log import UNDATED, unix_time
from reconciler.model.result import CallResult, CallState
from reconciler.model.rollout import RolloutReport, RolloutState, Withheld
from reconciler.ports import Clock
from reconciler.render.awaited import awaited_calls, awaited_devices
from reconciler.render.inert import inert, words

QUIET_S = 30.0  # between two lines without a terminal
_IN_PROGRESS = (
    Verdict.PENDING,
    Verdict.OFFLINE,
    Verdict.FAILED,
    Verdict.DRIFT,
    Verdict.DEVICE_DELETED,
    Verdict.WITHHELD,
)
_REPORTED = {CallState.FAILED, CallState.SKIPPED, CallState.UNKNOWN}


class _Bars(Progress):
    """The bars, and under them what each of them waits for."""

    awaited: Mapping[TaskID, str] = MappingProxyType({})

    def get_renderables(self) -> Iterable[RenderableType]:
        """The table of bars, then a line for each that waits."""
        yield from super().get_renderables()
        for line in filter(None, self.awaited.values()):
            yield Text(line, no_wrap=True, overflow="ellipsis")


class Display:
    """One bar per phase, drawn by rich; without a terminal, occasional lines, and none for short phases.

    `bars`: what is drawn, while it is.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self.clock = clock
        self._console = console
        self.bars: _Bars | None = None
        self._last_line = clock.monotonic()
        self._shown = ExitStack()
        self._lost = False

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Draw inside the block, starting with the first phase."""
        try:
            yield self
        finally:
            with self._harmless():
                self._shown.close()
            self.bars = None

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit):  # noqa: BLE001 - rich ends the program where its output is a closed pipe
            self._lost, self.bars = True, None

    def phase(self, title: str, total: int, flow_names: Mapping[str, str] | None = None) -> Phase:
        """Add a bar with `total` steps. `flow_names`: how to name the flows of calls."""
        phase = Phase(self, inert(title, limit=60), total, None, flow_names=flow_names or {})
        with self._harmless():
            if self.bars is None and not self._lost and sys.stderr.isatty():
                text = TextColumn("{task.description}", markup=False)
                terminal = Terminal(stderr=True, no_color=self._console.no_color or None, highlight=False, markup=False)
                columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
                self.bars = self._shown.enter_context(_Bars(*columns, console=terminal, transient=True))
            if self.bars is not None:
                phase.task = self.bars.add_task(phase.title, total=total)
        return phase

    def draw(self, phase: Phase, done: int, suffix: str, awaited: Callable[[], str] = str) -> None:
        """Show a phase at `done` steps, and what it waits for, which is asked only when it is shown."""
        with self._harmless():
            if self.bars is not None and phase.task is not None:
                self.bars.awaited = {**self.bars.awaited, phase.task: awaited()}
                self.bars.update(phase.task, completed=done, total=phase.total, description=f"{phase.title}{suffix}")
            elif self.clock.monotonic() - self._last_line >= QUIET_S:
                self._last_line = self.clock.monotonic()
                waiting = f"; {text}" if (text := awaited()) else ""
                self._console.note(f"{phase.title}: {done:,} of {phase.total:,}{suffix}{waiting}")

    def drop(self, phase: Phase) -> None:
        """Show a phase no more."""
        with self._harmless():
            if self.bars is not None and phase.task is not None:
                self.bars.remove_task(phase.task)

    def note(self, text: str) -> None:
        """Write a line above the bars."""
        with self._harmless():
            if self.bars is not None:
                self.bars.console.print(inert(text), markup=False, highlight=False, soft_wrap=True)
            else:
                self._console.note(inert(text))


@dataclass(slots=True)
class Phase(Observer):
    """A bar: the observer of an execution, of an export, and of each read of a wait."""

    display: Display
    title: str
    total: int
    task: TaskID | None
    held: str = ""
    soaks: dict[str, Phase] = field(default_factory=dict)
    flow_names: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    calls: dict[int, CallResult] = field(default_factory=dict)

    def call(self, call: CallResult) -> None:
        """A call changed its state; errors are shown at once."""
        self.calls[call.id] = call
        self.display.draw(self, self.done, "", self._awaited_calls)
        if call.state in _REPORTED:
            error = f": {call.error}" if call.error else ""
            self.display.note(f"call #{call.id} ({call.action}) {call.state}{error}")

    def rows(self, confirmed: int, total: int) -> None:
        """This many of all changes are confirmed."""
        self.done, self.total = confirmed, total
        self.display.draw(self, confirmed, "", self._awaited_calls)

    def _awaited_calls(self) -> str:
        return awaited_calls(self.calls.values(), self.flow_names)

    def note(self, text: str) -> None:
        """Show a message."""
        self.display.note(text)

    def waiting(self, wait: Wait) -> None:
        """Show the progress of a wait."""
        if wait.verdicts is None:
            return
        rows = wait.verdicts.rows
        others = (verdict for verdict in _IN_PROGRESS if rows.get(verdict))
        counts = ", ".join(f"{rows[verdict]:,} {words(verdict)}" for verdict in others)
        self.total = sum(rows.values())
        suffix = "; ".join(filter(None, [counts, "" if self.soaks else self.held]))
        suffix = f" ({suffix})" if suffix else ""
        self.display.draw(self, rows[Verdict.CONVERGED], suffix, lambda: awaited_devices(wait))

    def rolling(self, reports: Sequence[RolloutReport], now: float | None) -> None:
        """What rollouts wait for, and for how long: a bar for each on a terminal, else told with the next line."""
        held = [one for one in reports if one.state in (RolloutState.HELD, RolloutState.STALLED)]
        self.held = "; ".join(inert(f"{one.group}: {one.reason}{_left(one, now)}", limit=200) for one in held)
        if self.task is None:
            return
        for report in held:
            wave = next((one for one in report.waves if one.open and not one.passed), report.waves[-1])
            soak = self.soaks.get(report.group)
            if soak is None:
                soak = self.soaks[report.group] = self.display.phase(f"  {report.group}", 0)
            soak.total = wave.evidence
            self.display.draw(soak, wave.proven, f", wave {wave.wave}: {_what(report)}{_left(report, now)}")
        for group in set(self.soaks) - {one.group for one in held}:
            self.display.drop(self.soaks.pop(group))


_WHAT = {Withheld.WINDOW: "window", Withheld.UP_TO: "not approved", Withheld.BUDGET: "no room in the budget"}


def _what(report: RolloutReport) -> str:
    return _WHAT.get(report.held_by, "proving") if report.held_by else "proving"


def _left(report: RolloutReport, now: float | None) -> str:
    """`, 1 h 20 min left`, if that is known."""
    at = unix_time(report.earliest)
    if now is None or at == UNDATED:
        return ""
    minutes = math.ceil(max(0.0, at - now) / 60)
    days, (hours, rest) = minutes // 1440, divmod(minutes % 1440, 60)
    parts = [f"{days:,} d" if days else "", f"{hours} h" if hours else "", "" if days or not rest else f"{rest} min"]
    return f", {' '.join(filter(None, parts)) or '0 min'} left"
