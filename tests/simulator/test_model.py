"""Random histories: the database must end where a few lines of Python over a dictionary end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.simulator import Clock, build_fleet
from reconciler.simulator.api.selection import Write
from reconciler.simulator.api.writes import Fate, accept
from reconciler.simulator.control import Control
from reconciler.simulator.world.records import Author, Kind
from reconciler.simulator.world.seed import seed
from reconciler.simulator.world.store import Switches, World
from tests.simulator.conftest import START

Row: TypeAlias = tuple[str, str]
DEVICES, FLOWS, VERSIONS = ("d1", "d2", "d3"), ("f", "g"), ("v1", "v2")
BROKEN = ("d2", "f", "v2")


@dataclass
class Model:
    """Rows as (released, reported); `due` are the devices that will try at the next occasion."""

    matches: str
    rows: dict[Row, tuple[str | None, str | None]] = field(default_factory=dict)
    connected: set[str] = field(default_factory=lambda: {"d1", "d2"})
    due: set[str] = field(default_factory=set)

    def release(self, rows: list[Row], version: str | None) -> None:
        for row in rows:
            if version is None and row not in self.rows:
                continue
            self.rows[row] = (version, self.rows.get(row, (None, None))[1])
            if row[0] in self.connected:
                self.due.add(row[0])
        self._forget_empty()

    def replace(self, flow: str, old: str, new: str | None) -> None:
        def is_meant(released: str | None, reported: str | None) -> bool:
            return {
                "released": released == old,
                "reported": reported == old,
                "either": old in (released, reported),
                "both": released == reported == old,
            }[self.matches]

        self.release([row for row, sides in self.rows.items() if row[1] == flow and is_meant(*sides)], new)

    def remove(self, flow: str | None, device: str | None) -> None:
        self.release([row for row in self.rows if device in (None, row[0]) and flow in (None, row[1])], None)

    def settle(self) -> None:
        for device in self.due:
            own = [row for row in self.rows if row[0] == device]
            if any((*row, self.rows[row][0]) == BROKEN for row in own):
                continue
            for row in own:
                self.rows[row] = (self.rows[row][0], self.rows[row][0])
        self.due.clear()
        self._forget_empty()

    def _forget_empty(self) -> None:
        self.rows = {row: sides for row, sides in self.rows.items() if sides != (None, None)}


class Subject:
    """The simulator's own code, without HTTP."""

    def __init__(self, kind: Kind, matches: str) -> None:
        flow_class, device_class = ("embedded", "embedded") if kind is Kind.EMBEDDED else ("edge", "edgeCompute")
        application = {
            "name": "A",
            "flows": {name: {"class": flow_class, "versions": list(VERSIONS)} for name in FLOWS},
            "devices": [
                {"name": "d1", "class": device_class},
                {"name": "d2", "class": device_class, "fails": {"f": {"v2": "broken"}}},
                {"name": "d3", "class": device_class, "connected": False},
            ],
        }
        self.world = World(clock=Clock(frozen_at=START))
        seed(self.world, build_fleet({"applications": [application]}))
        self.world.switch(Switches.model_validate({"replace_matches": matches, "empty_edge_records": "dropped"}))
        self.control = Control(self.world)
        self.kind = kind
        self.application_id = self.world.recall("first_application") or ""

    def id_of(self, table: str, name: str | None) -> str | None:
        if name is None:
            return None
        return str(self.world.db.execute(f"select id from {table} where name = ?", (name,)).fetchone()[0])

    def send(self, verb: str, **body: Any) -> None:
        body["flowId"] = self.id_of("flows", body["flowId"])
        accept(self.world, Write(self.kind, verb, self.application_id, body, Author("user", "0" * 24)), Fate())

    def rows(self) -> dict[Row, tuple[str | None, str | None]]:
        return {(row["device"], row["flow"]): (row["released"], row["reported"]) for row in self.control.rows()}


VERSION_OR_NONE = st.one_of(st.sampled_from(VERSIONS), st.none())
CALLS = st.one_of(
    st.tuples(
        st.just("release"),
        st.lists(st.sampled_from(DEVICES), min_size=1, max_size=3),
        st.sampled_from(FLOWS),
        VERSION_OR_NONE,
    ),
    st.tuples(st.just("replace"), st.sampled_from(FLOWS), st.sampled_from(VERSIONS), VERSION_OR_NONE),
    st.tuples(
        st.just("remove"),
        st.one_of(st.sampled_from(FLOWS), st.none()),
        st.one_of(st.sampled_from(DEVICES), st.none()),
    ).filter(lambda step: step[1:] != (None, None)),
)
EVENTS = st.one_of(
    st.tuples(st.just("settle")), st.tuples(st.sampled_from(["connect", "disconnect"]), st.sampled_from(DEVICES))
)
STEPS = st.lists(st.one_of(CALLS, EVENTS), min_size=5, max_size=25)


def take(step: tuple[Any, ...], model: Model, subject: Subject) -> None:
    """One step of a history, in both worlds."""
    match step:
        case ("release", devices, flow, version):
            ids = [subject.id_of("devices", name) for name in devices]
            subject.send("release", flowId=flow, version=version, deviceIds=ids)
            model.release([(device, flow) for device in devices], version)
        case ("replace", flow, old, new):
            subject.send("replace", flowId=flow, oldVersion=old, newVersion=new)
            model.replace(flow, old, new)
        case ("remove", flow, device):
            subject.send("remove", flowId=flow, deviceId=subject.id_of("devices", device))
            model.remove(flow, device)
        case ("connect", device):
            subject.control.connect(device)
            model.connected.add(device)
            model.due.add(device)
        case ("disconnect", device):
            subject.control.disconnect(device)
            model.connected.discard(device)
            model.due.discard(device)
        case _:
            subject.control.settle()
            model.settle()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, matches=st.sampled_from(["released", "reported", "either", "both"]))
def test_an_embedded_history(steps: list[tuple[Any, ...]], matches: str) -> None:
    model, subject = Model(matches), Subject(Kind.EMBEDDED, matches)
    for step in steps:
        take(step, model, subject)
        assert subject.rows() == model.rows
    check_bundles(subject)
    subject.world.close()


def check_bundles(subject: Subject) -> None:
    """A device runs the bundle it should exactly if every row agrees: there are no other reasons here."""
    found = subject.world.db.execute(
        "select r.reported_bundle is r.released_bundle, not exists (select 1 from entries e "
        "where e.device_id = r.device_id and e.released is not e.reported) from records r"
    ).fetchall()
    assert all(bundles_agree == rows_agree for bundles_agree, rows_agree in found)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, matches=st.sampled_from(["released", "reported", "either", "both"]))
def test_an_edge_history(steps: list[tuple[Any, ...]], matches: str) -> None:
    """On an edge device a broken flow does not keep the others back."""
    model, subject = EdgeModel(matches), Subject(Kind.EDGE, matches)
    for step in steps:
        take(step, model, subject)
        assert subject.rows() == model.rows
    subject.world.close()


class EdgeModel(Model):
    """Like the embedded one, but each flow is taken up alone."""

    def settle(self) -> None:
        for row, (released, _) in self.rows.items():
            if row[0] in self.due and (*row, released) != BROKEN:
                self.rows[row] = (released, released)
        self.due.clear()
        self._forget_empty()
