"""The simulated world: one SQLite database, a clock, the switches and the faults.

Everything that must survive a restart is in the database. Times are milliseconds since the epoch (`_ms`). All access
uses one connection under one lock, so that requests and the control interface see a consistent world.

`entries` are the rows of a deployment: one flow on one device, with the version released by the platform and the
version reported by the device. On an edge device each entry is a record of its own (`record_id`); the entries of an
embedded device share one record in `records`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from reconciler.simulator.faults.active import Faults
from reconciler.simulator.world.clock import LATEST_MS, Clock

Row: TypeAlias = dict[str, Any]
_TABLES = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists applications (
    id text primary key, name text not null, created_ms integer not null, globals_revision integer not null default 0);
create table if not exists tokens (
    id text primary key, text text not null unique, application_id text, scopes text not null, expires_ms integer);
create table if not exists flows (
    id text primary key, application_id text not null, name text not null, flow_class text not null,
    enabled integer not null, created_ms integer not null, updated_ms integer not null);
create table if not exists versions (
    id text primary key, flow_id text not null, name text not null,
    created_ms integer not null, updated_ms integer not null, unique (flow_id, name));
create table if not exists definitions (version_id text primary key, definition text not null) without rowid;
create table if not exists devices (
    id text primary key, application_id text not null, name text not null, device_class text not null,
    description text, parent_id text, tags text not null,
    connected integer, connection_ms integer, connected_ms integer, disconnected_ms integer,
    created_ms integer not null, updated_ms integer not null, deleted_ms integer,
    take_up_ms integer, attempt_ms integer,
    awake_ms integer, asleep_ms integer, turn_ms integer, death_ms integer, is_dead integer not null default 0);
create table if not exists tags (
    device_id text not null, position integer not null, key text not null, value text not null,
    primary key (device_id, position)) without rowid;
create table if not exists outcomes (
    device_id text not null, flow_id text not null, version text not null, kind text not null, detail text not null,
    primary key (device_id, flow_id, version)) without rowid;
create table if not exists records (
    id text primary key, application_id text not null, device_id text not null unique,
    created_ms integer not null, updated_ms integer not null,
    reported_bundle text, released_bundle text, unknown_bundle integer not null default 0);
create table if not exists entries (
    device_id text not null, flow_id text not null, application_id text not null, released text, reported text,
    record_id text unique, released_etag text, reported_etag text, created_ms integer, updated_ms integer,
    primary key (device_id, flow_id)) without rowid;
create table if not exists logs (sequence integer primary key, record_id text not null, entry text not null);
create table if not exists late_writes (
    sequence integer primary key, due_ms integer not null, write text not null, is_halved integer not null);
create table if not exists jobs (
    id text primary key, application_id text not null, created_ms integer not null, status text not null,
    detail text not null);
create table if not exists removed (
    sequence integer primary key, id text not null, what text not null, application_id text not null,
    table_name text not null, row text not null);
create temp table if not exists touched (device_id text not null, flow_id text not null,
    primary key (device_id, flow_id)) without rowid;
create temp table if not exists page (position integer primary key, id text not null);
"""
_INDEXES = """
create index if not exists devices_by_id on devices (application_id, deleted_ms, id);
create index if not exists devices_by_class on devices (application_id, deleted_ms, device_class, id);
create index if not exists devices_by_name on devices (application_id, deleted_ms, name, id);
create index if not exists devices_by_attempt on devices (attempt_ms) where attempt_ms is not null;
create index if not exists devices_by_turn on devices (turn_ms) where turn_ms is not null;
create index if not exists devices_by_death on devices (death_ms) where death_ms is not null;
create index if not exists tags_by_text on tags (key, value, device_id);
create index if not exists records_by_id on records (application_id, id);
create index if not exists records_by_update on records (application_id, updated_ms, id);
create index if not exists entries_by_flow on entries (flow_id);
create index if not exists entries_by_record on entries (application_id, record_id) where record_id is not null;
create index if not exists logs_by_record on logs (record_id);
"""


