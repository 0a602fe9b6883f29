"""Device behaviour: a connected device takes up what is released after its take-up time, and tells how that went.

Nothing runs in the background: `api.writes.bring_up_to_date` makes the attempts that are due. Call everything here
within `world.changing()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.simulator.world import outcomes
from reconciler.simulator.world.outcomes import Outcome, worst
from reconciler.simulator.world.records import (
    NO_BUNDLE,
    Author,
    Kind,
    bundle_id,
    etag,
    etag_of,
    log_entry,
    record_id,
    write_logs,
)
from reconciler.simulator.world.releases import drop_empty, touch
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


def _take_bundles(world: World, due: list[Row]) -> None:
    """Take up bundles. All flows of a device are in one bundle, with one outcome: the worst of its flows."""
    rules, otherwise = outcomes.of_touched(world), outcomes.of_fleet(world)
    loaded: list[tuple[Row, Outcome]] = []
    moments: list[tuple[int, str]] = []
    logs: list[tuple[str, Row]] = []
    for device in due:
        if device["record"] is None:  # it may have been dropped meanwhile
            continue
        outcome = worst(rules.get(device["id"], {}).values(), otherwise)
        told = {"updateType": "knownBundle" if device["was_unknown"] else "device", "newBundle": device["bundle"]}
        match outcome.kind:
            case "silent":
                continue
            case "unknown":
                report_unknown_bundle(world, device["id"], unknown_bundle(device["id"]), device["at_ms"])
                continue
            case "fails":
                told = {"updateType": "device", "attemptedBundle": device["bundle"], "error": outcome.detail}
            case _:
                loaded.append((device, outcome))
        entry = log_entry(Author("device", device["id"]), device["at_ms"], "current", **told)
        logs.append((device["record"], entry))
        moments.append((device["at_ms"], device["record"]))
    _load_bundles(world, [device["id"] for device, _ in loaded])
    world.db.executemany("update records set updated_ms = ? where id = ?", moments)
    write_logs(world, logs)
    for device, outcome in loaded:
        _begin_to_die(world, device["id"], outcome, device["at_ms"])


def _load_bundles(world: World, device_ids: Sequence[str]) -> None:
    for statement in (
        "update entries set reported = released where device_id = ?",
        "update records set reported_bundle = released_bundle, unknown_bundle = 0 where device_id = ?",
    ):
        world.db.executemany(statement, ((own,) for own in device_ids))


def unknown_bundle(device_id: str, salt: int = 0) -> str:
    """A bundle that the platform does not know."""
    return bundle_id(device_id, [("unknown", "bundle")], salt)


def _take_flows(world: World, due: list[Row]) -> None:
    """Take up flows. On an edge device each flow is delivered individually."""
    rules, otherwise = outcomes.of_touched(world), outcomes.of_fleet(world)
    moments = {device["id"]: device["at_ms"] for device in due}
    behind = world.db.execute(
        "select device_id, flow_id, record_id, released, reported, released_etag, reported_etag from entries "
        "join (select distinct device_id from touched) using (device_id) "
        "where released is not reported or released_etag is not reported_etag"
    ).fetchall()
    logs: list[tuple[str, Row]] = []
    for device_id, flow_id, own, released, reported, new_etag, old_etag in behind:
        at_ms = moments[device_id]
        outcome = rules.get(device_id, {}).get(flow_id, otherwise)
        if outcome.kind == "silent":
            continue
        if outcome.kind == "fails":
            taken: tuple[Any, ...] = (reported, old_etag)
            told = {"attemptedValue": released, "error": outcome.detail, "attemptedEtag": new_etag}
        else:
            strange = outcome.kind == "unknown" and released is not None
            taken = (released, etag(device_id, flow_id, "unknown") if strange else new_etag)
            told = {"newValue": released, "previousValue": reported, "newEtag": taken[1], "previousEtag": old_etag}
            _begin_to_die(world, device_id, outcome, at_ms)
        world.db.execute(
            "update entries set updated_ms = ?, reported = ?, reported_etag = ? where record_id = ?",
            (at_ms, *taken, own),
        )
        logs.append((own, log_entry(Author("device", device_id), at_ms, "current", **told)))
    write_logs(world, logs)


def _begin_to_die(world: World, device_id: str, outcome: Outcome, at_ms: int) -> None:
    if outcome.kind == "dies":
        world.db.execute("update devices set death_ms = ? where id = ?", (at_ms + int(outcome.detail), device_id))


def report(world: World, device_id: str, flow_id: str, version: str | None, at_ms: int) -> None:
    """The device reports a version of a flow, and with it the bundle or the etag, without a release."""
    (row,) = world.rows(
        "select record_id, reported, reported_etag, application_id, globals_revision from entries "
        "join applications on applications.id = application_id where device_id = ? and flow_id = ?",
        (device_id, flow_id),
    )
    new, device = etag_of(flow_id, version), Author("device", device_id)
    world.db.execute(
        "update entries set reported = ?, reported_etag = iif(record_id is null, null, ?), updated_ms = ? "
        "where device_id = ? and flow_id = ?",
        (version, new, at_ms, device_id, flow_id),
    )
    if row["record_id"] is not None:
        told = {"newValue": version, "previousValue": row["reported"]}
        etags = {"newEtag": new, "previousEtag": row["reported_etag"]}
        write_logs(world, [(row["record_id"], log_entry(device, at_ms, "current", **told, **etags))])
        return
    contents = world.db.execute(
        "select flow_id, reported from entries where device_id = ? and reported is not null order by flow_id",
        (device_id,),
    ).fetchall()
    bundle = bundle_id(device_id, contents, row["globals_revision"]) if contents else NO_BUNDLE
    for (own,) in world.db.execute(
        "update records set updated_ms = ?, reported_bundle = ?, unknown_bundle = 0 where device_id = ? returning id",
        (at_ms, bundle, device_id),
    ).fetchall():
        entry = log_entry(device, at_ms, "current", updateType="device", newBundle=bundle)
        write_logs(world, [(own, entry)])


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
