"""What the job of one application found, handed to the job that tells it: a folder with two or three files.

`report.json` is the report; `plan.json` the saved plan, where one could be made; `status.md` the status of a nightly
run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from job import env

SUMMED = ("add", "update", "remove")


@dataclass(frozen=True, slots=True)
class Report:
    """One application's plan in short.

    Attributes:
        code: exit code of `plan`: 0 no changes, 2 changes, 3 refused, anything else no plan.
        commit: that the manifests are of.
        digest: of the plan; empty if there is none.
        summary: how many rows are to be added, updated and removed.
        problems: errors and refusals, in the shape that JSON documents have.
        folder: where `plan.json` is.
    """

    application: str
    name: str
    kind: str
    code: int
    commit: str = ""
    digest: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)
    partial: bool = False
    problems: Sequence[Mapping[str, Any]] = ()
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
        data = {name: value for name, value in asdict(self).items() if name != "folder"}
        (self.folder / "report.json").write_text(json.dumps(data), encoding="utf-8")


def from_answer(
    row: Mapping[str, str], code: int, answer: Mapping[str, Any], folder: Path, *, commit: str = ""
) -> Report:
    """The report of a `plan --format json` that ended with `code`."""
    error = answer.get("error") or {}
    plan = next(iter(answer.get("plans") or ()), None)
    return Report(
        application=row["application"],
        name=row["name"],
        kind=row["kind"],
        code=code,
        commit=commit,
        digest=plan["digest"] if plan else "",
        summary={name: plan["summary"][name] for name in SUMMED} if plan else {},
        partial=bool(plan and plan["partial"]),
        problems=error.get("problems", ()),
        folder=folder,
    )


def load_reports(folder: Path) -> list[Report]:
    """The reports of all jobs, sorted; a folder that is not there holds none."""
    found = [
        Report(**json.loads(file.read_text(encoding="utf-8")), folder=file.parent)
        for file in folder.glob("*/report.json")
    ]
    return sorted(found, key=lambda one: (one.name, one.application, one.kind))


def expected_reports() -> int:
    """How many applications the run was to plan; 0 where it came to no list of them."""
    return int(env("APPLICATIONS") or 0)


def totals(reports: Iterable[Report]) -> dict[str, int]:
    """What all plans together would add, update and remove."""
    listed = list(reports)
    return {name: sum(one.summary.get(name, 0) for one in listed) for name in SUMMED}
