"""Progress on stderr: bars on a terminal, occasional lines elsewhere.

Whatever happens to the terminal, nothing here raises: what shows progress must not change what is done. Once drawing
has failed, as on a terminal that was closed, nothing more is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
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
from reconciler.model.result import CallResult, CallState
from reconciler.ports import Clock
from reconciler.render.awaited import awaited_calls, awaited_devices
from reconciler.render.inert import inert, words

QUIET_S = 30.0  # between two lines without a terminal
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
    """One bar per phase, drawn by rich; without a terminal, occasional lines, and none for short phases."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self.clock = clock
        self._console = console
        self._bars: _Bars | None = None
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
            self._bars = None

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit):  # noqa: BLE001 - rich ends the program where its output is a closed pipe
            self._lost, self._bars = True, None

    def phase(self, title: str, total: int, flow_names: Mapping[str, str] | None = None) -> Phase:
        """Add a bar with `total` steps. `flow_names`: how to name the flows of calls."""
        phase = Phase(self, inert(title, limit=60), total, None, flow_names or {})
        with self._harmless():
            if self._bars is None and not self._lost and sys.stderr.isatty():
                text = TextColumn("{task.description}", markup=False)
                terminal = Terminal(stderr=True, no_color=self._console.no_color or None, highlight=False, markup=False)
                columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
                self._bars = self._shown.enter_context(_Bars(*columns, console=terminal, transient=True))
            if self._bars is not None:
                phase.task = self._bars.add_task(phase.title, total=total)
        return phase

    def draw(self, phase: Phase, done: int, suffix: str, awaited: str = "") -> None:
        """Show a phase at `done` steps, and what it waits for."""
        with self._harmless():
            if self._bars is not None and phase.task is not None:
                self._bars.awaited = {**self._bars.awaited, phase.task: awaited}
                self._bars.update(phase.task, completed=done, total=phase.total, description=f"{phase.title}{suffix}")
            elif self.clock.monotonic() - self._last_line >= QUIET_S:
                self._last_line = self.clock.monotonic()
                waiting = f"; {awaited}" if awaited else ""
                self._console.note(f"{phase.title}: {done:,} of {phase.total:,}{suffix}{waiting}")

    def note(self, text: str) -> None:
        """Write a line above the bars."""
        with self._harmless():
            if self._bars is not None:
                self._bars.console.print(inert(text), markup=False, highlight=False, soft_wrap=True)
            else:
                self._console.note(inert(text))


@dataclass(slots=True)
class Phase(Observer):
    """A bar: the observer of an execution, of an export, and of each read of a wait."""

    display: Display
    title: str
    total: int
    task: TaskID | None
    flow_names: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    calls: dict[int, CallResult] = field(default_factory=dict)

    def call(self, call: CallResult) -> None:
        """A call changed its state; errors are shown at once."""
        self.calls[call.id] = call
        self.display.draw(self, self.done, "", awaited_calls(self.calls.values(), self.flow_names))
        if call.state in _REPORTED:
            error = f": {call.error}" if call.error else ""
            self.display.note(f"call #{call.id} ({call.action}) {call.state}{error}")

    def rows(self, confirmed: int, total: int) -> None:
        """This many of all changes are confirmed."""
        self.done, self.total = confirmed, total
        self.display.draw(self, confirmed, "", awaited_calls(self.calls.values(), self.flow_names))

    def note(self, text: str) -> None:
        """Show a message."""
        self.display.note(text)

    def waiting(self, wait: Wait) -> None:
        """Show the progress of a wait."""
        if wait.verdicts is None:
            return
        rows = wait.verdicts.rows
        others = (Verdict.PENDING, Verdict.OFFLINE, Verdict.FAILED, Verdict.DRIFT, Verdict.DEVICE_DELETED)
        counts = ", ".join(f"{rows[verdict]:,} {words(verdict)}" for verdict in others if rows[verdict])
        self.total = sum(rows.values())
        self.display.draw(self, rows[Verdict.CONVERGED], f" ({counts})" if counts else "", awaited_devices(wait))
