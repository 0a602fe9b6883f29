"""What calls do to one row, under each reading of the API.

The API documents what a call is for, not what it matches (`replace`), and a device reports when it pleases. So a row
is followed as the set of versions that may be released by now; what it may report is anything that it was seen to
report or that has been released since, and on a device with an unknown bundle anything at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.requests import Release, Replace, Request
from reconciler.model.state import Entry, Version


class Reading(StrEnum):
    """What a `replace` compares with its old version."""

    RELEASED = "released"
    REPORTED = "reported"
    EITHER = "either"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class RowState:
    """What a row may be by now: versions that may be released, and versions that it may report.

    `reports_anything`: the device runs an unknown bundle.
    """

    released: frozenset[Version | None]
    reported: frozenset[Version | None]
    reports_anything: bool

    def after(self, request: Request, reading: Reading) -> RowState:
        """The row after a request that could touch it, and after any reports of its device."""
        match request:
            case Release():
                released = frozenset({request.version})
            case Replace():
                released = self._replaced(request, reading)
            case _:
                released = frozenset({None})
        return RowState(released, self.reported | released, self.reports_anything)

    def _replaced(self, request: Replace, reading: Reading) -> frozenset[Version | None]:
        may_report = self.reports_anything or request.old in self.reported
        must_report = not self.reports_anything and self.reported == {request.old}
        moved: set[Version | None] = set()
        for version in self.released:
            is_released = version == request.old
            may, must = {
                Reading.RELEASED: (is_released, is_released),
                Reading.REPORTED: (may_report, must_report),
                Reading.EITHER: (is_released or may_report, is_released or must_report),
                Reading.BOTH: (is_released and may_report, is_released and must_report),
            }[reading]
            if may:
                moved.add(request.new)
            if not must:
                moved.add(version)
        return frozenset(moved)


def as_read(entry: Entry, *, unknown_bundle: bool) -> RowState:
    """A row as it was read. Its device may yet report what is released."""
    return RowState(frozenset({entry.released}), frozenset(entry), unknown_bundle)
