"""Device behaviour: a connected device takes up what is released after its take-up time, and may fail.

Nothing runs in the background: `api.writes.bring_up_to_date` makes the attempts that are due. Call everything here
within `world.changing()`.
"""

from __future__ import annotations

from reconciler.simulator.world.records import Author, Kind, log_entry, record_id, write_logs
from reconciler.simulator.world.releases import drop_empty, schedule_touched, touch
from reconciler.simulator.world.store import Row, World


def attempt(world: World, until_ms: int) -> None:
    """Make the device attempts that are due by then."""
    for kind in Kind:
        due = world.rows(
            "select d.id, attempt_ms as at_ms, r.id as record, released_bundle as bundle, "
            "unknown_bundle as was_unknown from devices d left join records r on r.device_id = d.id "
            "where attempt_ms <= ? and device_class = ? order by attempt_ms, d.id",
            (until_ms, kind.device_class),
        )
        if due:
            touch(world, ((device["id"], "") for device in due))
            world.db.execute("update devices set attempt_ms = null where id in (select device_id from touched)")
            (_take_bundles if kind is Kind.EMBEDDED else _take_flows)(world, due)
            drop_empty(world, kind)


def _failures(world: World) -> dict[str, dict[str, str]]:
    """The failures of touched devices for versions now released to them: device id to flow id to error."""
    found = world.db.execute(
        "select e.device_id, e.flow_id, f.error from touched t join entries e on e.device_id = t.device_id "
        "join failures f on f.device_id = e.device_id and f.flow_id = e.flow_id and f.version = e.released "
        "order by e.device_id, e.flow_id"
    )
    failures: dict[str, dict[str, str]] = {}
    for device_id, flow_id, error in found:
        failures.setdefault(device_id, {})[flow_id] = error
    return failures


def _take_bundles(world: World, due: list[Row]) -> None:
    """Take up bundles. All flows of a device are in one bundle: if one fails, none of them changes."""
    due = [device for device in due if device["record"] is not None]  # the record may have been dropped meanwhile
    failures = _failures(world)
    done = [(device["id"],) for device in due if device["id"] not in failures]
    for statement in (
        "update entries set reported = released where device_id = ?",
        "update records set reported_bundle = released_bundle, unknown_bundle = 0 where device_id = ?",
    ):
        world.db.executemany(statement, done)
    moments = [(device["at_ms"], device["id"]) for device in due]
    world.db.executemany("update records set updated_ms = ? where device_id = ?", moments)
    logs: list[tuple[str, Row]] = []
    for device in due:
        outcome = {"updateType": "knownBundle" if device["was_unknown"] else "device", "newBundle": device["bundle"]}
        if errors := failures.get(device["id"]):
            error = next(iter(errors.values()))
            outcome = {"updateType": "device", "attemptedBundle": device["bundle"], "error": error}
        entry = log_entry(Author("device", device["id"]), device["at_ms"], "current", **outcome)
        logs.append((device["record"], entry))
    write_logs(world, logs)


def _take_flows(world: World, due: list[Row]) -> None:
    """Take up flows. On an edge device each flow is delivered individually."""
    failures = _failures(world)
    moments = {device["id"]: device["at_ms"] for device in due}
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
            taken = ", reported = released, reported_etag = released_etag"
            outcome = {"newValue": released, "previousValue": reported, "newEtag": new_etag, "previousEtag": old_etag}
        else:
            taken, outcome = "", {"attemptedValue": released, "error": error, "attemptedEtag": new_etag}
        world.db.execute(f"update entries set updated_ms = ?{taken} where record_id = ?", (at_ms, own))
        logs.append((own, log_entry(Author("device", device_id), at_ms, "current", **outcome)))
    write_logs(world, logs)


def connect(world: World, device_id: str, at_ms: int) -> None:
    """The device comes online. After its take-up time it tries whatever it lacks, or failed to take up before."""
    (device_class,) = world.db.execute(
        "update devices set connected = 1, connection_ms = ?, connected_ms = ? where id = ? returning device_class",
        (at_ms, at_ms, device_id),
    ).fetchone()
    if kind := Kind.of_class(device_class):
        touch(world, [(device_id, "")])
        schedule_touched(world, kind, at_ms)


def disconnect(world: World, device_id: str, at_ms: int) -> None:
    """The device goes offline; a take-up in progress is aborted."""
    world.db.execute(
        "update devices set connected = 0, connection_ms = ?, disconnected_ms = ?, attempt_ms = null where id = ?",
        (at_ms, at_ms, device_id),
    )


def report_again(world: World, count: int) -> None:
    """This many devices report what they run, least recent first, which updates their records' `lastUpdated`."""
    with world.changing() as db:
        now = world.clock.now_ms()
        for table, own in (("records", "id"), ("entries", "record_id")):
            db.execute(
                f"update {table} set updated_ms = ? where {own} in "
                f"(select {own} from {table} where {own} is not null order by updated_ms, {own} limit ?)",
                (now, count),
            )


def report_unknown_bundle(world: World, device_id: str, bundle: str, at_ms: int) -> None:
    """The device reports a bundle unknown to the platform; the versions reported before are kept.

    The device does nothing more until it gets a release or reconnects.
    """
    (application_id,) = world.db.execute(
        "update devices set attempt_ms = null where id = ? returning application_id", (device_id,)
    ).fetchone()
    own = record_id(application_id, device_id)
    world.db.execute(
        "insert into records values (?, ?, ?, ?, ?, ?, null, 1) on conflict (id) do update set "
        "updated_ms = excluded.updated_ms, reported_bundle = excluded.reported_bundle, unknown_bundle = 1",
        (own, application_id, device_id, at_ms, at_ms, bundle),
    )
    entry = log_entry(Author("device", device_id), at_ms, "current", updateType="unknownBundle", newBundle=bundle)
    write_logs(world, [(own, entry)])
