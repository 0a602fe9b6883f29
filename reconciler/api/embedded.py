"""Embedded deployments: one record per device, read by key.

A fleet has few distinct versions, so `Entry` values and flow ids are shared: a listing of 100,000 devices takes little
more memory than its JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reconciler.api.deployments import CONNECTED, DeploymentPages, log_entry, log_fields
from reconciler.api.evidence import Bundles, Condenser, Log, QuietLogs
from reconciler.api.pages import Page
from reconciler.api.wire import (
    RELEASED,
    RELEASED_BUNDLE,
    REPORTED,
    REPORTED_BUNDLE,
    Missing,
    Unreadable,
)
from reconciler.model.state import (
    NO_EVIDENCE,
    NOTHING,
    DeviceId,
    Entry,
    Evidence,
    FlowId,
    LiveDevice,
    LogEntry,
    Quiet,
    Version,
)
from reconciler.model.text import is_id

if TYPE_CHECKING:
    from reconciler.api.shapes import Shape

_NO_FLOWS: Final[dict[str, Any]] = {}
_NO_CUSTOM_NODES: Final[frozenset[FlowId]] = frozenset()
_LOG_FIELDS: Final = log_fields(version=RELEASED, bundle="newBundle", attempted="attemptedBundle", update="updateType")

Record: TypeAlias = tuple[DeviceId, LiveDevice]


class EmbeddedPages(DeploymentPages[Record]):
    """The pages of embeddedDeployments.get."""

    line_fields = ("bundle", "change", "flow_id", "version", "error", "update")

    def __init__(self, *, keep_logs: bool = False, evidence: bool = False, quiet: Quiet | None = None) -> None:
        super().__init__(keep_logs=keep_logs, evidence=evidence)
        self._quiet = QuietLogs(quiet) if quiet else None
        # The flows of the previous device: the next one often has the same, and then shares the parsed result.
        self._raw = _NO_FLOWS
        self._shared: dict[tuple[object, ...], dict[FlowId, Entry]] = {}
        self._made = self._entries_of(_NO_FLOWS)

    @staticmethod
    def shape() -> type[Shape]:
        """See `Pages.shape`."""
        from reconciler.api.shapes import EmbeddedShape

        return EmbeddedShape

    def page(self, body: bytes) -> Page[Record]:
        """See `Pages.page`."""
        if self._quiet:
            self._quiet.at(self.sent_at)
        return super().page(body)

    def record(self, item: Any) -> tuple[str, Record]:
        """See `Pages.record`. This is the hot path: it runs once per device."""
        get = item.get
        device_id, name, unknown = item["deviceId"], get("deviceName"), get("unknownBundle")
        released_bundle, reported_bundle = get(RELEASED_BUNDLE), get(REPORTED_BUNDLE)
        if (raw := get("flows") or _NO_FLOWS) != self._raw:
            self._made, self._raw = self._entries_of(raw), raw
        flows, settled = self._made
        time = connected = None
        if connection := get("deviceConnectionInfo"):
            time, connected = connection.get("time"), CONNECTED[connection.get("connected")]
        logs = get("logs")
        kept = self._kept(logs, is_wanted=unknown or not settled) if logs else ()
        for text in (name, time, released_bundle, reported_bundle):
            if text is not None and type(text) is not str:
                raise Unreadable
        if not is_id(device_id) or (unknown is not None and type(unknown) is not bool):
            raise Unreadable
        device_id = device_id.lower()
        # The API's schema does not require a record id; with one record per device, the device id identifies it.
        record_id = device_id if (own := item.get("id")) is None else own.lower()
        if record_id == device_id:
            record_id = device_id  # one text instead of two, as below
        released_bundle = released_bundle and intern(released_bundle)
        if reported_bundle == released_bundle:
            reported_bundle = released_bundle
        steady = flows if settled and connected and not unknown else _NO_FLOWS
        condenser = self._condenser
        evidence = self._evidence_of(condenser, item, steady, reported_bundle) if condenser else NO_EVIDENCE
        unknown = bool(unknown)
        device = LiveDevice(
            flows, name, connected, time, unknown, released_bundle, reported_bundle, kept, _NO_CUSTOM_NODES, evidence
        )
        return record_id, (device_id, device)

    def _kept(self, logs: Any, *, is_wanted: bool) -> tuple[LogEntry, ...]:
        """The log, if it is asked for, or its device has not converged."""
        if type(logs) is not list:
            raise Unreadable
        return tuple(map(_log_entry, logs)) if is_wanted or self._keep_logs else ()

    def _evidence_of(
        self, condenser: Condenser, item: Any, steady: Mapping[FlowId, Entry], bundle: str | None
    ) -> Evidence:
        """What rollouts are judged by. `steady`: the flows of a device that may have a quiet log."""
        log, updated = item.get("logs") or (), item.get("lastUpdated")
        if steady and self._quiet and (evidence := self._quiet.evidence(log, updated, steady)):
            return evidence
        return condenser.evidence(log, updated, None, bundle)

    @staticmethod
    def line_values(log: Log, bundles: Bundles) -> list[tuple[object, ...]]:
        """See `DeploymentPages.line_values`."""
        number = bundles.setdefault
        values: list[tuple[object, ...]] = []
        for entry in log:
            get = entry.get
            if (bundle := get("newBundle")) is not None:
                if type(bundle) is not str:
                    raise TypeError
                bundle = number(bundle, len(bundles))
            line = bundle, get("changeType"), get("updateFlowId"), get(RELEASED), get("error"), get("updateType")
            values.append(line)
        return values

    def _entries_of(self, flows: dict[str, dict[str, Any]]) -> tuple[dict[FlowId, Entry], bool]:
        """The non-empty entries, and whether each reports its released version."""
        made: dict[FlowId, Entry] = {}
        empty, settled = 0, True
        entries, known = self._entries, self._names
        for text, item in flows.items():
            flow_id, names = known.get(text) or self._flow(text)
            names.add(item.get("flowName"))
            released = item.get(RELEASED)
            reported = item.get(REPORTED)
            entry = entries.get((released, reported)) or self._entry(released, reported)
            if entry is NOTHING:
                empty += 1
            else:
                made[flow_id] = entry
                if released != reported:
                    settled = False
        if len(made) + empty != len(flows):  # the same id in upper and lower case
            raise Unreadable
        return self._shared.setdefault((*made, *made.values()), made), settled

    def _flow(self, text: str) -> tuple[FlowId, set[object]]:
        if not is_id(text):
            raise Unreadable
        return self._names.setdefault(text, (text.lower(), set()))

    def _entry(self, released: object, reported: object) -> Entry:
        entry = Entry(_version(released), _version(reported))
        return self._entries.setdefault(entry, entry)

    def merged(self, found: dict[str, Record]) -> dict[DeviceId, LiveDevice]:
        """See `DeploymentPages.merged`."""
        devices: dict[DeviceId, LiveDevice] = {}
        for device_id, device in sorted(found.values(), key=itemgetter(0)):
            if device_id in devices:
                raise Missing(f"two records describe device {device_id}")
            devices[device_id] = device
        return devices


def _version(value: object) -> Version | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise Unreadable


def _log_entry(item: Mapping[str, Any]) -> LogEntry:
    flow_id = item.get("updateFlowId")
    return log_entry(item, _LOG_FIELDS, flow_id.lower() if isinstance(flow_id, str) else None)
