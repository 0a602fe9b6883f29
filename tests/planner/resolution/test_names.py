"""References to ids: what a name that resolves to none or to several is told."""

from __future__ import annotations

import pytest

from reconciler.model.rules import Ref
from reconciler.model.state import Device, Place
from reconciler.planner.resolution.names import Inventory, Names, Spelling
from tests.builders import hex_id

PUMPS = {hex_id(number): Device(hex_id(number), f"pump-{number}") for number in range(3)}


def hint(noun: str, text: str, inventory: Inventory) -> str | None:
    names = Names({}, inventory, ())
    assert (names.device if noun == "device" else names.flow)(Ref(text, Place("m.yaml", 4))) is None
    (problem,) = names.problems()
    return problem.hint


@pytest.mark.parametrize(
    ("noun", "text", "told"),
    [
        ("device", "Pump-1", "nearest: pump-1, pump-2, pump-0"),
        ("device", "f" * 20, "an id has 24 hex digits, this has 20"),
        ("device", "F" * 28, "an id has 24 hex digits, this has 28"),
        ("device", "f" * 19, "check the spelling; the application has 3 device names"),
        ("device", "f" * 29, "check the spelling; the application has 3 device names"),
        ("device", "qqqqqqqqqqqqqqqqqqqqqqqq", "check the spelling; the application has 3 device names"),
        ("device", "*qqq", "a * stands for several names only in a group's `select`"),
        ("flow", "*qqq", "check the spelling; the application has 1 flow names"),
        ("device", "gateway", "a device of class gateway is, but these deployments do not support that class"),
    ],
)
def test_what_may_have_been_meant(noun: str, text: str, told: str) -> None:
    inventory = Inventory(PUMPS, {"telemetry": (hex_id(7, "f"),)}, other_classes={"gateway": "gateway"})
    assert hint(noun, text, inventory) == told


def test_of_many_with_one_name_ten_ids_are_told_in_order() -> None:
    alike = {hex_id(number): Device(hex_id(number), "pump") for number in range(15, 3, -1)}
    ids = ", ".join(hex_id(number) for number in range(4, 14))
    assert hint("device", "pump", Inventory(alike)) == f"use an id instead: {ids}"
    two, nine = hex_id(2, "f"), hex_id(9, "f")
    flows = {"telemetry": (nine, two)}
    assert hint("flow", "telemetry", Inventory({}, flows)) == f"use an id instead: {two}, {nine}"


def test_only_devices_that_nothing_is_named_like_are_unknown() -> None:
    alike = {hex_id(number): Device(hex_id(number), "pump") for number in range(2)}
    names = Names({}, Inventory(alike), ())
    for text in ("pump", "pmup"):
        names.device(Ref(text, Place("m.yaml", 4)))
    names.flow(Ref("telemetry", Place("m.yaml", 5)))
    assert names.unknown_devices() == {"pmup"}


def test_names_that_share_a_beginning_or_an_end_are_near_whatever_their_number() -> None:
    crowd = [f"leeds-{number:04}-pump" for number in range(1_000)]
    spelling = Spelling([*crowd, "York-7", "zz-boiler"])
    assert spelling.nearest("york-8") == ["York-7"]
    assert spelling.nearest("leeds-0500-pmup")[0] == "leeds-0500-pump"
    assert spelling.nearest("xeeds-0123-pump")[0] == "leeds-0123-pump"
    assert spelling.nearest("nothing alike") == []


def test_of_names_that_differ_in_case_alone_the_first_is_told_and_ties_go_by_name() -> None:
    assert Spelling(["PUMP", "pump"]).nearest("pumq") == ["PUMP"]
    assert Spelling(["pumc", "pumb", "puma", "pumd"]).nearest("pumx") == ["pumd", "pumc", "pumb"]


def test_an_alias_of_no_flow_is_one_problem_however_often_it_is_used() -> None:
    names = Names({"pumping": Ref("pumpnig", Place("m.yaml", 2))}, Inventory({}, {"telemetry": (hex_id(1, "f"),)}))
    for line in (5, 6, 7):
        assert names.flow(Ref("pumping", Place("m.yaml", line))) is None
    (problem,) = names.problems()
    assert (problem.message, problem.line) == ('no flow is named "pumpnig"', 2)


U = "LATIN SMALL LETTER U"


@pytest.mark.parametrize(
    ("written", "name", "has"),
    [
        ("Su\u0308d", "S\u00fcd", f"U+00FC {U} WITH DIAERESIS where this has U+0075 {U} + U+0308 COMBINING DIAERESIS"),
        ("p", "p\u3164\u3164", "U+3164 HANGUL FILLER + U+3164 HANGUL FILLER where this has nothing"),
        ("v1.3.0 ", "v1.3.0", "nothing where this has U+0020 SPACE"),
        ("pump-l", "pump-1", "U+0031 DIGIT ONE where this has U+006C LATIN SMALL LETTER L"),
    ],
)  # fmt: skip
def test_of_a_name_that_looks_alike_what_differs_is_told(written: str, name: str, has: str) -> None:
    for known in ([name], ["pump-2", name, "v1.2.9"]):
        assert Spelling(known).hint(written) == f"nearest: {name}, which looks alike but has {has}"
    assert Spelling([written.upper(), name.upper()]).hint(written.lower()).startswith("nearest: ")
