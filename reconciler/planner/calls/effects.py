"""What calls do to one row, under each reading of the API.

The API documents what `replace` is for, not exactly what it matches, and a device may report at any time. So a row is
modelled as the set of versions that may be released by now. It may report anything that it was read to report or that
has been released since; on a device with an unknown bundle, anything at all.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from reconciler.model.requests import Replace, Request, outcome
from reconciler.model.state import Entry, Version


class Reading(StrEnum):
    """What a `replace` compares with its old version."""

    RELEASED = "released"
    REPORTED = "reported"
    EITHER = "either"
    BOTH = "both"


# Whether a `replace` matches a row, by whether its released and its reported version equal the old one.
_MATCHES: Mapping[Reading, Callable[[bool, bool], bool]] = {
    Reading.RELEASED: lambda released, _reported: released,
    Reading.REPORTED: lambda _released, reported: reported,
    Reading.EITHER: operator.or_,
    Reading.BOTH: operator.and_,
}


class RowState(NamedTuple):
    """The possible states of a row: versions that may be released, and versions that it may report.

    `reports_anything`: the device runs an unknown bundle.
    """

    released: frozenset[Version | None]
    reported: frozenset[Version | None]
    reports_anything: bool

    def after(self, request: Request, reading: Reading) -> RowState:
        """The row after a request that could touch it, and after its device may have reported."""
        if isinstance(request, Replace):
            matches, old = _MATCHES[reading], request.old
            reports_old = {True, False} if self.reports_anything else {version == old for version in self.reported}
            released = frozenset(
                request.new if matches(version == old, reports) else version
                for version in self.released
                for reports in reports_old
            )
        else:
            released = frozenset({outcome(request)})
        return RowState(released, self.reported | released, self.reports_anything)


def as_read(entry: Entry, *, unknown_bundle: bool) -> RowState:
    """The state of a row as it was read. Its device may still report what is released."""
    return RowState(frozenset({entry.released}), frozenset(entry), unknown_bundle)
