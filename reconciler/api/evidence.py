"""The evidence of one read: each device's log, condensed.

A fleet has few distinct lines in few combinations, so devices share both. What a log has of its own are its dates,
which become an array of numbers, and the names of its bundles, which are compiled for each device: they matter only
within one log, so they are replaced by their order in it. Nothing is shared beyond a number of kinds that no healthy fleet has: from there on,
remembering more of them would cost memory and find no second of a kind.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import is_
from typing import Any, Final, TypeVar

from reconciler.model.log import UNDATED, in_order, unix_time
from reconciler.model.state import Evidence, FlowId, LogLine

_MOST_KINDS: Final = 10_000
_TEXTS: Final = {str, type(None)}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)

K = TypeVar("K")
V = TypeVar("V")


class _Kinds(dict[K, V]):
    """What was made of each kind of value, up to a number of kinds."""

    def keep(self, key: K, made: V) -> V:
        """Keep what was made if there is room, and return it."""
        if len(self) < _MOST_KINDS:
            self[key] = made
        return made


class _Lines(_Kinds[tuple[object, ...], LogLine]):
    """The values of a log entry in certain fields -> its line. A value of an unexpected type is dropped."""

    def __init__(self, fields: Sequence[str], flow_id: FlowId | None, texts: _Kinds[str, str]) -> None:
        super().__init__()
        self._fields = fields
        self._flow_id = flow_id
        self._texts = texts

    def __missing__(self, values: tuple[object, ...]) -> LogLine:
        said = {
            field: self._texts.get(value) or self._texts.keep(value, value)
            for field, value in zip(self._fields, values, strict=False)
            if isinstance(value, str)
        }
        flow_id = said.pop("flow_id", self._flow_id)
        if len(values) > len(self._fields) and values[-1] is not None:
            said["bundle"] = str(values[-1])
        return self.keep(values, LogLine(flow_id=flow_id and flow_id.lower(), **said))


class Condenser:
    """Condenses the logs of one read.

    `fields`: the fields of `LogLine` -> their names on the wire. `bundle`: the name of the field of bundles on the
    wire, whose names are replaced.
    """

    def __init__(self, fields: Mapping[str, str], bundle: str | None = None) -> None:
        self._fields = tuple(fields)
        self._names = tuple(fields.values())
        self._bundle = bundle
        self._texts = _Kinds[str, str]()
        self._lines: dict[FlowId | None, _Lines] = {}
        self._shared = _Kinds[tuple[int, ...], tuple[LogLine, ...]]()

    def evidence(
        self,
        logs: Sequence[Mapping[str, Any]],
        updated: object,
        flow_id: FlowId | None = None,
        reported_bundle: str | None = None,
    ) -> Evidence:
        """The evidence of a record: its log, and when it was last updated. `flow_id`: the flow that the log is about.

        An entry that is not an object raises AttributeError. This is a hot path: it runs once per record.
        """
        updated_at = unix_time(updated if isinstance(updated, str) else None)
        if not logs:
            return Evidence(updated=updated_at)
        kinds = self._lines.get(flow_id) or self._kinds(flow_id)
        bundles: dict[object, int | None] = {None: None}
        try:
            lines = self._lines_of(logs, kinds, bundles)
            is_odd = self._bundle is not None and {*map(type, bundles)} - _TEXTS != set()
        except TypeError:  # a list or an object where a text should be
            is_odd = True
        if is_odd:
            bundles = {None: None}
            logs = [{key: value for key, value in item.items() if isinstance(value, str)} for item in logs]
            lines = self._lines_of(logs, kinds, bundles)
        reported = bundles.get(reported_bundle)
        made = self._evidence(lines, _instants(logs), updated_at)
        return made if reported is None else made._replace(bundle=str(reported))

    def _lines_of(
        self, logs: Sequence[Mapping[str, Any]], kinds: _Lines, bundles: dict[object, int | None]
    ) -> list[LogLine]:
        names, bundle = self._names, self._bundle
        if bundle is None:
            return [kinds[(*map(item.get, names),)] for item in logs]
        number = bundles.setdefault
        return [kinds[(*map(item.get, names), number(item.get(bundle), len(bundles)))] for item in logs]

    def _kinds(self, flow_id: FlowId | None) -> _Lines:
        return self._lines.setdefault(flow_id, _Lines(self._fields, flow_id, self._texts))

    def together(self, parts: Sequence[Evidence]) -> Evidence:
        """The evidence of several records of one device."""
        if len(parts) == 1:
            return parts[0]
        lines = [line for part in parts for line in part.lines]
        instants = [at for part in parts for at in part.instants]
        return self._evidence(lines, instants, max(part.updated for part in parts))

    def _evidence(self, lines: list[LogLine], instants: list[float], updated: float) -> Evidence:
        """Everything in order. `in_order` is only needed where two different lines are of the same instant."""
        at_once = dict(zip(instants, lines, strict=True))
        if UNDATED in at_once or (
            len(at_once) < len(lines) and not all(map(is_, map(at_once.__getitem__, instants), lines))
        ):
            dated = in_order(zip(instants, lines, strict=True))
            instants, lines = [at for at, _ in dated], [line for _, line in dated]
        else:
            instants.sort()
            lines = [*map(at_once.__getitem__, instants)]
        ids = (*map(id, lines),)  # which lines they are; comparing what they say would take longer
        return Evidence(self._shared.get(ids) or self._shared.keep(ids, tuple(lines)), array("d", instants), updated)


def _instants(logs: Sequence[Mapping[str, Any]]) -> list[float]:
    """The Unix times of the entries, as `unix_time` has them; at once if all are dates with their zones."""
    try:
        return [(datetime.fromisoformat(item["date"]) - _EPOCH).total_seconds() for item in logs]
    except (KeyError, TypeError, ValueError):
        dates = [item.get("date") for item in logs]
        return [unix_time(date if isinstance(date, str) else None) for date in dates]
