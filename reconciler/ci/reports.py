"""What the job of one application found, handed to the job that tells it: a folder with two or three files.

`report.json` is the report; `plan.json` the saved plan, where one could be made; `status.md` the status of a nightly
run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from reconciler.errors import Problem

SUMMED = ("add", "update", "remove")


@dataclass(frozen=True, slots=True)
class Report:
    """One application's plan in short.

    Attributes:
        code: exit code of `plan`: 0 no changes, 2 changes, 3 refused, anything else no plan.
        commit: that the manifests are of.
        digest: of the plan; empty if there is none.
        summary: how many rows are to be added, updated and removed.
        problems: errors and refusals.
        folder: where `plan.json` is.
    """

    application: str
    name: str
    kind: str
    code: int
    commit: str = ""
    digest: str = ""
    summary: dict[str, int] = field(default_factory=dict)
    partial: bool = False
    problems: tuple[Problem, ...] = ()
    folder: Path = Path()

    @property
    def planned(self) -> bool:
        """Whether the live state could be read and compared."""
        return self.code in (0, 2, 3) and bool(self.digest)

    @property
    def changes(self) -> int:
        """How many rows would change."""
        return sum(self.summary.get(name, 0) for name in SUMMED)

    def save(self) -> None:
        """Write `report.json` into the folder."""
        (self.folder / "report.json").write_bytes(_DOCUMENT.dump_json(self, exclude={"folder"}))


_DOCUMENT = TypeAdapter(Report)


def load_reports(folder: Path) -> list[Report]:
    """The reports of all jobs, sorted; a folder that is not there holds none."""
    found = [
        replace(_DOCUMENT.validate_json(file.read_bytes()), folder=file.parent) for file in folder.glob("*/report.json")
    ]
    return sorted(found, key=lambda one: (one.name, one.application, one.kind))
