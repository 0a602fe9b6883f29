"""Handles writes: each is refused, carried out, lost, or carried out later.

A write is checked when it arrives, and takes effect then or, because of a switch or a fault, later; its rows are
selected when it takes effect. Nothing runs in the background: before the world is read, `bring_up_to_date` processes
late writes and whatever devices do that is due, in the order of their times.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from reconciler.simulator.api.selection import Selection, Write, select
from reconciler.simulator.api.validation import Problem
from reconciler.simulator.world.connections import die, take_turns
from reconciler.simulator.world.devices import attempt
from reconciler.simulator.world.records import Author, Kind
from reconciler.simulator.world.releases import Change, release
from reconciler.simulator.world.store import World

_NEVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to an accepted write: whether and when it takes effect, on all of its rows or half of them."""

    delay_ms: int = 0
    is_lost: bool = False
    is_halved: bool = False


def accept(world: World, write: Write, fate: Fate) -> None:
    """Accept a write, or refuse it.

    Raises:
        Problem: it is refused; a release that is not atomic may still have moved devices.
    """
    with world.changing():
        selection, now = select(world, write), world.clock.now_ms()
        if selection.problem is None and fate.is_lost:
            return
        if selection.problem is None and fate.delay_ms:
            values = (now + fate.delay_ms, json.dumps(write), fate.is_halved)
            world.db.execute("insert into late_writes (due_ms, write, is_halved) values (?, ?, ?)", values)
            return
        _carry_out(world, write, selection, now, is_halved=fate.is_halved)
    if selection.problem is not None:
        raise selection.problem


def _carry_out(world: World, write: Write, selection: Selection, at_ms: int, *, is_halved: bool) -> None:
    rows = selection.rows[: len(selection.rows) // 2] if is_halved else selection.rows
    change = Change(write.kind, write.application_id, selection.version, write.author, at_ms, selection.is_clear)
    release(world, change, rows)


def bring_up_to_date(world: World) -> None:
    """Process everything that is due; each event is recorded with the time at which it was due."""
    with world.changing():
        now = world.clock.now_ms()
        while True:
            write_ms, attempt_ms, death_ms, turn_ms = _due(world)
            next_ms = min(write_ms, attempt_ms, death_ms, turn_ms)
            if next_ms > now:
                return
            if write_ms == next_ms:
                _carry_out_next(world)
            elif attempt_ms == next_ms:
                attempt(world, min(now, write_ms, death_ms, turn_ms))
            elif death_ms == next_ms:
                die(world, death_ms)
            else:
                take_turns(world, turn_ms)


def next_event_ms(world: World) -> int | None:
    """The time of the next late write, or attempt that no sleep and no death will abort; or None."""
    (due_ms,) = world.db.execute(
        "select min(due_ms) from (select due_ms from late_writes union all select attempt_ms from devices "
        "where attempt_ms <= min(coalesce(turn_ms, attempt_ms), coalesce(death_ms, attempt_ms)))"
    ).fetchone()
    return None if due_ms is None else int(due_ms)


def _due(world: World) -> tuple[int, ...]:
    """The due times of the next late write, and of the next attempt, death and turn of a device."""
    found = world.db.execute(
        "select (select min(due_ms) from late_writes), "
        "(select min(attempt_ms) from devices where attempt_ms is not null), "
        "(select min(death_ms) from devices where death_ms is not null), "
        "(select min(turn_ms) from devices where turn_ms is not null)"
    ).fetchone()
    return tuple(_NEVER_MS if due_ms is None else due_ms for due_ms in found)


def _carry_out_next(world: World) -> None:
    """Carry out the late write that is due first; it is dropped if it has become invalid."""
    sequence, due_ms, text, is_halved = world.db.execute(
        "select sequence, due_ms, write, is_halved from late_writes order by due_ms, sequence limit 1"
    ).fetchone()
    world.db.execute("delete from late_writes where sequence = ?", (sequence,))
    kind, verb, application_id, body, author = json.loads(text)
    write = Write(Kind(kind), verb, application_id, body, Author(*author))
    with suppress(Problem):
        _carry_out(world, write, select(world, write), due_ms, is_halved=bool(is_halved))
