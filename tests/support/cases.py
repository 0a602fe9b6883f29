"""Readable plan cases: `tests/cases/plan/*.yaml`, world in, calls and text out.

A case says what is `desired` and `live` in the notation of `tests.builders` (`d[1-1001]/pump=1` stands for 1001
devices), what the command line and the limits are, and expects calls as text:

    release pump=2 to a b           release pump=absent to a b          remove pump from a
    replace pump 1>2 (a b)          remove everything from a (gps pump) remove pump everywhere (a b)

with ` after 0 1` where a call waits. In brackets are the rows that the call carries; more than six are counted.
What is pending, unmanaged and refused is expected to be nothing unless the case says so; `why` says why there is
nothing to do, in each case that has nothing to do. `text` is what `plan` shows, to the letter, and `verbose` what it
shows under `-v`: `rewrite_cases` writes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from reconciler.model.changes import UnmanagedRow
from reconciler.model.digest import digest
from reconciler.model.plan import Plan, PlannedCall, Protected, Warning
from reconciler.model.requests import Release, RemoveDevice, RemoveFlow, RemoveRow, Replace
from reconciler.model.rules import Forbid, Limits, Prune, Source
from reconciler.model.state import Desired, Kind, Place
from reconciler.model.world import CallMode, Filter, Options, World
from reconciler.planner.planner import make_plan
from reconciler.planner.resolution.prune import prune
from reconciler.render.text import plan_text
from tests.builders import APPLICATION, PLACE, desired, live, read

FOLDER = Path(__file__).parents[1] / "cases" / "plan"
_RANGE = re.compile(r"(\S*?)\[(\d+)-(\d+)\](\S*)")
NO_LIMITS = Limits(removals_count=None, removals_percent=None)


@dataclass(frozen=True)
class Case:
    """One case: `data` is the file as it is."""

    name: str
    data: Mapping[str, Any]

    @property
    def world(self) -> World:
        data = self.data
        seen = live(_rows(data["live"]), **data.get("devices", {}))
        wanted = _desired(data["desired"])
        if "prune" in data:
            flows = {flow_id for _, flow_id, _ in wanted.rows()}
            place = Place("manifests/test.yaml", 4)
            wanted = prune(
                wanted,
                seen,
                Prune(data["prune"]),
                flows=flows,
                place=place,
                existing=set(data["existing"].split()) if "existing" in data else None,
            )
        return World(
            APPLICATION,
            Kind(data.get("kind", "embedded")),
            wanted,
            read(seen),
            protected=tuple(
                Protected(one.get("device"), one.get("flow"), Forbid(one.get("forbid", "removal")), PLACE)
                for one in data.get("protect", ())
            ),
            warnings=tuple(Warning(text, PLACE) for text in data.get("warnings", ())),
            device_names=data.get("device_names", {}),
            flow_names=data.get("flow_names", {}),
            aliases=data.get("aliases", {}),
        )

    @property
    def limits(self) -> Limits:
        limits = self.data.get("limits")
        if limits is None:
            return NO_LIMITS
        if limits == "default":
            return Limits(place=PLACE)
        percents = {key: Decimal(limits[key]) for key in ("removals_percent", "changes_percent") if key in limits}
        return Limits(
            removals_count=limits.get("removals_count"),
            removals_percent=percents.get("removals_percent"),
            changes_count=limits.get("changes_count"),
            changes_percent=percents.get("changes_percent"),
            place=PLACE,
        )

    @property
    def options(self) -> Options:
        options = self.data.get("options", {})
        return Options(
            targets=_filters(options.get("target", ())),
            excludes=_filters(options.get("exclude", ())),
            calls=CallMode(options.get("calls", "fewest")),
            allow_removals=options.get("allow_removals", 0),
            allow_empty=options.get("allow_empty", False),
            strict=options.get("strict", False),
            chunk=options.get("chunk", 1000),
        )

    def plan(self, kind: Kind | None = None) -> Plan:
        """The plan of the case, of its own kind if none is given."""
        world = self.world._replace(kind=kind or self.world.kind)
        manifests = (Source("manifests/test.yaml", "0" * 64),)
        return make_plan(world, limits=self.limits, manifests=manifests, options=self.options)

    @property
    def expected(self) -> Mapping[str, Any]:
        """What `told` must give."""
        data = self.data
        return {
            "calls": data["calls"],
            "pending": data.get("pending", ""),
            "unmanaged": data.get("unmanaged", ""),
            "refused": data.get("refused", ""),
            **{key: data[key] for key in ("summary", "partial") if key in data},
        }


def load() -> list[Case]:
    """Every case, by name."""
    return [
        Case(path.stem, yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)) for path in sorted(FOLDER.glob("*.yaml"))
    ]


def told(plan: Plan, expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """A plan in the words of a case."""
    summary = plan.summary
    return {
        "calls": [told_call(call) for call in plan.calls],
        "pending": _told_rows(plan.pending),
        "unmanaged": _told_rows(plan.unmanaged),
        "refused": " ".join(refusal.guard for refusal in plan.refused),
        **(
            {
                "summary": f"add {summary.add}, update {summary.update}, remove {summary.remove}, keep {summary.keep}, "
                f"devices {summary.devices}"
            }
            if "summary" in expected
            else {}
        ),
        **({"partial": plan.partial} if "partial" in expected else {}),
    }


def shown(plan: Plan, *, verbose: bool) -> dict[str, str]:
    """A plan as text, and under `-v` too if that is wanted."""
    levels = {"text": 0, "verbose": 1} if verbose else {"text": 0}
    return {key: plan_text([plan], digest([plan]), verbose=level) for key, level in levels.items()}


def told_call(call: PlannedCall) -> str:
    """A call in the words of a case."""
    after = " after " + " ".join(map(str, call.after)) if call.after else ""
    devices = _few([device_id for device_id, _ in call.rows])
    match call.request:
        case Release():
            text = f"release {call.request.flow_id}={call.request.version or 'absent'} to {devices}"
        case Replace():
            text = f"replace {call.request.flow_id} {call.request.old}>{call.request.new or 'absent'} ({devices})"
        case RemoveRow():
            text = f"remove {call.request.flow_id} from {call.request.device_id}"
        case RemoveDevice():
            text = f"remove everything from {call.request.device_id} ({_few([flow_id for _, flow_id in call.rows])})"
        case RemoveFlow():
            text = f"remove {call.request.flow_id} everywhere ({devices})"
    return text + after


def _few(ids: list[str]) -> str:
    return " ".join(ids) if len(ids) <= 6 else str(len(ids))


def _told_rows(rows: Iterable[UnmanagedRow | Any]) -> str:
    return " ".join(f"{row.device_id}/{row.flow_id}={row.released or '-'}>{row.reported or '-'}" for row in rows)


def _desired(rows: str | Mapping[str, str]) -> Desired:
    """Rows, or rows by the rule that decides them."""
    by_rule = {"device": rows} if isinstance(rows, str) else rows
    devices: dict[str, dict[str, Any]] = {}
    for rule, text in by_rule.items():
        for device_id, flow_id, decision in desired(_rows(text), rule=rule).rows():
            devices.setdefault(device_id, {})[flow_id] = decision
    return Desired(devices)


def _rows(text: str) -> str:
    return " ".join(word for each in text.split() for word in _expanded(each))


def _expanded(word: str) -> Iterator[str]:
    match = _RANGE.fullmatch(word)
    if match is None:
        yield word
        return
    head, first, last, tail = match.groups()
    for number in range(int(first), int(last) + 1):
        yield f"{head}{number:0{len(last)}}{tail}"


def _filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    return tuple(Filter(*text.split("=", 1)) for text in texts)
