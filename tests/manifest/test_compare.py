"""`diff`: meaning and nothing else. Moving, renaming and reordering are no differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifest.load import load_manifests
from reconciler.manifest.symbolic import compare
from reconciler.model.rules import Difference

HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
BASE = (
    "flows: {telemetry: 575ed18f7ae143cd83dc4aa6}\n"
    "groups:\n"
    "  leeds: {select: {tags: {site: [leeds, york], rev: b}}, flows: {telemetry: v1, alarms: v1}}\n"
    "  canary: {select: {tags: {site: leeds}, percent: 10.0}, priority: 5, flows: {telemetry: v2}}\n"
    "  some: {select: {devices: [pump-1, pump-2]}, flows: {gps: v1}}\n"
    "devices:\n  pump-3: {telemetry: v1, gps: absent}\n  pump-4: {gps: v1}\n"
    "pins:\n  - {device: pump-4, flows: {gps: v0}, reason: why, until: 2026-01-01}\n"
    "protect: [{flow: telemetry}, {device: pump-1, forbid: change}]\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def folder(name: str, *files: str) -> str:
    Path(name).mkdir()
    for number, text in enumerate(files):
        Path(name, f"{number}.yaml").write_text(HEAD + text)
    return name


def differences(before: str | list[str], after: str | list[str]) -> list[Difference]:
    sides = [[side] if isinstance(side, str) else side for side in (before, after)]
    return list(compare(load_manifests([folder("a", *sides[0])]), load_manifests([folder("b", *sides[1])])))


def told(one: Difference) -> str:
    return f"{one.what} {one.subject} {one.flow}: {one.before} -> {one.after}"


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(BASE.replace("leeds, york", "york, leeds"), id="values of a tag in another order"),
        pytest.param(BASE.replace("site: [leeds, york], rev: b", "rev: b, site: [leeds, york]"), id="keys reordered"),
        pytest.param(BASE.replace("pump-1, pump-2", "pump-2, pump-1"), id="devices reordered"),
        pytest.param(BASE.replace("10.0", "10"), id="a number spelt otherwise"),
        pytest.param(BASE.replace("leeds:", "lds:"), id="a group renamed"),
        pytest.param(BASE.replace("some: {select: {devices: [pump-1, pump-2]}, flows: {gps: v1}}",
                                  "one: {select: {devices: [pump-1]}, flows: {gps: v1}}\n"
                                  "  two: {select: {devices: [pump-2]}, flows: {gps: v1}}"), id="a group split"),
        pytest.param(BASE.replace("telemetry: 575", "tele: 575").replace("telemetry: v", "tele: v")
                     .replace("flow: telemetry", "flow: tele"), id="an alias renamed"),
        pytest.param(BASE.replace("telemetry: v1, gps", "575ed18f7ae143cd83dc4aa6: v1, gps"), id="an id for an alias"),
        pytest.param(BASE.replace("why, until: 2026-01-01", "because"), id="a reason and an end"),
        pytest.param("# a comment\n" + BASE.replace("  ", "    "), id="comments and indentation"),
        pytest.param(BASE.replace("  pump-4: {gps: v1}\n", ""), id="an entry that a pin overrode"),
        pytest.param(BASE + "prune: false\nlimits: {removals: {count: 10}}\nkind: embedded\n", id="defaults written"),
        pytest.param([BASE[: BASE.index("devices:\n")], BASE[BASE.index("devices:\n") :]], id="moved to another file"),
    ],
)  # fmt: skip
def test_no_difference(after: str | list[str]) -> None:
    assert differences(BASE, after) == []


def test_canary_renamed_is_a_difference_for_its_name_is_its_salt() -> None:
    found = differences(BASE, BASE.replace("canary:", "bird:"))
    assert {told(one) for one in found} == {
        "version <tag site=leeds, 10 percent by canary> telemetry: v2 -> None",
        "version <tag site=leeds, 10 percent by bird> telemetry: None -> v2",
    }


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("alarms: v1", "alarms: v2", ["version <tag rev=b, tag site=leeds|york> alarms: v1 -> v2"]),
        ("alarms: v1", "alarms: absent", ["version <tag rev=b, tag site=leeds|york> alarms: v1 -> absent"]),
        (", alarms: v1", "", ["version <tag rev=b, tag site=leeds|york> alarms: v1 -> None"]),
        ("gps: absent", "gps: v3", ["version pump-3 gps: absent -> v3"]),
        ("gps: v0", "gps: v9", ["version pump-4 gps: v0 -> v9"]),
        (
            "[pump-1, pump-2]",
            "[pump-1, pump-9]",
            ["version pump-2 gps: v1 -> None", "version pump-9 gps: None -> v1"],
        ),
        (
            "priority: 5",
            "priority: 6",
            ["priority <tag site=leeds, 10 percent by canary> telemetry: 5 -> 6"],
        ),
        (
            "percent: 10.0",
            "percent: 25",
            [
                "version <tag site=leeds, 10 percent by canary> telemetry: v2 -> None",
                "version <tag site=leeds, 25 percent by canary> telemetry: None -> v2",
            ],
        ),
        ("forbid: change", "forbid: removal", ["protect device pump-1 None: change -> removal"]),
        ("[{flow: telemetry}, ", "[", ["protect flow 575ed18f7ae143cd83dc4aa6 None: removal -> None"]),
        ("flows: {telemetry: 575", "prune: flows\nflows: {telemetry: 575", ["prune None None: false -> flows"]),
        (
            "flows: {telemetry: 575",
            "limits: {changes: {percent: 5}}\nflows: {telemetry: 575",
            ["limits changes percent None: None -> 5"],
        ),
    ],
)
def test_one_difference(old: str, new: str, wanted: list[str]) -> None:
    assert old in BASE
    found = differences(BASE, BASE.replace(old, new))
    assert sorted(map(told, found)) == sorted(wanted)


def test_an_application_that_came_is_all_new() -> None:
    found = differences(["devices: {a: {f: v1}}"], ["devices: {a: {f: v1}}", "kind: edge\ndevices: {b: {g: v1}}"])
    assert [(one.kind, told(one)) for one in found] == [("edge", "version b g: None -> v1")]


def test_a_difference_says_where_the_new_side_stands_and_else_the_old() -> None:
    came, went = differences("devices: {a: {f: v1}}", "devices: {b: {f: v1}}")
    assert [str(one.source) for one in (came, went)] == ["a/0.yaml:3", "b/0.yaml:3"]


def test_maps_that_share_few_keys_are_still_told_key_by_key() -> None:
    """DeepDiff calls two maps that share under a third of their keys one change of the root, unless told not to."""
    before = "devices:\n" + "".join(f"  a{n}: {{f: v1}}\n" for n in range(50)) + "  same: {f: v1}\n"
    after = "devices:\n" + "".join(f"  b{n}: {{f: v1}}\n" for n in range(50)) + "  same: {f: v2}\n"
    found = differences(before, after)
    assert len(found) == 101
    assert "version same f: v1 -> v2" in {told(one) for one in found}