class Sleeps(BaseModel):
    """How long a device is awake and asleep, in turns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    awake_s: Annotated[float, Field(ge=1, le=10**9)]
    asleep_s: Annotated[float, Field(ge=1, le=10**9)]

    @property
    def turns_ms(self) -> tuple[int, int]:
        """Both, in milliseconds."""
        return round(self.awake_s * 1000), round(self.asleep_s * 1000)


class Switches(BaseModel):
    """How the simulated API behaves where Losant's documentation is silent; `README.md` explains each switch.

    The defaults are the conservative readings. A client must be correct under every reading, so tests vary the switches
    one by one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Literal["atomic", "partial"] = "atomic"
    unknown_device: Literal["404", "skip"] = "404"
    unknown_flow: Literal["404", "accept"] = "404"
    unknown_version: Literal["404", "accept"] = "404"
    develop: Literal["400", "accept"] = "400"
    empty_selector: Literal["400", "everything", "nothing"] = "400"
    selectors: Literal["union", "intersection"] = "union"
    remove_all: Literal["400", "everything"] = "400"
    version_filter: Literal["any_flow", "same_flow", "released", "reported"] = "any_flow"
    replace_matches: Literal["released", "reported", "either", "both"] = "released"
    replace_unknown_bundles: Literal["ignored", "reached"] = "ignored"
    empty_entries: Literal["kept", "dropped"] = "dropped"
    empty_records: Literal["kept", "dropped"] = "kept"
    empty_edge_records: Literal["kept", "dropped"] = "kept"
    per_page_cap: Annotated[int, Field(ge=1)] | None = None
    per_page_fixed: Annotated[int, Field(ge=1)] | None = None
    log_cap: Annotated[int, Field(ge=1)] | None = None
    write_status: Literal["201", "202"] = "201"
    effect_delay_s: Annotated[float, Field(ge=0)] = 0.0
    rerelease: Literal["log", "silent"] = "log"
    reconnect: Literal["silent", "log"] = "silent"
    empty_bundle: Literal["null", "nullVersion"] = "nullVersion"
    missing_token: Literal["403", "401"] = "403"  # noqa: S105 - a status
    tag_filter: Literal["any", "all"] = "any"
    take_up: Literal["loads", "fails", "dies", "silent", "unknown"] = "loads"
    dies_after_s: Annotated[float, Field(ge=0, le=10**9)] = 60.0
    sleeps: Sleeps | None = None


class World:
    """The state of a simulator.

    Attributes:
        db: the connection; use it only while holding `lock`.
        switches: the behaviour where the documentation is silent.
        faults: the enabled faults.
    """

    def __init__(self, *, path: Path | str | None = None, clock: Clock | None = None) -> None:
        self.lock = threading.RLock()
        self.db = sqlite3.connect(str(path) if path else ":memory:", check_same_thread=False, isolation_level=None)
        self.db.create_function("casefold", 1, lambda text: text and text.casefold(), deterministic=True)
        # A killed process loses no acknowledged write; only a power failure could.
        self.db.executescript("pragma journal_mode = wal; pragma synchronous = off;" + _TABLES)
        self.clock = clock or Clock()
        if (text := self.recall("clock")) is not None:
            self.clock.load(text)
        self.switches = Switches.model_validate_json(self.recall("switches") or "{}")
        self.faults = Faults()

    @property
    def is_empty(self) -> bool:
        """Whether no fleet has been loaded yet."""
        return self.db.execute("select 1 from applications limit 1").fetchone() is None

    def build_indexes(self) -> None:
        """Create the indexes after a fleet is loaded, which is much faster than updating them meanwhile."""
        for statement in (*_INDEXES.strip().splitlines(), "analyze"):
            self.db.execute(statement)

    def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """The rows that a query returns, as mappings by column name."""
        found = self.db.execute(statement, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def insert(self, table: str, rows: Iterable[Sequence[Any]], clause: str = "") -> None:
        """Add complete rows to a table. `clause` is "or ignore" or "or replace"."""
        if values := list(rows):
            marks = ", ".join("?" * len(values[0]))
            self.db.executemany(f"insert {clause} into {table} values ({marks})", values)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Lock the world and change it in one transaction, rolled back on an exception. May be nested."""
        with self.lock:
            if self.db.in_transaction:
                yield self.db
                return
            self.db.execute("begin")
            try:
                yield self.db
            except BaseException:
                self.db.execute("rollback")
                raise
            self.db.execute("commit")

    def recall(self, key: str) -> str | None:
        """The text stored under a key, if any."""
        row = self.db.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Store a text that survives a restart."""
        self.db.execute(
            "insert into meta values (?, ?) on conflict (key) do update set value = excluded.value", (key, value)
        )

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.set_clock(self.clock.now_ms() + round(seconds * 1000), self.clock.speed)

    def set_clock(self, at_ms: int, speed: float) -> None:
        """Set the clock, which survives a restart."""
        with self.changing():
            self.clock.set(min(at_ms, LATEST_MS), speed)
            self.remember("clock", self.clock.dump())

    def switch(self, switches: Switches) -> None:
        """Set the switches; they survive a restart."""
        with self.changing():
            self.switches = switches
            self.remember("switches", switches.model_dump_json())

    def close(self) -> None:
        """Close the database. Idempotent."""
        with self.lock:
            self.db.close()
