"""What comes and goes while a list is read, which moves whatever is behind it from page to page.

What is deleted is kept aside, so that it can be restored as it was: in its old place, with its old dates. What is
created sorts behind the rest, or among the last of many records: a swap of the first leaves the list as long as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from reconciler.simulator.faults import Shift
from reconciler.simulator.world.connections import delete
from reconciler.simulator.world.records import Kind, object_id, record_id
from reconciler.simulator.world.store import World

_HIGHEST: Final = 16**24 - 1
_LATE: Final = "ff"  # ids of records are hashes; those that begin so are among the last
_DEVICES: Final = "select id from devices where application_id = :application and deleted_ms is"
_PRESENT: Final = {
    "embedded": "select id from records where application_id = :application",
    "edge": "select record_id as id from entries where application_id = :application and record_id is not null",
    "devices": f"{_DEVICES} null",
    "flows": "select id from flows where application_id = :application",
    "versions": "select v.id from versions v join flows f on f.id = v.flow_id where application_id = :application "
    "and :flow in (flow_id, '')",
}
_PARTS: Final = {
    "flows": {"flows": "id = :id"},
    "versions": {"versions": "id = :id"},
    "records": {
        "entries": "record_id = :id or device_id = (select device_id from records where id = :id)",
        "records": "id = :id",
    },
}
"""The rows that go with an id: the tables, in the order in which they are deleted from, and which of their rows."""


def shift(world: World, fault: Shift, path: str) -> None:
    """Let things of the application in a request's path come and go, in the order of their ids."""
    _, application, below, flow, *_ = [*path.lower().strip("/").split("/"), "", "", ""]
    place = {"application": application, "flow": flow if below == "flows" and path.endswith("/versions") else ""}
    kinds = [kind for kind in Kind if kind == below] or [*Kind]
    with world.changing():
        if fault.how == "restore":
            _restore(world, fault, place)
            return
        lists = kinds if fault.what == "records" else [fault.what]
        struck = _ids(world, " union all ".join(_PRESENT[one] for one in lists), fault, place)
        if fault.how != "delete":
            for own in struck:
                _CREATE[fault.what](world, own)
        if fault.how != "create":
            for own in struck:
                _delete(world, fault.what, own, application)


def _ids(world: World, among: str, fault: Shift, place: Mapping[str, str]) -> list[str]:
    order = "asc" if fault.end == "first" else "desc"
    statement = f"select distinct id from ({among}) order by id {order} limit :count"
    return [own for (own,) in world.db.execute(statement, {**place, "count": fault.count})]


def _delete(world: World, what: str, own: str, application: str) -> None:
    if what == "devices":  # their records stay, as in `Control.delete_device`
        delete(world, own, world.clock.now_ms())
        return
    for table, which in _PARTS[what].items():
        for row in world.rows(f"select * from {table} where {which}", {"id": own}):
            world.insert("removed", [(None, own, what, application, table, json.dumps([*row.values()]))])
    for table, which in _PARTS[what].items():
        world.db.execute(f"delete from {table} where {which}", {"id": own})


def _restore(world: World, fault: Shift, place: Mapping[str, str]) -> None:
    removed = f"select id from removed where application_id = :application and what = '{fault.what}'"
    for own in _ids(world, f"{_DEVICES} not null" if fault.what == "devices" else removed, fault, place):
        world.db.execute("update devices set deleted_ms = null where id = ?", (own,))
        for table, row in world.db.execute("select table_name, row from removed where id = ?", (own,)).fetchall():
            world.insert(table, [json.loads(row)], "or ignore")
        world.db.execute("delete from removed where id = ?", (own,))


def _copy(world: World, table: str, model: str, **other: Any) -> str:
    """A row like that with the id `model`, created now. Returns its id; whatever has a name gets a new one."""
    (row,) = world.rows(f"select * from {table} where id = ?", (model,))
    new = {"id": _behind(world, table), "created_ms": world.clock.now_ms(), "updated_ms": world.clock.now_ms(), **other}
    named = {"name": f"{row['name']} {new['id'][-6:]}"} if "name" in row else {}
    world.insert(table, [[*(row | named | new).values()]])
    return str(new["id"])


def _behind(world: World, table: str) -> str:
    """A free id, behind all others of the table if there is room."""
    (highest,) = world.db.execute(f"select max(id) from {table}").fetchone()
    downwards = (f"{number:024x}" for number in count(min(int(highest, 16) + 1, _HIGHEST), -1))
    return next(own for own in downwards if not world.rows(f"select 1 from {table} where id = ?", (own,)))


def _create_device(world: World, model: str, **other: Any) -> str:
    new = _copy(world, "devices", model, attempt_ms=None, death_ms=None, deleted_ms=None, **other)
    tags = world.rows("select position, key, value from tags where device_id = ? order by position", (model,))
    world.insert("tags", ([new, *tag.values()] for tag in tags))
    return new


def _create_record(world: World, model: str) -> None:
    """A device like the record's, with a record like it."""
    entries = world.rows(f"select * from entries where {_PARTS['records']['entries']}", {"id": model})
    flow_id = next((row["flow_id"] for row in entries if row["record_id"]), None)
    owners = "select device_id, application_id from records where id = :id union select device_id, application_id "
    ((device, application),) = world.db.execute(owners + "from entries where record_id = :id", {"id": model})
    every = "select max(id) from (select id from records union all select record_id as id from entries)"
    ((highest,),) = world.db.execute(every)
    devices = (object_id(application, "device", device, str(number)) for number in count())
    new = next(one for one in devices if record_id(application, one, flow_id) > min(highest, _LATE))
    own = record_id(application, _create_device(world, device, id=new), flow_id)
    if flow_id is None:
        _copy(world, "records", model, id=own, device_id=new)
    now = world.clock.now_ms()
    for row in entries:
        other = {"record_id": own, "created_ms": now, "updated_ms": now} if flow_id else {}
        world.insert("entries", [[*(row | other | {"device_id": new}).values()]])


_CREATE: Mapping[str, Callable[[World, str], object]] = {
    "records": _create_record,
    "devices": _create_device,
    "flows": lambda world, model: _copy(world, "flows", model),
    "versions": lambda world, model: _copy(world, "versions", model),
}
