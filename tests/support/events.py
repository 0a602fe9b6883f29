"""The events of a run, read as a program would read them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from reconciler.documents.json_schema import output_schema

Event = dict[str, Any]
SUMMED = ("digest", "review_digest", "dry_run", "interrupted", "stopped_by", "exit_code", "rows", "operations")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(output_schema())


def read(text: str) -> list[Event]:
    """The events of one run that ended, each as the schema has it."""
    assert text.isascii()
    assert text.endswith("\n")
    events = [json.loads(line) for line in text.split("\n")[:-1]]
    for event in events:
        _validator().validate(event)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "version"
    assert [event["type"] for event in events].index("summary") == len(events) - 1
    return events


def of(events: list[Event], *types: str) -> list[Event]:
    """Those of some types."""
    return [event for event in events if event["type"] in types]


def folded(events: list[Event]) -> dict[tuple[str, str], list[Event]]:
    """The calls of each application and kind, as the last event of each has them."""
    calls: dict[tuple[str, str], dict[int, Event]] = {}
    for event in of(events, "call"):
        head = ("seq", "time", "type", "application", "kind")
        call = {key: value for key, value in event.items() if key not in head}
        calls.setdefault((event["application"]["id"], event["kind"]), {})[event["id"]] = call
    return {who: [by_id[number] for number in sorted(by_id)] for who, by_id in calls.items()}


def check_fold(events: list[Event], document: dict[str, Any]) -> None:
    """The calls and the summary of the events are those of the document of the result."""
    results = document["results"]
    assert folded(events) == {(one["application"]["id"], one["kind"]): one["calls"] for one in results if one["calls"]}
    summary = events[-1]
    assert summary["exit_code"] == (document["error"] or {"code": 0})["code"]
    assert [{key: one[key] for key in ("application", "kind", *SUMMED)} for one in results] == summary["results"]
    for one in results:
        last = [event for event in of(events, "rows") if event["application"]["id"] == one["application"]["id"]][-1]
        assert (last["total"], last["confirmed"]) == (one["rows"]["total"], one["rows"]["confirmed"])
