"""Every small world, and every plan that the rules allow on it, written down a second time.

A world is a tuple of devices, a device a tuple of its rows and whether it is odd, a row what is released, what is
reported and what is wanted. An odd embedded device has an unknown bundle, an odd edge device runs only custom nodes,
declared or not. Worlds that differ only in the names of devices, flows or versions count once.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, combinations_with_replacement, permutations, product
from typing import NamedTuple, TypeAlias

from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, Replace, Request, Wildcard, outcome
from reconciler.model.state import Decision, Desired, Entry, Kind, Live, LiveDevice, Row, Version
from tests.builders import PLACE

UNMANAGED = "unmanaged"


class RowSpec(NamedTuple):
    released: Version | None
    reported: Version | None
    wanted: Version | None  # or UNMANAGED


class DeviceSpec(NamedTuple):
    rows: tuple[RowSpec, ...]
    odd: bool


Spec: TypeAlias = tuple[DeviceSpec, ...]


class Size(NamedTuple):
    devices: int
    flows: int
    versions: int
    kind: Kind = Kind.EMBEDDED

    @property
    def names(self) -> list[Version]:
        return [str(number) for number in range(1, self.versions + 1)]

    def device_specs(self) -> list[DeviceSpec]:
        """Every device there may be."""
        names = (None, *self.names)
        rows = [RowSpec(*each) for each in product(names, names, (UNMANAGED, *names))]
        return sorted(
            (DeviceSpec(*each) for each in product(product(rows, repeat=self.flows), (False, True))), key=_key
        )

    def all(self) -> Iterator[Spec]:
        """Every world of the size that counts, one of each sort."""
        for spec in combinations_with_replacement(self.device_specs(), self.devices):
            if self._counts(spec) and _is_canonical(spec, self.names):
                yield spec

    def some(self, count: int, seed: int) -> Iterator[Spec]:
        """A random sample, the same every time."""
        dice, devices = random.Random(seed), self.device_specs()
        while count:
            spec = tuple(sorted(dice.choices(devices, k=self.devices), key=_key))
            if self._counts(spec):
                yield spec
                count -= 1

    def _counts(self, spec: Spec) -> bool:
        """Whether something is to change. Without an odd device, an edge world is an embedded one, counted there."""
        is_own = self.kind is Kind.EMBEDDED or any(device.odd for device in spec)
        return is_own and bool(goals(spec, self.kind))


def goals(spec: Spec, kind: Kind) -> dict[Row, Version | None]:
    """The rows that are to move, and where to."""
    return {
        (device_id, flow_id): row.wanted
        for device_id, device in zip("abcdef", spec, strict=False)
        for flow_id, row in zip("fghi", device.rows, strict=False)
        if row.wanted not in (UNMANAGED, row.released) and not (device.odd and kind is Kind.EDGE)
    }


def _key(device: DeviceSpec) -> tuple[object, ...]:
    return (device.odd, *(str(version) for row in device.rows for version in row))


def _is_canonical(spec: Spec, names: Sequence[Version]) -> bool:
    """Whether no renaming of versions (of all flows alike) or flows gives a world that sorts before this one."""
    own = [_key(device) for device in spec]
    for renamed in permutations(names):
        table: dict[str | None, str | None] = {
            None: None,
            UNMANAGED: UNMANAGED,
            **dict(zip(names, renamed, strict=True)),
        }
        for order in permutations(range(len(spec[0].rows))):
            other = sorted(
                _key(
                    DeviceSpec(tuple(RowSpec(*(table[one] for one in device.rows[flow])) for flow in order), device.odd)
                )
                for device in spec
            )
            if other < own:
                return False
    return True


def build(spec: Spec, kind: Kind) -> tuple[Desired, Live]:
    """Devices are a, b, c; flows are f, g."""
    wanted: dict[str, dict[str, Decision]] = defaultdict(dict)
    devices = {}
    for device_id, device in zip("abcdef", spec, strict=False):
        for flow_id, row in zip("fghi", device.rows, strict=False):
            if row.wanted != UNMANAGED:
                wanted[device_id][flow_id] = Decision(row.wanted, PLACE, "device")
        flows = {flow: Entry(row.released, row.reported) for flow, row in zip("fghi", device.rows, strict=False)}
        devices[device_id] = LiveDevice(
            flows,
            unknown_bundle=device.odd and kind is Kind.EMBEDDED,
            unmanageable=frozenset(flows if device.odd and kind is Kind.EDGE else ()),
        )
    return Desired(wanted), Live(devices)


def reached(request: Wildcard, live: Live, wanted: Mapping[Row, Version | None]) -> set[Row]:
    """The rows that a wildcard could move under any reading, this plan's own adds included where it could."""
    rows = {(device_id, flow_id) for device_id, flow_id, _ in live.rows()} | set(wanted)
    match request:
        case RemoveDevice():
            return {row for row in rows if row[0] == request.device_id}
        case RemoveFlow():
            return {row for row in rows if row[1] == request.flow_id}
        case Replace():
            rows |= {(device_id, request.flow_id) for device_id in live.devices}
            return {
                row
                for row in rows
                if row[1] == request.flow_id
                and (
                    request.old in live.entry(*row) or (row[0] in live.devices and live.devices[row[0]].unknown_bundle)
                )
            }


