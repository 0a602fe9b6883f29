"""The evidence of one read: each device's log, condensed.

A fleet has few distinct lines in few combinations, so devices share both. What a log has of its own are its dates,
which become an array of numbers, and the names of bundles, which are compiled for each device: they matter only within
one log, so their order in it stands for them. Nothing is shared beyond a number of kinds that no healthy fleet has:
from there on, remembering more of them would cost memory and find no second of a kind.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from reconciler.api.wire import RELEASED
from reconciler.model.log import UNDATED, in_order, placed, rank, unix_time
from reconciler.model.state import NO_EVIDENCE, NOTHING, Entry, Evidence, FlowId, LogLine, Quiet

_MOST_KINDS: Final = 10_000
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_SLACK_S: Final = 5 * 24 * 3600
_QUIET: Final = LogLine(change="quiet")

BUNDLE: Final = 0  # where among the values of an entry the bundle is, if it is a number
Bundles: TypeAlias = dict[object, int | None]  # the names of the bundles of a log -> numbers that stand for them
Log: TypeAlias = Sequence[Mapping[str, Any]]
Values: TypeAlias = tuple[object, ...]

K = TypeVar("K")
V = TypeVar("V")


class _Kinds(dict[K, V]):
    """What was made of each kind of value, up to a number of kinds."""

    def keep(self, key: K, made: V) -> V:
        """Keep what was made if there is room, and return it."""
        if len(self) < _MOST_KINDS:
            self[key] = made
        return made


class Condenser:
    """Condenses the logs of one read.

    `fields`: which fields of `LogLine` the kind's entries have. `values_of`: what the entries of a log have there; it
    raises AttributeError for an entry that is not an object, and TypeError for a bundle that is not text.
    """

    def __init__(self, fields: Sequence[str], values_of: Callable[[Log, Bundles], list[Values]]) -> None:
        self._fields = fields
        self._values_of = values_of
        self._texts = _Kinds[str, str]()
        self._lines = _Kinds[tuple[FlowId | None, Values], LogLine]()
        self._ranks = _Kinds[Values, tuple[int, str]]()
        self._logs = _Kinds[tuple[FlowId | Values | None, ...], tuple[LogLine, ...]]()
        self._merged = _Kinds[tuple[LogLine, ...], tuple[LogLine, ...]]()

    def evidence(
        self, log: Log, updated: Any, flow_id: FlowId | None = None, reported_bundle: str | None = None
    ) -> Evidence:
        """The evidence of a record: its log, and when it was last updated. `flow_id`: the flow that the log is about.

        This is a hot path: it runs once per record. It ends soonest for a log of a known kind, with readable dates.
        """
        if not log:
            return Evidence(updated=_instant(updated))
        bundles: Bundles = {None: None}
        dated, epoch = datetime.fromisoformat, _EPOCH
        try:
            values = self._values_of(log, bundles)
            instants = [(dated(item["date"]) - epoch).total_seconds() for item in log]
            at = UNDATED if updated is None else (dated(updated) - epoch).total_seconds()
            ordered = sorted(instants)
            if len({*ordered}) < len(ordered):  # lines of one instant are in the order of their ranks
                ranked = [*zip(instants, map(self._ranks.__getitem__, values), range(len(values)), strict=True)]
                values = [values[place] for _, _, place in sorted(ranked)]
            elif ordered == instants[::-1]:
                values.reverse()
            elif ordered != instants:
                values = [values[place] for place in sorted(range(len(values)), key=instants.__getitem__)]
            lines = self._logs[flow_id, *values]
        except (KeyError, TypeError, ValueError):
            lines = None
        if lines is None:
            return self._carefully(log, _instant(updated), flow_id, reported_bundle)
        number = bundles.get(reported_bundle)
        return Evidence(lines, array("d", ordered), at, None if number is None else str(number))

    def _carefully(self, log: Log, updated: float, flow_id: FlowId | None, reported_bundle: str | None) -> Evidence:
        """The evidence of any log; values of an unexpected type, such as a list where a text should be, are dropped."""
        bundles: Bundles = {None: None}
        try:
            values = self._values_of(log, bundles)
            lines = [self._line(flow_id, one) for one in values]
        except TypeError:
            log = [{key: value for key, value in item.items() if isinstance(value, str)} for item in log]
            bundles = {None: None}
            values = self._values_of(log, bundles)
            lines = [self._line(flow_id, one) for one in values]
        instants = [placed(_instant(item.get("date")), line) for item, line in zip(log, lines, strict=True)]
        order = sorted(range(len(lines)), key=lambda place: (instants[place], rank(lines[place])))
        shared = self._shared(tuple([lines[place] for place in order]))
        self._logs.keep((flow_id, *[values[place] for place in order]), shared)
        number = bundles.get(reported_bundle)
        ordered = array("d", [instants[place] for place in order])
        return Evidence(shared, ordered, updated, None if number is None else str(number))

    def _line(self, flow_id: FlowId | None, values: Values) -> LogLine:
        """The line of an entry. A value of an unexpected type is dropped."""
        line = self._lines.get((flow_id, values))
        if line is None:
            said = {
                field: self._texts.get(value) or self._texts.keep(value, value)
                for field, value in zip(self._fields, values, strict=True)
                if isinstance(value, str)
            }
            if self._fields[BUNDLE] == "bundle" and type(number := values[BUNDLE]) is int:
                said["bundle"] = str(number)
            own = said.pop("flow_id", flow_id)
            line = self._lines.keep((flow_id, values), LogLine(flow_id=own and own.lower(), **said))
            self._ranks.keep(values, rank(line))
        return line

    def _shared(self, lines: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
        return self._merged.get(lines) or self._merged.keep(lines, lines)

    def together(self, parts: Sequence[Evidence]) -> Evidence:
        """The evidence of several records of one device."""
        if len(parts) == 1:
            return parts[0]
        dated = in_order(pair for part in parts for pair in zip(part.instants, part.lines, strict=True))
        lines = self._shared(tuple(line for _, line in dated))
        return Evidence(lines, array("d", [at for at, _ in dated]), max(part.updated for part in parts))


class QuietLogs:
    """Tells which logs of embedded devices are quiet, see `Quiet`; with one evidence for all that are.

    This is the way of most devices in most reads, so dates are compared as text. A date that names a zone or the week
    of a year may be days later than its text, so they have to be older by some days more.
    """

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet
        self._sent_at: float | None = None
        self._limit = ""  # no text is smaller
        self._evidence = NO_EVIDENCE
        self._known = _Kinds[int, _Known]()  # by the `id` of the flows

    def at(self, now: float | None) -> None:
        """Look at logs by the server's time of a read."""
        if now == self._sent_at:
            return
        self._sent_at, self._limit = now, ""
        before = 0.0 if now is None else now - self._quiet.for_s
        if before > _SLACK_S:
            self._limit = datetime.fromtimestamp(before - _SLACK_S, UTC).isoformat()
            self._evidence = Evidence((_QUIET,), array("d", [before]))

    def evidence(self, log: Log, updated: Any, flows: Mapping[FlowId, Entry]) -> Evidence | None:
        """The evidence of a connected device that runs what is released to it if its log is quiet, else None.

        `flows`: devices with equal ones share them.
        """
        try:
            newest = max([line["date"] for line in log])
            if newest >= self._limit or (updated or "") >= self._limit:
                return None
            said = [(line.get("updateFlowId"), line.get(RELEASED), line.get("error")) for line in log]
            datetime.fromisoformat(newest)  # if that can be read, others that cannot alter nothing
            known = self._known.get(id(flows)) or self._known.keep(id(flows), _Known(flows, set()))
            is_quiet = known.harmless.issuperset(said) or self._are_harmless(said, known)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        return self._evidence if is_quiet else None

    def _are_harmless(self, said: Sequence[_Said], known: _Known) -> bool:
        """Whether lines tell no error, and no version that a rollout may move a flow to. If so, that is noted."""
        for flow_id, version, error in said:
            now = NOTHING if flow_id is None else known.flows.get(flow_id.lower(), NOTHING)
            if error is not None or (version in self._quiet.versions and version != now.released):
                return False
        if len(known.harmless) < _MOST_KINDS:
            known.harmless.update(said)
        return True


_Said: TypeAlias = tuple[Any, Any, Any]  # the flow, the version and the error of a line


class _Known(NamedTuple):
    """The flows of devices, and what lines of their logs have said that is harmless."""

    flows: Mapping[FlowId, Entry]
    harmless: set[_Said]


def _instant(date: object) -> float:
    return unix_time(date) if isinstance(date, str) else UNDATED
