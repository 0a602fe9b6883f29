"""Shared parsing of embedded and edge deployment listings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from reconciler.api.evidence import Bundles, Condenser, Log
from reconciler.api.pages import Pages
from reconciler.model.state import NOTHING, DeviceId, Entry, FlowId, LiveDevice, LogEntry

T = TypeVar("T")

CONNECTED: Final[Mapping[object, bool | None]] = {1: True, 0: False, None: None}


class DeploymentPages(Pages[T]):
    """The pages of one listing. Equal entries share one object: a fleet has few distinct versions.

    `keep_logs`: keep logs also for devices that already run what was released to them. `evidence`: condense the log of
    every device.
    """

    line_fields: ClassVar[tuple[str, ...]]  # the fields of `LogLine` that the kind's entries have

    def __init__(self, *, keep_logs: bool = False, evidence: bool = False) -> None:
        self._keep_logs = keep_logs
        self._condenser = Condenser(self.line_fields, self.line_values) if evidence else None
        self._entries: dict[tuple[object, object], Entry] = {NOTHING: NOTHING}
        self._names: dict[str, tuple[FlowId, set[object]]] = {}  # flow id as sent -> in lower case, and its names

    @staticmethod
    @abstractmethod
    def line_values(log: Log, bundles: Bundles) -> list[tuple[object, ...]]:
        """What each entry of a log has in `line_fields`, as sent; for bundles their numbers in `bundles`, if kept."""

    @property
    def flow_names(self) -> dict[FlowId, str]:
        """Flow names found in the records; if a flow has several, the first alphabetically."""
        named: dict[FlowId, str] = {}
        for flow_id, names in self._names.values():
            for name in names:
                if isinstance(name, str):
                    named[flow_id] = min(name, named.get(flow_id, name))
        return dict(sorted(named.items()))

    @abstractmethod
    def merged(self, found: dict[str, T]) -> dict[DeviceId, LiveDevice]:
        """The devices of all pages, sorted by id. `found` may be empty afterwards, so that nothing is kept twice.

        Raises:
            Missing: two records describe the same device or row, so neither can be trusted.
        """


def log_fields(**fields: str) -> tuple[str | None, ...]:
    """The API's names of the fields of `LogEntry`, in their order; None, which no JSON has as a key, for the others.

    `fields`: those in which the kinds differ.
    """
    names = _LOG_FIELDS | fields
    return tuple(map(names.get, LogEntry._fields))


_LOG_FIELDS: Final = {
    "date": "date",
    "change": "changeType",
    "error": "error",
    "source_type": "sourceType",
    "source_id": "sourceId",
}
_TEXTS: Final = frozenset({str, type(None)})


def log_entry(item: Any, fields: Sequence[str | None], flow_id: FlowId | None) -> LogEntry:
    """A log entry. It is informational only, so a field of an unexpected type is dropped, not an error.

    `fields`: as of `log_fields`. A poll of a wait makes one for each line of each device that has not converged.
    """
    values = [*map(item.get, fields)]
    values[_FLOW_ID] = flow_id
    if not _TEXTS.issuperset(map(type, values)):
        values = [value if isinstance(value, str) else None for value in values]
    return LogEntry(*values)


_FLOW_ID: Final = LogEntry._fields.index("flow_id")