def allowed(request: Wildcard, live: Live, wanted: Mapping[Row, Version | None]) -> bool:
    """The one rule for wildcards: every row in reach ends at the wildcard's own outcome."""
    rows = reached(request, live, wanted)
    return all(wanted.get(row, live.entry(*row).released) == outcome(request) for row in rows)


def sure(request: Wildcard, live: Live, wanted: Mapping[Row, Version | None]) -> set[Row]:
    """The changes that every reading has the wildcard make."""
    rows = {row for row in reached(request, live, wanted) if row in wanted}
    if not isinstance(request, Replace):
        return rows
    return {
        row
        for row in rows
        if live.entry(*row) == Entry(request.old, request.old) and not live.devices[row[0]].unknown_bundle
    }


def wildcards(live: Live, wanted: Mapping[Row, Version | None], versions: Sequence[Version]) -> list[Wildcard]:
    """Every wildcard that reaches anything, allowed or not."""
    flows = sorted({flow_id for _, flow_id, _ in live.rows()})
    candidates: list[Wildcard] = [
        Replace(flow, old, new) for flow in flows for old in versions for new in (None, *versions) if old != new
    ]
    candidates += [RemoveFlow(flow) for flow in flows]
    candidates += [RemoveDevice(device_id) for device_id in sorted(live.devices)]
    return [request for request in candidates if reached(request, live, wanted)]


Calls: TypeAlias = list[tuple[Request, frozenset[int]]]


def legal_plans(
    live: Live, wanted: Mapping[Row, Version | None], versions: Sequence[Version], chunk: int
) -> Iterator[tuple[int, Calls]]:
    """Every choice of allowed wildcards, releases for the rest, and who waits for whom; with the number of wildcards.

    Choices that wait in a cycle are left out.
    """
    usable = [request for request in wildcards(live, wanted, versions) if allowed(request, live, wanted)]
    for chosen in _subsets(usable):
        done: set[Row] = set().union(*(sure(request, live, wanted) for request in chosen))
        requests: list[Request] = [
            *chosen,
            *_releases({row: to for row, to in wanted.items() if row not in done}, chunk),
        ]
        calls = [(request, _waits(request, requests)) for request in requests]
        if _can_be_ordered(calls):
            yield len(chosen), calls


def _subsets(items: Sequence[Wildcard]) -> Iterable[tuple[Wildcard, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def _releases(rows: Mapping[Row, Version | None], chunk: int) -> Iterator[Release]:
    groups: dict[tuple[str, Version | None], list[str]] = defaultdict(list)
    for (device_id, flow_id), version in sorted(rows.items()):
        groups[flow_id, version].append(device_id)
    for (flow_id, version), ids in groups.items():
        for start in range(0, len(ids), chunk):
            yield Release(flow_id, version, tuple(ids[start : start + chunk]))


def _waits(request: Request, requests: Sequence[Request]) -> frozenset[int]:
    """Whatever moves a row onto a version of a flow waits for every replace of that flow that has it as old."""
    if outcome(request) is None or isinstance(request, RemoveDevice):
        return frozenset()
    return frozenset(
        number
        for number, other in enumerate(requests)
        if isinstance(other, Replace) and (other.flow_id, other.old) == (request.flow_id, outcome(request))
    )


def _can_be_ordered(calls: Calls) -> bool:
    done: set[int] = set()
    while free := [number for number, (_, after) in enumerate(calls) if number not in done and after <= done]:
        done.update(free)
    return len(done) == len(calls)
