"""The document of a status: written by `status` and `show`, and read back from a saved file."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from reconciler.documents.json import Document
from reconciler.documents.reading import checked, headed, reported
from reconciler.model.health import StatusReport

_HINT = "make it again with `reconciler status --format json`"


class StatusDocument(Document):
    """The output of `status`, and of `show` for a saved one."""

    command: Literal["status", "show"]
    status: tuple[StatusReport, ...]


class Stood(NamedTuple):
    """How things stood: the reports of one run."""

    reports: tuple[StatusReport, ...]


def read_status(data: object, *, path: str | None = None, later: bool = False) -> Stood:
    """The reports of a saved document; `path` is its file.

    `later` allows later minor versions of the format, whose unknown keys are ignored.

    Raises:
        ManifestError: not such a document, of an unsupported format, or damaged.
    """
    with reported(path, _HINT):
        read = checked(StatusDocument, headed(data, later=later), later=later)["status"]
    return Stood(tuple(map(_with_devices, read)))


def _with_devices(report: StatusReport) -> StatusReport:
    """The devices whose logs were asked for are not a part of the document; those with a log follow from it."""
    return replace(report, devices_named={line.device_id: line.device_name for line in report.log})
