"""A reference model of the API's effects, each open question a switch, with devices that report when they please.

It is written from the API's documentation alone and shares nothing with `reconciler.planner` but the values: rows as
pairs of released and reported version, and requests. Calls act on each row by itself, so what can become of a world
is the product of what can become of its rows; `fates` walks all of it for one row, `Platform` plays one course of
events for a whole world.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import DeviceId, Entry, FlowId, Live, LiveDevice, Row, Version


class Answers(NamedTuple):
    """One way to answer what the API leaves open.

    `matches`: what `replace` compares with its old version. `forgets`: a removed entry is dropped at once, instead of
    keeping what the device reports until it confirms. `drops_records`: a record without flows disappears.
    """

    matches: str = "released"
    forgets: bool = False
    drops_records: bool = False


MATCHES = ("released", "reported", "either", "both")
ALL_ANSWERS = tuple(Answers(*each) for each in product(MATCHES, (False, True), (False, True)))
ROW_ANSWERS = tuple(answers for answers in ALL_ANSWERS if not answers.drops_records)  # the rest is about records


class Act(NamedTuple):
    """What a request means for one row: `new` is released, if the row matches `old` or the request has no condition."""

    new: Version | None
    old: Version | None = None

    def touches(self, entry: Entry, answers: Answers) -> bool:
        """Whether the platform applies it."""
        if self.old is None:
            return True
        released, reported = entry.released == self.old, entry.reported == self.old
        match answers.matches:
            case "released":
                return released
            case "reported":
                return reported
            case "either":
                return released or reported
            case _:
                return released and reported

    def applied(self, entry: Entry, answers: Answers) -> Entry:
        """The row after it."""
        if not self.touches(entry, answers):
            return entry
        return Entry(self.new, None if self.new is None and answers.forgets else entry.reported)


def act(request: Request, row: Row) -> Act | None:
    """What a request means for a row; None if it is not about the row at all."""
    device_id, flow_id = row
    match request:
        case Release():
            return Act(request.version) if request.flow_id == flow_id and device_id in request.device_ids else None
        case Replace():
            return Act(request.new, request.old) if request.flow_id == flow_id else None
        case RemoveRow():
            return Act(None) if (request.device_id, request.flow_id) == row else None
        case RemoveDevice():
            return Act(None) if request.device_id == device_id else None
        case RemoveFlow():
            return Act(None) if request.flow_id == flow_id else None


class Course(NamedTuple):
    """Where one row may be at some moment: which calls are done, and the versions its device may still report."""

    done: frozenset[int]
    entry: Entry
    loaded: frozenset[Version | None]


@lru_cache(maxsize=500_000)
def fates(
    entry: Entry, unknown: frozenset[Version | None], acts: tuple[tuple[Act, frozenset[int]], ...], answers: Answers
) -> tuple[frozenset[Version | None], frozenset[Version | None]]:
    """Every version that may be released for a row at any moment, and those that may be at the end.

    Acts come in any order in which each comes after those that it waits for. Before each, the device may report what
    it was seen to report or what was released since, or one of `unknown`, which an unknown bundle may hold.
    """
    seen: set[Course] = set()
    ever: set[Version | None] = set()
    ends: set[Version | None] = set()
    todo = [Course(frozenset(), entry, frozenset(entry) | unknown)]
    while todo:
        course = todo.pop()
        if course in seen:
            continue
        seen.add(course)
        ever.add(course.entry.released)
        if len(course.done) == len(acts):
            ends.add(course.entry.released)
        todo += [course._replace(entry=course.entry._replace(reported=version)) for version in course.loaded]
        for number, (one, after) in enumerate(acts):
            if number not in course.done and after <= course.done:
                now = one.applied(course.entry, answers)
                todo.append(Course(course.done | {number}, now, course.loaded | {now.released}))
    return frozenset(ever), frozenset(ends)


def concerning(row: Row, calls: Sequence[tuple[Request, frozenset[int]]]) -> tuple[tuple[Act, frozenset[int]], ...]:
    """What calls mean for a row, those that are not about it left out, with whom each waits for, at any remove."""
    before = [after for _, after in calls]
    for _ in calls:
        before = [after.union(*(before[other] for other in after)) for after in before]
    acts = {number: one for number, (request, _) in enumerate(calls) if (one := act(request, row))}
    place = {number: index for index, number in enumerate(acts)}
    return tuple(
        (one, frozenset(place[other] for other in before[number] if other in place)) for number, one in acts.items()
    )


def astray(
    live: Live,
    wanted: Mapping[Row, Version | None],
    calls: Sequence[tuple[Request, frozenset[int]]],
    versions: Iterable[Version],
    answers: Iterable[Answers] = ROW_ANSWERS,
) -> Iterator[str]:
    """Everything that can go wrong with calls on a world, in words. `wanted`: rows to move and where to.

    Args:
        live: the world as it was read.
        wanted: the changes.
        calls: requests with the positions of those that they wait for.
        versions: what an unknown bundle may hold.
        answers: the readings to try.
    """
    anything = frozenset({None, *versions})
    flows = {flow_id for _, flow_id, _ in live.rows()} | {flow_id for _, flow_id in wanted}
    rows = {(device_id, flow_id) for device_id in live.devices for flow_id in flows} | set(wanted)
    for row in sorted(rows):
        entry = live.entry(*row)
        device = live.devices.get(row[0])
        unknown = anything if device and device.unknown_bundle else frozenset()
        end = wanted.get(row, entry.released)
        acts = concerning(row, calls)
        for reading in answers:
            ever, ends = fates(entry, unknown, acts, reading)
            if not ever <= {entry.released, end}:
                yield f"{row} was {entry}, must end at {end}, could be at {sorted(map(str, ever))} if {reading}"
            elif ends != {end}:
                yield f"{row} was {entry}, must end at {end}, could end at {sorted(map(str, ends))} if {reading}"


@dataclass
class Platform:
    """One course of events: a world that requests and reports act on, with a dice for everything that is open."""

    devices: dict[DeviceId, dict[FlowId, Entry]]
    unknown: set[DeviceId]
    answers: Answers
    dice: random.Random
    versions: Sequence[Version]
    loaded: dict[Row, list[Version | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, live: Live, answers: Answers, dice: random.Random, versions: Sequence[Version]) -> Platform:
        devices = {device_id: dict(device.flows) for device_id, device in live.devices.items()}
        unknown = {device_id for device_id, device in live.devices.items() if device.unknown_bundle}
        platform = cls(devices, unknown, answers, dice, versions)
        for device_id, flow_id, entry in live.rows():
            platform.loaded[device_id, flow_id] = [*entry]
        return platform

    def rows(self) -> list[Row]:
        return sorted((device_id, flow_id) for device_id, flows in self.devices.items() for flow_id in flows)

    def send(self, request: Request) -> None:
        """Apply a request to every row that it touches, rows that do not exist yet included."""
        if isinstance(request, Release):
            for device_id in request.device_ids:
                self.devices.setdefault(device_id, {}).setdefault(request.flow_id, Entry(None, None))
        for row in self.rows():
            if one := act(request, row):
                now = one.applied(self.devices[row[0]][row[1]], self.answers)
                self.devices[row[0]][row[1]] = now
                self.loaded.setdefault(row, []).append(now.released)

    def report(self) -> None:
        """Some devices report, each row something that it was seen to run or told to run."""
        for row in self.rows():
            if self.dice.random() < 0.5:
                choice = self.loaded.get(row, [None])
                if row[0] in self.unknown:
                    choice = [None, *self.versions]
                entry = self.devices[row[0]][row[1]]
                self.devices[row[0]][row[1]] = entry._replace(reported=self.dice.choice(choice))

    def read(self) -> Live:
        """The listing, with or without empty entries and records as the dice and the answers have it."""
        devices = {}
        for device_id, flows in self.devices.items():
            shown = {flow: entry for flow, entry in flows.items() if any(entry) or self.dice.random() < 0.5}
            if shown or device_id in self.unknown or not self.answers.drops_records:
                devices[device_id] = LiveDevice(shown, unknown_bundle=device_id in self.unknown)
        return Live(devices)

    def released(self) -> dict[Row, Version]:
        """What is released where."""
        found = {}
        for device_id, flow_id in self.rows():
            version = self.devices[device_id][flow_id].released
            if version is not None:
                found[device_id, flow_id] = version
        return found
