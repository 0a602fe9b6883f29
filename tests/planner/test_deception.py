"""A plan says which of its versions and names a reader may take for each other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.model.plan import Guard, Plan
from reconciler.model.rules import Limits
from reconciler.model.world import Options
from reconciler.planner.planner import make_plan
from reconciler.render.text import plan_text
from tests.builders import desired, live, world


def planned(
    rows: str,
    seen: str,
    *,
    names: Mapping[str, str] | None = None,
    flow_names: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Plan:
    at = world(desired(rows), live(seen, names=names or {}, flow_names=flow_names or {}))
    return make_plan(at, limits=Limits(), manifests=(), options=Options(strict=strict))


@pytest.mark.parametrize("to", ["v1.3.0\u3164", "v1.3.0\ufe0f", "V1.3.0", "v1.3.O", "v1.3.\u041e"])
def test_versions_that_look_alike_are_told(to: str) -> None:
    made = planned(f"a/f={to}", "a/f=v1.3.0", flow_names={"f": "telemetry"})
    (warning,) = made.warnings
    assert warning.message.startswith("versions of flow telemetry look alike: ")
    assert f"U+{ord(next(char for char in to if char not in 'v1.3.0')):04X}" in warning.message
    assert "U+3164 HANGUL FILLER" in warning.message or "\u3164" not in to
    assert "Warning: versions of flow telemetry look alike" in " ".join(plan_text([made], "").split())


@pytest.mark.parametrize(
    ("one", "other"),
    [("v1-rc", "v1\u2010rc"), ("v1-rc", "v1\u2013rc"), ("r/1", "r\u22151"), ("vl", "v\u04c0"), ("v1", "v1\ufffc")],
)
def test_dashes_and_strokes_look_alike_too(one: str, other: str) -> None:
    (warning,) = planned(f"a/f={other}", f"a/f={one}").warnings
    assert "look alike" in warning.message


def test_what_a_device_still_reports_counts() -> None:
    (warning,) = planned("a/f=V1", "a/f=V1>v1").warnings
    assert '"V1" and "v1"' in warning.message


def test_versions_of_different_flows_are_not_compared() -> None:
    assert planned("a/f=v1 a/g=V1", "").warnings == ()


def test_names_that_look_alike_are_told() -> None:
    made = planned(
        "a/f=2 b/f=2 c/f=2 a/g=2", "a/f=1 b/f=1 c/f=1 a/g=1",
        names={"a": "pump", "b": "Pump", "c": "\u0440ump"}, flow_names={"f": "alarm", "g": "alarm\u200b"},
    )  # fmt: skip
    devices, flows = (one.message for one in made.warnings)
    assert devices.startswith('names of devices look alike: "Pump" and "pump", and 1 more; the second has U+0070')
    assert flows.startswith("names of flows look alike")
    assert flows.endswith("the second has U+200B ZERO WIDTH SPACE where this has nothing")


def test_equal_names_do_not_only_look_alike() -> None:
    assert planned("a/f=2 b/f=2", "a/f=1 b/f=1", names={"a": "pump", "b": "pump"}).warnings == ()


def test_many_are_counted_and_strict_refuses_them() -> None:
    ids = [f"d{number:02}" for number in range(60)]
    names = {one: f"pump {number // 2:02}{chr(0x3164) * (number % 2)}" for number, one in enumerate(ids)}
    made = planned(
        " ".join(f"{one}/f=2" for one in ids), " ".join(f"{one}/f=1" for one in ids), strict=True, names=names
    )
    assert len(made.warnings) == 21
    assert any(one.message == "10 more names of devices look alike" for one in made.warnings)
    assert [one.guard for one in made.refused] == [Guard.STRICT]
