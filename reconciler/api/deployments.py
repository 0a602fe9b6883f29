"""What the listings of embedded and edge deployments have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from reconciler.api.paging import Pages
from reconciler.model.state import NOTHING, DeviceId, Entry, FlowId, LiveDevice, LogEntry

T = TypeVar("T")

CONNECTED: Final[Mapping[object, bool | None]] = {1: True, 0: False, None: None}


class DeploymentPages(Pages[T]):
    """The pages of one listing. Equal entries are shared: a fleet has few distinct versions.

    `keep_logs`: also those of devices that run what was released to them.
    """

    def __init__(self, *, keep_logs: bool = False) -> None:
        self._keep_logs = keep_logs
        self._entries: dict[tuple[object, object], Entry] = {NOTHING: NOTHING}
        self._names: dict[str, tuple[FlowId, set[object]]] = {}  # flow id as sent -> in lower case, and its names

    @property
    def flow_names(self) -> dict[FlowId, str]:
        """Names that came with the records; of several for one flow, the first in the alphabet."""
        named: dict[FlowId, str] = {}
        for flow_id, names in self._names.values():
            for name in names:
                if isinstance(name, str):
                    named[flow_id] = min(name, named.get(flow_id, name))
        return dict(sorted(named.items()))

    @abstractmethod
    def merged(self, found: Mapping[str, T]) -> dict[DeviceId, LiveDevice]:
        """The devices of all pages, in the order of their ids.

        Raises:
            Missing: two records are about the same thing, and nothing says which one counts.
        """


def log_entry(item: Mapping[str, Any], fields: Mapping[str, str], flow_id: FlowId | None) -> LogEntry:
    """A line of the log. It only informs people, so a field of another type is left out and stops no plan.

    `fields`: what the kind calls the fields that differ between the kinds.
    """
    log = {key: value for key, value in item.items() if isinstance(value, str)}
    return LogEntry(
        date=log.get("date"),
        change=log.get("changeType"),
        flow_id=flow_id,
        error=log.get("error"),
        source_type=log.get("sourceType"),
        source_id=log.get("sourceId"),
        **{name: log.get(field) for name, field in fields.items()},
    )
