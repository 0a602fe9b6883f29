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
from operator import is_, itemgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from reconciler.model.log import UNDATED, in_order, placed, rank, unix_time
from reconciler.model.state import Evidence, FlowId, LogLine

_MOST_KINDS: Final = 10_000
_EPOCH: Final = datetime.fromtimestamp(0, UTC)

BUNDLE: Final = 0  # where among the values of an entry the bundle is, if it is a number
Bundles: TypeAlias = dict[object, int | None]  # the names of the bundles of a log -> numbers that stand for them
Log: TypeAlias = Sequence[Mapping[str, Any]]

K = TypeVar("K")
V = TypeVar("V")


class _Kinds(dict[K, V]):
    """What was made of each kind of value, up to a number of kinds."""

    def keep(self, key: K, made: V) -> V:
        """Keep what was made if there is room, and return it."""
        if len(self) < _MOST_KINDS:
            self[key] = made
        return made


class _Line(NamedTuple):
    """A line, and what puts it in order among lines of the same instant."""

    rank: tuple[int, str]
    line: LogLine


class _Lines(_Kinds[tuple[object, ...], _Line]):
    """The values of a log entry in certain fields -> its line. A value of an unexpected type is dropped."""

    def __init__(self, fields: Sequence[str], flow_id: FlowId | None, texts: _Kinds[str, str]) -> None:
        super().__init__()
        self._fields = fields
        self._flow_id = flow_id
        self._texts = texts

    def __missing__(self, values: tuple[object, ...]) -> _Line:
        said = {
            field: self._texts.get(value) or self._texts.keep(value, value)
            for field, value in zip(self._fields, values, strict=True)
            if isinstance(value, str)
        }
        if self._fields[BUNDLE] == "bundle" and type(number := values[BUNDLE]) is int:
            said["bundle"] = str(number)
        flow_id = said.pop("flow_id", self._flow_id)
        line = LogLine(flow_id=flow_id and flow_id.lower(), **said)
        return self.keep(values, _Line(rank(line), line))


class _Ordered(NamedTuple):
    """The lines of a log, in order, with what they were made of."""

    lines: tuple[LogLine, ...]
    made_of: tuple[object, ...]


class Condenser:
    """Condenses the logs of one read.

    `fields`: which fields of `LogLine` the kind's entries have. `values_of`: what the entries of a log have there; it
    raises AttributeError for an entry that is not an object.
    """

    def __init__(self, fields: Sequence[str], values_of: Callable[[Log, Bundles], list[tuple[object, ...]]]) -> None:
        self._fields = fields
        self._values_of = values_of
        self._texts = _Kinds[str, str]()
        self._lines: dict[FlowId | None, _Lines] = {}
        self._logs = _Kinds[tuple[int, ...], _Ordered]()
        self._merged = _Kinds[tuple[int, ...], tuple[LogLine, ...]]()

    def evidence(
        self, log: Log, updated: object, flow_id: FlowId | None = None, reported_bundle: str | None = None
    ) -> Evidence:
        """The evidence of a record: its log, and when it was last updated. `flow_id`: the flow that the log is about.

        This is a hot path: it runs once per record.
        """
        updated_at = unix_time(updated if isinstance(updated, str) else None)
        if not log:
            return Evidence(updated=updated_at)
        lines_of = (self._lines.get(flow_id) or self._kinds(flow_id)).__getitem__
        try:
            bundles: Bundles = {None: None}
            lines = [*map(lines_of, self._values_of(log, bundles))]
        except TypeError:  # a list or an object where a text should be
            log = [{key: value for key, value in item.items() if isinstance(value, str)} for item in log]
            bundles = {None: None}
            lines = [*map(lines_of, self._values_of(log, bundles))]
        number = bundles.get(reported_bundle)
        return self._evidence(lines, _instants(log), updated_at, None if number is None else str(number))

    def _kinds(self, flow_id: FlowId | None) -> _Lines:
        return self._lines.setdefault(flow_id, _Lines(self._fields, flow_id, self._texts))

    def together(self, parts: Sequence[Evidence]) -> Evidence:
        """The evidence of several records of one device."""
        if len(parts) == 1:
            return parts[0]
        dated = in_order(pair for part in parts for pair in zip(part.instants, part.lines, strict=True))
        lines = tuple(line for _, line in dated)
        ids = (*map(id, lines),)
        lines = self._merged.get(ids) or self._merged.keep(ids, lines)
        return Evidence(lines, array("d", [at for at, _ in dated]), max(part.updated for part in parts))

    def _evidence(self, lines: list[_Line], instants: list[float], updated: float, bundle: str | None) -> Evidence:
        at_once = dict(zip(instants, lines, strict=True))
        if UNDATED not in at_once and (
            len(at_once) == len(lines) or all(map(is_, map(at_once.__getitem__, instants), lines))
        ):  # no two different lines are of the same instant
            instants.sort()
            lines = [*map(at_once.__getitem__, instants)]
        else:
            instants, lines = _in_order(instants, lines)
        return Evidence(self._shared(lines), array("d", instants), updated, bundle)

    def _shared(self, lines: Sequence[_Line]) -> tuple[LogLine, ...]:
        """The same tuple for the same lines, which are told by their identity: comparing them takes longer.

        What is kept keeps them alive, so that no other line can have their identity.
        """
        ids = (*map(id, lines),)
        log = self._logs.get(ids) or self._logs.keep(ids, _Ordered(tuple(line.line for line in lines), tuple(lines)))
        return log.lines


def _in_order(instants: Sequence[float], lines: Sequence[_Line]) -> tuple[list[float], list[_Line]]:
    """What `in_order` does, with ranks that are known."""
    instants = [placed(at, line.line) for at, line in zip(instants, lines, strict=True)]
    keys = [*zip(instants, map(itemgetter(0), lines), strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [instants[place] for place in order], [lines[place] for place in order]


def _instants(log: Log) -> list[float]:
    """The Unix times of the entries, as `unix_time` has them; at once if all are dates with their zones."""
    dated, epoch = datetime.fromisoformat, _EPOCH
    try:
        return [(dated(item["date"]) - epoch).total_seconds() for item in log]
    except (KeyError, TypeError, ValueError):
        dates = [item.get("date") for item in log]
        return [unix_time(date if isinstance(date, str) else None) for date in dates]
