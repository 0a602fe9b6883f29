"""What happens to a write: it is refused, carried out, lost, or carried out later.

A write is checked when it arrives and takes effect then or, by a switch or a fault, later; which rows it means is read
at the moment of the effect. Nothing runs in the background: before anything looks at the world, `bring_up_to_date` lets
late writes and device attempts happen, in the order of their times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from reconciler.simulator.api.problems import Problem
from reconciler.simulator.api.selection import Selection, Write, select
from reconciler.simulator.world.devices import attempt, next_attempt_ms
from reconciler.simulator.world.records import Author, Kind
from reconciler.simulator.world.releases import Change, release
from reconciler.simulator.world.store import World


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to an accepted write: when it takes effect, whether at all, on all of its rows or half of them."""

    delay_ms: int = 0
    is_lost: bool = False
    is_halved: bool = False


def accept(world: World, write: Write, fate: Fate) -> None:
    """Accept a write, or refuse it.

    Raises:
        Problem: it is refused; a release that is not atomic may have moved devices all the same.
    """
    with world.changing():
        selection = select(world, write)
        if selection.problem is None and fate.is_lost:
            return
        if selection.problem is None and fate.delay_ms:
            _postpone(world, write, fate)
            return
        _carry_out(world, write, selection, world.clock.now_ms(), is_halved=fate.is_halved)
    if selection.problem is not None:
        raise selection.problem


def _carry_out(world: World, write: Write, selection: Selection, at_ms: int, *, is_halved: bool) -> None:
    rows = selection.rows[: len(selection.rows) // 2] if is_halved else selection.rows
    change = Change(
        write.kind, write.application_id, selection.version, write.author, at_ms, is_clear=selection.is_clear
    )
    release(world, change, rows)


def _postpone(world: World, write: Write, fate: Fate) -> None:
    author = json.dumps([write.author.type, write.author.id])
    world.db.execute(
        "insert into late_writes (due_ms, action, application_id, body, author, keep) values (?, ?, ?, ?, ?, ?)",
        (
            *(world.clock.now_ms() + fate.delay_ms, f"{write.kind} {write.verb}", write.application_id),
            *(json.dumps(write.body), author, 50 if fate.is_halved else 100),
        ),
    )


def bring_up_to_date(world: World) -> None:
    """Let everything happen that is due by now; it carries the time at which it was due."""
    with world.changing():
        now = world.clock.now_ms()
        while True:
            write_ms, attempt_ms = _next_write_ms(world), next_attempt_ms(world)
            if write_ms is not None and write_ms <= now and (attempt_ms is None or write_ms <= attempt_ms):
                _carry_out_next(world)
            elif attempt_ms is not None and attempt_ms <= now:
                attempt(world, now if write_ms is None else min(now, write_ms))
            else:
                return


def next_event_ms(world: World) -> int | None:
    """When the next thing happens by itself, or None if nothing will."""
    moments = (_next_write_ms(world), next_attempt_ms(world))
    return min((moment for moment in moments if moment is not None), default=None)


def _next_write_ms(world: World) -> int | None:
    (due_ms,) = world.db.execute("select min(due_ms) from late_writes").fetchone()
    return None if due_ms is None else int(due_ms)


def _carry_out_next(world: World) -> None:
    """Let the late write that is due first take effect; if it has become impossible, it is dropped."""
    sequence, due_ms, action, application_id, body, author, keep = world.db.execute(
        "select * from late_writes order by due_ms, sequence limit 1"
    ).fetchone()
    world.db.execute("delete from late_writes where sequence = ?", (sequence,))
    kind, verb = action.split()
    write = Write(Kind(kind), verb, application_id, json.loads(body), Author(*json.loads(author)))
    try:
        selection = select(world, write)
    except Problem:
        return
    _carry_out(world, write, selection, due_ms, is_halved=keep < 100)
