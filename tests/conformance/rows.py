"""Rows of the conformance tables: what is asked of the API, and what must come.

A row with `{kind}` in its request stands for two tests, one for each kind of deployment; `<flow>`, `<other>`, `<one>`,
`<two>`, `<offline>` and `<bare>` are then workflows and devices of that kind (`CASTS`).

Text in angle brackets is filled in: `<pump-1>` is the id of what has that name, `<upper pump-1>` the same in capitals,
`<record pump-1>` of its embedded record, `<edge gateway-1 collect>` of that edge record, `<version telemetry v2>` of
that version, `<application>` of the application, `<nobody>` of nothing; `<offline name>` is a name; `<256 x>` is so
many x, `<1001 ids>` and `<101 tags>` are lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

HERE = Path(__file__).parent
CASTS = {
    "embedded": {
        "flow": "telemetry", "other": "alarms", "one": "pump-1", "two": "pump-2", "offline": "pump-3", "bare": "pump-4",
        "foreign flow": "collect", "foreign device": "gateway-1",
    },
    "edge": {
        "flow": "collect", "other": "sieve", "one": "gateway-1", "two": "gateway-2", "offline": "gateway-3",
        "bare": "gateway-4", "foreign flow": "telemetry", "foreign device": "pump-1",
    },
}  # fmt: skip


class Items(BaseModel):
    """What the items of a list must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: list[str] | None = None
    """Their names (of the device, for deployments; the version's, for versions), in this order."""
    total: int | None = None
    each: dict[str, Any] = {}
    """Fields that every one has; a list with no item fails."""
    sorted: str = ""
    """A field and a direction."""
    lack: list[str] = []
    """Keys that none has."""


class Row(BaseModel):
    """One row.

    Without `refused` the request must succeed. `moved` holds exactly the rows of the fleet that are not as before,
    as `device flow: released>reported`. `live` says that a real account may be asked: to read, or also to write;
    a row without it needs the simulator.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    ask: str
    """A method, and a path below the application; `^` in front of a path from the root."""
    query: dict[str, Any] | str = {}
    body: Any = None
    text: str | None = None
    """A body that is sent as it stands."""
    headers: dict[str, str | None] = {}
    """null leaves one out."""
    first: list[dict[str, Any]] = []
    """Commands of the simulator's control with their arguments; `ask` sends a request of which nothing is said.

    On a real account they are left out, so what a live row says must hold without them.
    """
    refused: str = ""
    """Status, type and message; `…` stands for the rest of it."""
    status: int | None = None
    """Of a good answer."""
    gives: Any = None
    """Part of the answer: keys that must be there, with these values."""
    lacks: list[str] = []
    items: Items | None = None
    moved: dict[str, str] | None = None
    live: Literal["read", "write"] | None = None
    kind: str = "embedded"

    @property
    def sends_body(self) -> bool:
        """A body of null is one that is not there, unless the row names it."""
        return "body" in self.model_fields_set


def rows() -> Iterator[Row]:
    """All rows of all tables, those of both kinds twice."""
    for path in sorted((HERE / "rows").glob("*.yaml")):
        for data in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader):
            kinds = list(CASTS) if "{kind}" in data["ask"] else []
            row = Row.model_validate(data)
            if not kinds:
                yield row.model_copy(update={"id": f"{path.stem}: {row.id}"})
            for kind in kinds:
                changes = {"id": f"{kind}: {row.id}", "ask": row.ask.replace("{kind}", kind), "kind": kind}
                yield row.model_copy(update=changes)
