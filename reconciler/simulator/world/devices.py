"""The devices: each one takes up what is released, after a while, if it is connected, and may fail.

Nothing runs in the background. Before anything looks at the world it is brought up to the present: writes that take
effect late and take-ups that are due happen in the order of their times, and carry those times.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from reconciler.simulator.api.deployments import Kind, drop_empty, record_id, schedule_touched, touch
from reconciler.simulator.api.writes import carry_out_next
from reconciler.simulator.world.logs import Author, log_head, write_logs
from reconciler.simulator.world.store import World

_Due: TypeAlias = list[tuple[str, str, int]]
"""Device id, application id and the moment of the attempt."""


def bring_up_to_date(world: World) -> None:
    """Let everything happen that is due by now."""
    with world.changing():
        now = world.clock.now_ms()
        while True:
            write_ms, attempt_ms = _next_ms(world)
            if write_ms is not None and write_ms <= now and (attempt_ms is None or write_ms <= attempt_ms):
                carry_out_next(world)
            elif attempt_ms is not None and attempt_ms <= now:
                _attempt(world, now if write_ms is None else min(now, write_ms))
            else:
                return


def next_event_ms(world: World) -> int | None:
    """When the next thing happens by itself, or None if nothing will."""
    return min((moment for moment in _next_ms(world) if moment is not None), default=None)


def _next_ms(world: World) -> tuple[int | None, int | None]:
    (write_ms,) = world.db.execute("select min(due_ms) from late_writes").fetchone()
    (attempt_ms,) = world.db.execute("select min(attempt_ms) from devices where attempt_ms is not null").fetchone()
    return write_ms, attempt_ms


def _attempt(world: World, until_ms: int) -> None:
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
    """All flows of a device travel in one bundle: one that fails keeps the whole bundle off the device."""
    bundles = {
        device_id: (bundle, bool(unknown))
        for device_id, bundle, unknown in world.db.execute(
            "select device_id, released_bundle, unknown_bundle from records join touched using (device_id)"
        )
    }
    due = [one for one in due if one[0] in bundles]  # A record may have been dropped meanwhile.
    failures = _failures(world)
    done = [one for one in due if one[0] not in failures]
    world.db.executemany(
        "update entries set reported = released where device_id = ?", [(device_id,) for device_id, _, _ in done]
    )
    world.db.executemany(
        "update records set reported_bundle = released_bundle, unknown_bundle = 0, updated_ms = ? where device_id = ?",
        [(at_ms, device_id) for device_id, _, at_ms in done],
    )
    world.db.executemany(
        "update records set updated_ms = ? where device_id = ?",
        [(at_ms, device_id) for device_id, _, at_ms in due if device_id in failures],
    )
    logs: list[tuple[str, dict[str, Any]]] = []
    for device_id, application_id, at_ms in due:
        bundle, was_unknown = bundles[device_id]
        entry = log_head(Author("device", device_id), at_ms, "current")
        entry["updateType"] = "knownBundle" if was_unknown and device_id not in failures else "device"
        if device_id in failures:
            entry |= {"attemptedBundle": bundle, "error": next(iter(failures[device_id].values()))}
        else:
            entry["newBundle"] = bundle
        logs.append((record_id(application_id, device_id), entry))
    write_logs(world, logs)


def _take_flows(world: World, due: _Due) -> None:
    """On an edge device each flow travels alone."""
    failures = _failures(world)
    moments = {device_id: at_ms for device_id, _, at_ms in due}
    behind = world.db.execute(
        "select device_id, flow_id, record_id, released, reported, released_etag, reported_etag from entries "
        "join (select distinct device_id from touched) using (device_id) "
        "where released is not reported or released_etag is not reported_etag"
    ).fetchall()
    logs: list[tuple[str, dict[str, Any]]] = []
    for device_id, flow_id, own, released, reported, new_etag, old_etag in behind:
        at_ms = moments[device_id]
        entry = log_head(Author("device", device_id), at_ms, "current")
        error = failures.get(device_id, {}).get(flow_id)
        if error is None:
            world.db.execute(
                "update entries set reported = released, reported_etag = released_etag, updated_ms = ? "
                "where record_id = ?",
                (at_ms, own),
            )
            entry |= {"newValue": released, "previousValue": reported}
            entry |= _present({"newEtag": new_etag, "previousEtag": old_etag})
        else:
            world.db.execute("update entries set updated_ms = ? where record_id = ?", (at_ms, own))
            entry |= {"attemptedValue": released, "error": error, **_present({"attemptedEtag": new_etag})}
        logs.append((own, entry))
    write_logs(world, logs)


def _present(values: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def connect(world: World, device_id: str, at_ms: int) -> None:
    """The device comes online: what it lacks, and what it failed before, it tries after its take-up time."""
    with world.changing() as db:
        db.execute(
            "update devices set connected = 1, connection_ms = ?, connected_ms = ? where id = ?",
            (at_ms, at_ms, device_id),
        )
        touch(world, [(device_id, "")])
        for kind in _kinds(world, device_id):
            schedule_touched(world, kind, at_ms)


def disconnect(world: World, device_id: str, at_ms: int) -> None:
    """The device goes offline; a take-up that had begun is broken off."""
    with world.changing() as db:
        db.execute(
            "update devices set connected = 0, connection_ms = ?, disconnected_ms = ?, attempt_ms = null where id = ?",
            (at_ms, at_ms, device_id),
        )


def _kinds(world: World, device_id: str) -> list[Kind]:
    row = world.db.execute("select device_class from devices where id = ?", (device_id,)).fetchone()
    return [kind for kind in Kind if row is not None and kind.device_class == row[0]]


def report_unknown_bundle(world: World, device_id: str, bundle: str, at_ms: int) -> None:
    """The device says hello with a bundle that the platform cannot map; what it reported before stays on record.

    It is left alone until the next release to it or its next connect.
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
        entry = log_head(Author("device", device_id), at_ms, "current")
        write_logs(world, [(own, {**entry, "updateType": "unknownBundle", "newBundle": bundle})])
