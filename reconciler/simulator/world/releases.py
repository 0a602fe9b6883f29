"""The effects of a write: rows get a new released version, their records a bundle or an etag, a log entry and a date.

Everything here works on many rows at once, since one call may move a whole application. How devices react is in
`devices`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from reconciler.simulator.world.records import (
    NO_BUNDLE,
    Author,
    Kind,
    bundle_id,
    etag_of,
    log_entry,
    record_id,
    write_logs,
)
from reconciler.simulator.world.store import Row, World


@dataclass(frozen=True, slots=True)
class Change:
    """Release one version (None: remove) on rows of one application.

    `is_clear` marks the removal of all flows of a device, which the log of an embedded record shows as one change.
    """

    kind: Kind
    application_id: str
    version: str | None
    author: Author
    at_ms: int
    is_clear: bool = False


class Move(NamedTuple):
    """A row, and the version that was released on it before."""

    device_id: str
    flow_id: str
    before: str | None


def empty_bundle(world: World) -> str | None:
    """The value of `desiredBundleVersion` when no flow is released."""
    return NO_BUNDLE if world.switches.empty_bundle == "nullVersion" else None


def release(world: World, change: Change, rows: Iterable[tuple[str, str]]) -> None:
    """Set the released version of rows of (device id, flow id). Call it within `world.changing()`."""
    moves = _moves(world, change, rows)
    if not moves:
        return
    touch(world, [move[:2] for move in moves])
    world.db.execute(
        "insert into entries (device_id, flow_id, application_id, released) "
        "select device_id, flow_id, ?, ? from touched where true "
        "on conflict (device_id, flow_id) do update set released = excluded.released",
        (change.application_id, change.version),
    )
    if change.kind is Kind.EMBEDDED:
        _release_bundles(world, change, moves)
    else:
        _release_etags(world, change, moves)
    schedule_touched(world, change.kind, change.at_ms)
    drop_empty(world, change.kind)


def _moves(world: World, change: Change, rows: Iterable[tuple[str, str]]) -> list[Move]:
    touch(world, rows)
    found = world.db.execute(
        "select device_id, flow_id, released from touched left join entries e using (device_id, flow_id) "
        "where (e.device_id is not null or :version is not null) and not (:is_silent and released is :version) "
        "order by device_id, flow_id",
        {"version": change.version, "is_silent": world.switches.rerelease == "silent"},
    )
    return [Move(*row) for row in found]


def touch(world: World, rows: Iterable[tuple[str, str]]) -> None:
    """Fill the temporary table `touched` with the rows for the next statements."""
    world.db.execute("delete from touched")
    world.db.executemany("insert or ignore into touched values (?, ?)", rows)


def _release_bundles(world: World, change: Change, moves: Sequence[Move]) -> None:
    at_ms = change.at_ms
    records = {move.device_id: record_id(change.application_id, move.device_id) for move in moves}
    new = ((own, change.application_id, device, at_ms, at_ms, NO_BUNDLE, None, 0) for device, own in records.items())
    world.insert("records", new, "or ignore")
    bundles = rebundle(world, records, at_ms)
    logged = {move.device_id: move for move in moves}.values() if change.is_clear else moves
    write_logs(world, ((records[one.device_id], bundle_log(change, one, bundles[one.device_id])) for one in logged))


def bundle_log(change: Change, move: Move, bundle: str | None) -> Row:
    """The entry in the log of an embedded record."""
    if change.version is None:
        update = "clear" if change.is_clear else "removeFlow"
    else:
        update = "newFlow" if move.before is None else "replaceFlow"
    flow = {} if change.is_clear else {"updateFlowId": move.flow_id, "desiredVersion": change.version}
    return log_entry(change.author, change.at_ms, "desired", updateType=update, **flow, newBundle=bundle)


def rebundle(world: World, devices: Iterable[str], at_ms: int) -> dict[str, str | None]:
    """Give records the bundles for their released versions. Returns the bundles by device id."""
    wanted: dict[str, str | None] = dict.fromkeys(devices, empty_bundle(world))
    found = world.db.execute(
        "select device_id, flow_id, released, globals_revision from entries "
        "join applications on applications.id = application_id where released is not null "
        "and device_id in (select value from json_each(?)) order by device_id, flow_id",
        (json.dumps(list(wanted)),),
    )
    for device_id, rows in groupby(found, lambda row: row[0]):
        contents = list(rows)
        wanted[device_id] = bundle_id(device_id, [(flow, version) for _, flow, version, _ in contents], contents[0][3])
    world.db.executemany(
        "update records set released_bundle = ?, updated_ms = ? where device_id = ?",
        [(bundle, at_ms, device_id) for device_id, bundle in wanted.items()],
    )
    return wanted


def _release_etags(world: World, change: Change, moves: Sequence[Move]) -> None:
    own, at = change.application_id, change.at_ms
    world.db.executemany(
        "update entries set record_id = ?, created_ms = coalesce(created_ms, ?), updated_ms = ?, released_etag = ? "
        "where device_id = ? and flow_id = ?",
        [(record_id(own, *one[:2]), at, at, etag_of(one.flow_id, change.version), *one[:2]) for one in moves],
    )
    write_logs(world, ((record_id(own, *one[:2]), etag_log(change, one)) for one in moves))


def etag_log(change: Change, move: Move) -> Row:
    """The entry in the log of an edge record."""
    etags = [etag_of(move.flow_id, version) for version in (change.version, move.before)]
    values = {"newValue": change.version, "previousValue": move.before, "newEtag": etags[0], "previousEtag": etags[1]}
    return log_entry(change.author, change.at_ms, "desired", **values)


_BEHIND = {
    Kind.EMBEDDED: "(select released_bundle is not reported_bundle from records where device_id = devices.id)",
    Kind.EDGE: "exists (select 1 from entries where device_id = devices.id and "
    "(released is not reported or released_etag is not reported_etag))",
}


def schedule_touched(world: World, kind: Kind, at_ms: int) -> None:
    """Schedule attempts of the touched devices: after the take-up time if connected and behind, else none."""
    world.db.execute(
        f"update devices set attempt_ms = case when connected = 1 and {_BEHIND[kind]} then ? + take_up_ms end "
        "where id in (select device_id from touched)",
        (at_ms,),
    )


def drop_empty(world: World, kind: Kind) -> None:
    """Delete entries of the touched devices with nothing released or reported, and records without entries."""
    keeps = world.switches.empty_entries if kind is Kind.EMBEDDED else world.switches.empty_edge_records
    touched = "device_id in (select device_id from touched)"
    if keeps == "dropped":
        world.db.execute(f"delete from entries where released is null and reported is null and {touched}")
    if kind is Kind.EMBEDDED and world.switches.empty_records == "dropped":
        world.db.execute(
            f"delete from records where {touched} and not exists "
            "(select 1 from entries where entries.device_id = records.device_id)"
        )
