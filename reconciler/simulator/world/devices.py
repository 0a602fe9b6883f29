"""How devices behave: each takes up what is released, after a while, if it is connected, and may fail.

Nothing runs in the background: `api.writes.bring_up_to_date` makes the attempts that are due.
"""

from __future__ import annotations

from typing import TypeAlias

from reconciler.simulator.world.ids import record_id
from reconciler.simulator.world.records import Author, Kind, log_entry, write_logs
from reconciler.simulator.world.releases import drop_empty, schedule_touched, touch
from reconciler.simulator.world.store import Row, World

_Due: TypeAlias = list[tuple[str, str, int]]
"""Device id, application id and the moment of the attempt."""


def attempt(world: World, until_ms: int) -> None:
    """Let every device try whose attempt is due by then."""
    for kind in Kind:
        due = world.db.execute(
            "select id, application_id, attempt_ms from devices "
            "where attempt_ms <= ? and device_class = ? order by attempt_ms, id",
            (until_ms, kind.device_class),
        ).fetchall()
        if due:
            touch(world, ((device_id, "") for device_id, _, _ in due))
            world.db.execute("update devices set attempt_ms = null where id in (select device_id from touched)")
            (_take_bundles if kind is Kind.EMBEDDED else _take_flows)(world, due)
            drop_empty(world, kind)


def _failures(world: World) -> dict[str, dict[str, str]]:
    """Of the touched devices that fail something now released to them: device id to flow id to error."""
    found = world.db.execute(
        "select e.device_id, e.flow_id, f.error from touched t join entries e on e.device_id = t.device_id "
        "join failures f on f.device_id = e.device_id and f.flow_id = e.flow_id and f.version = e.released "
        "order by e.device_id, e.flow_id"
    )
    failures: dict[str, dict[str, str]] = {}
    for device_id, flow_id, error in found:
        failures.setdefault(device_id, {})[flow_id] = error
    return failures


def _take_bundles(world: World, due: _Due) -> None:
    """All flows of a device come in one bundle: if one fails, none of them changes."""
    bundles = {
        device_id: (bundle, bool(unknown))
        for device_id, bundle, unknown in world.db.execute(
            "select device_id, released_bundle, unknown_bundle from records join touched using (device_id)"
        )
    }
    due = [one for one in due if one[0] in bundles]  # A record may have been dropped meanwhile.
    failures = _failures(world)
    done = [(device_id,) for device_id, _, _ in due if device_id not in failures]
    for statement in (
        "update entries set reported = released where device_id = ?",
        "update records set reported_bundle = released_bundle, unknown_bundle = 0 where device_id = ?",
    ):
        world.db.executemany(statement, done)
    world.db.executemany(
        "update records set updated_ms = ? where device_id = ?", [(at_ms, device_id) for device_id, _, at_ms in due]
    )
    logs: list[tuple[str, Row]] = []
    for device_id, application_id, at_ms in due:
        bundle, was_unknown = bundles[device_id]
        update, outcome = "knownBundle" if was_unknown else "device", {"newBundle": bundle}
        if device_id in failures:
            update = "device"
            outcome = {"attemptedBundle": bundle, "error": next(iter(failures[device_id].values()))}
        entry = log_entry(Author("device", device_id), at_ms, "current", updateType=update, **outcome)
        logs.append((record_id(application_id, device_id), entry))
    write_logs(world, logs)


def _take_flows(world: World, due: _Due) -> None:
    """On an edge device each flow is delivered by itself."""
    failures = _failures(world)
    moments = {device_id: at_ms for device_id, _, at_ms in due}
    behind = world.db.execute(
        "select device_id, flow_id, record_id, released, reported, released_etag, reported_etag from entries "
        "join (select distinct device_id from touched) using (device_id) "
        "where released is not reported or released_etag is not reported_etag"
    ).fetchall()
    logs: list[tuple[str, Row]] = []
    for device_id, flow_id, own, released, reported, new_etag, old_etag in behind:
        at_ms = moments[device_id]
        error = failures.get(device_id, {}).get(flow_id)
        if error is None:
            world.db.execute(
                "update entries set reported = released, reported_etag = released_etag, updated_ms = ? "
                "where record_id = ?",
                (at_ms, own),
            )
            outcome = {"newValue": released, "previousValue": reported, "newEtag": new_etag, "previousEtag": old_etag}
        else:
            world.db.execute("update entries set updated_ms = ? where record_id = ?", (at_ms, own))
            outcome = {"attemptedValue": released, "error": error, "attemptedEtag": new_etag}
        logs.append((own, log_entry(Author("device", device_id), at_ms, "current", **outcome)))
    write_logs(world, logs)


def connect(world: World, device_id: str, at_ms: int) -> None:
    """The device comes online: what it lacks, and what it failed before, it tries after its take-up time."""
    with world.changing() as db:
        db.execute(
            "update devices set connected = 1, connection_ms = ?, connected_ms = ? where id = ?",
            (at_ms, at_ms, device_id),
        )
        (device_class,) = db.execute("select device_class from devices where id = ?", (device_id,)).fetchone()
        if kind := Kind.of_class(device_class):
            touch(world, [(device_id, "")])
            schedule_touched(world, kind, at_ms)


def disconnect(world: World, device_id: str, at_ms: int) -> None:
    """The device goes offline; a take-up that had begun is aborted."""
    with world.changing() as db:
        db.execute(
            "update devices set connected = 0, connection_ms = ?, disconnected_ms = ?, attempt_ms = null where id = ?",
            (at_ms, at_ms, device_id),
        )


def report_again(world: World, count: int) -> None:
    """Devices report what they run, those longest silent first: their records move to the front by `lastUpdated`."""
    with world.changing() as db:
        now = world.clock.now_ms()
        for table, own in (("records", "id"), ("entries", "record_id")):
            db.execute(
                f"update {table} set updated_ms = ? where {own} in "
                f"(select {own} from {table} where {own} is not null order by updated_ms, {own} limit ?)",
                (now, count),
            )


def report_unknown_bundle(world: World, device_id: str, bundle: str, at_ms: int) -> None:
    """The device reports a bundle that the platform cannot map; what it reported before stays on record.

    Nothing happens to it until it is released to or connects again.
    """
    with world.changing() as db:
        (application_id,) = db.execute("select application_id from devices where id = ?", (device_id,)).fetchone()
        own = record_id(application_id, device_id)
        db.execute(
            "insert into records values (?, ?, ?, ?, ?, ?, null, 1) on conflict (id) do update set "
            "updated_ms = excluded.updated_ms, reported_bundle = excluded.reported_bundle, unknown_bundle = 1",
            (own, application_id, device_id, at_ms, at_ms, bundle),
        )
        db.execute("update devices set attempt_ms = null where id = ?", (device_id,))
        author = Author("device", device_id)
        write_logs(world, [(own, log_entry(author, at_ms, "current", updateType="unknownBundle", newBundle=bundle))])
