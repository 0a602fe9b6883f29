"""The tables leave nothing out: every action, parameter, order and body field of the simulator is in some row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from reconciler.simulator.api.actions import ACTIONS, Action
from tests.conformance.rows import Row, rows
from tests.field_tables import action_of

ROWS = list(rows())


def asking(action: Action) -> Iterator[Row]:
    """The rows that ask an action."""
    for row in ROWS:
        method, _, path = row.ask.partition(" ")
        filled = re.sub(r"<[^<>]+>", "0" * 24, path)
        target = filled[1:] if filled.startswith("^") else f"/applications/{'0' * 24}{filled}"
        if action_of(method, target) is action:
            yield row


def pairs(row: Row) -> list[tuple[str, str]]:
    return parse_qsl(row.query, keep_blank_values=True) if isinstance(row.query, str) else list(row.query.items())


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_succeeds_and_is_refused_somewhere(action: Action) -> None:
    outcomes = {row.refused[:3] for row in asking(action)}

    assert {"", "400", "404", *(["429"] if action.answer == "job" else [])} <= outcomes


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_parameter_is_in_a_row(action: Action) -> None:
    used = {re.split(r"\[", name)[0] for row in asking(action) for name, _ in pairs(row)}

    assert {*action.query, *action.json_params} - used == set()


@pytest.mark.parametrize("action", [one for one in ACTIONS if "sortField" in one.query], ids=lambda action: action.name)
def test_every_order_is_in_a_row(action: Action) -> None:
    used = {text for row in asking(action) if not row.refused for name, text in pairs(row) if name == "sortField"}
    default = action.query["sortField"]["default"]

    assert set(action.query["sortField"]["enum"]) - used - {default} == set()


@pytest.mark.parametrize("action", [one for one in ACTIONS if one.body], ids=lambda action: action.name)
def test_every_field_of_a_body_is_accepted_and_refused_somewhere(action: Action) -> None:
    assert action.body is not None
    name, schema = action.body
    good: set[str] = set()
    bad: set[str] = set()
    for row in asking(action):
        fields = set(row.body) if isinstance(row.body, dict) else set()
        if row.refused.startswith("400 Validation"):
            bad |= set(re.findall(rf"{name}\.(\w+)", row.refused))
        else:
            good |= fields

    assert good == bad == set(schema["properties"])


def test_every_refusal_of_a_body_is_worded() -> None:
    """Which rules the schemas of bodies hold, and that some row breaks each."""
    text = " ".join(row.refused for row in ROWS)
    rules = {rule for one in ACTIONS if one.body for rule in re.findall(r'"(\w+)": ', json.dumps(one.body[1]))}
    words = {
        "pattern": "pattern mismatch", "maxItems": "more items", "maxLength": "longer", "minLength": "less length",
        "minimum": "less than minimum", "maximum": "more than maximum", "enum": "enum value", "type": "wrong type",
        "required": "is required", "additionalProperties": "additional properties", "format": "format",
    }  # fmt: skip

    assert {rule for rule in rules if rule in words} == set(words)
    assert [rule for rule, said in words.items() if said not in text] == []


def test_rows_of_a_real_account_write_only_where_they_say_so() -> None:
    live = [row for row in ROWS if row.live is not None]

    assert len(live) >= 100
    for row in live:
        assert (row.live == "read") == row.ask.startswith("GET "), row.id
