"""`diff`: meaning and nothing else. Moving, renaming and reordering are no differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifest.comparing.rollouts import stale_approvals
from reconciler.manifest.comparing.symbolic import compare
from reconciler.manifest.load import load_manifests
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


POLICY = (
    "rollouts:\n"
    "  careful:\n"
    "    waves: [{tags: {ring: [canary, dev]}}, {percent: 10, tags: {rev: a}}, {percent: 30}]\n"
    "    gate: {converged: 95, soak: 24h, sample: 3}\n"
    "    patience: 1h\n"
    "    budget: {by: [site, line], unavailable: 2}\n"
    "    window: {days: mon-fri, from: 01:00, to: 05:00, zone: Europe/London}\n"
    "  bold: {waves: [{percent: 50}]}\n"
    "groups:\n"
    "  leeds: {select: {tags: {site: leeds}}, rollout: {policy: careful, up_to: 2}, flows: {f: v1, g: v1}}\n"
    "  york: {select: {devices: [pump-1]}, rollout: careful, flows: {f: v1}}\n"
)


def rollouts(after: str, before: str = POLICY) -> list[str]:
    return [told(one).replace(" None:", ":") for one in differences(before, after) if one.what != "version"]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(POLICY.replace("24h", "1d").replace("1h\n", "3600s\n"), id="a duration spelt otherwise"),
        pytest.param(POLICY.replace("95", "95.0").replace("10,", "10.0,"), id="a number spelt otherwise"),
        pytest.param(POLICY.replace("canary, dev", "dev, canary").replace("site, line", "line, site"), id="order"),
        pytest.param(POLICY.replace("mon-fri", "[wed-fri, mon-wed]"), id="days spelt otherwise"),
        pytest.param(POLICY.replace("patience: 1h", "patience: 60m").replace("converged: 95, ", ""), id="a default"),
        pytest.param(POLICY.replace("percent: 50", "percent: 60"), id="a policy that no group names"),
        pytest.param(POLICY.replace("leeds: {", "lds: {"), id="a group renamed"),
    ],
)  # fmt: skip
def test_no_difference_in_rollouts(after: str) -> None:
    assert after != POLICY
    assert differences(POLICY, after) == []


LOOSER = [
    ("{ring: [canary, dev]}", "{ring: [canary, dev, all]}", "waves"),
    (", {percent: 30}]", "]", "waves"),
    ("{percent: 30}", "{percent: 31}", "waves"),
    ("{percent: 10, tags: {rev: a}}", "{percent: 10}", "waves"),
    ("{percent: 10, tags: {rev: a}}", "{percent: 10, tags: {ref: a}}", "waves"),
    ("{percent: 10, tags: {rev: a}}", "{percent: 10.5, tags: {rev: a}}", "waves"),
    ("{percent: 10, tags: {rev: a}}", "{devices: [pump-1]}", "waves"),
    ("converged: 95", "converged: 94.9", "gate.converged"),
    ("soak: 24h", "soak: 23h", "gate.soak"),
    ("sample: 3", "sample: 2", "gate.sample"),
    ("patience: 1h", "patience: 61m", "patience"),
    ("unavailable: 2", "unavailable: 3", "budget"),
    ("unavailable: 2", "unavailable: 1%", "budget"),
    ("by: [site, line]", "by: [site, line, shift]", "budget"),
    ("by: [site, line]", "by: [row]", "budget"),
    ("by: [site, line], ", "", "budget"),
    ("    budget: {by: [site, line], unavailable: 2}\n", "", "budget"),
    ("mon-fri", "mon-sat", "window"),
    ("to: 05:00", "to: 05:01", "window"),
    ("from: 01:00", "from: 23:00", "window"),
    ("Europe/London", "Europe/Paris", "window"),
    ("    window: {days: mon-fri, from: 01:00, to: 05:00, zone: Europe/London}\n", "", "window"),
]
STRICTER = [
    ("{ring: [canary, dev]}", "{ring: canary}", "waves"),
    ("{ring: [canary, dev]}", "{ring: [canary, dev], site: leeds}", "waves"),
    ("{tags: {ring: [canary, dev]}}", "{tags: {ring: [canary, dev]}, exclude: {devices: [x]}}", "waves"),
    ("[{tags: {ring: [canary, dev]}}, ", "[{tags: {ring: dev}}, {tags: {ring: [canary, dev]}}, ", "waves"),
    ("{percent: 30}]", "{percent: 30}, {percent: 60}]", "waves"),
    ("{percent: 30}]", "{percent: 29}]", "waves"),
    ("converged: 95", "converged: 100", "gate.converged"),
    ("soak: 24h", "soak: 25h", "gate.soak"),
    ("sample: 3", "sample: 4", "gate.sample"),
    ("patience: 1h", "patience: 59m", "patience"),
    ("unavailable: 2", "unavailable: 1", "budget"),
    ("by: [site, line]", "by: [site]", "budget"),
    ("mon-fri", "tue-fri", "window"),
    ("from: 01:00, to: 05:00", "from: 02:00, to: 04:59", "window"),
]


@pytest.mark.parametrize(("old", "new", "key"), LOOSER)
def test_a_policy_that_becomes_looser_is_told_as_that(old: str, new: str, key: str) -> None:
    assert POLICY.count(old) == 1
    [found] = differences(POLICY, POLICY.replace(old, new))
    assert (found.what, found.subject, found.flow) == ("policy_looser", f"careful {key}", None)
    assert str(found.source) == "b/0.yaml:4"


@pytest.mark.parametrize(("old", "new", "key"), STRICTER)
def test_a_policy_that_becomes_stricter_is_told_as_changed_and_its_way_back_as_looser(
    old: str, new: str, key: str
) -> None:
    assert POLICY.count(old) == 1
    stricter = POLICY.replace(old, new)
    [found] = differences(POLICY, stricter)
    assert (found.what, found.subject) == ("policy", f"careful {key}")
    Path("a").rename("c")
    Path("b").rename("d")
    [found] = differences(stricter, POLICY)
    assert (found.what, found.subject) == ("policy_looser", f"careful {key}")


def test_what_came_is_stricter_and_what_went_is_looser() -> None:
    bare = POLICY.replace("    budget: {by: [site, line], unavailable: 2}\n", "")
    assert rollouts(POLICY, bare) == ["policy careful budget: None -> 2 by line, site"]


def test_the_keys_of_a_policy_as_text() -> None:
    after = (
        POLICY.replace("[canary, dev]", "x")
        .replace("10, tags: {rev: a}", "10, tags: {rev: a}, exclude: {devices: [b, a], percent: 1.50}")
        .replace("24h", "90s").replace("by: [site, line], unavailable: 2", "unavailable: 10.0%")
        .replace("mon-fri, from: 01:00, to: 05:00, zone: Europe/London", "sun, from: 22:00, to: 00:30")
    )  # fmt: skip
    waves = (
        "tag ring=canary|dev, then tag rev=a, 10 percent, then 30 percent -> "
        "tag ring=x, then tag rev=a, 10 percent, except (devices a, b, 1.5 percent), then 30 percent"
    )
    assert sorted(rollouts(after)) == [
        "policy_looser careful budget: 2 by line, site -> 10%",
        "policy_looser careful gate.soak: 24h -> 90s",
        f"policy_looser careful waves: {waves}",
        "policy_looser careful window: mon tue wed thu fri 01:00 to 05:00 Europe/London -> sun 22:00 to 00:30 UTC",
    ]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("up_to: 2", "up_to: 3", ["rollout_looser group leeds: careful up to wave 2 -> careful up to wave 3"]),
        ("up_to: 2", "up_to: 0", ["rollout group leeds: careful up to wave 2 -> careful up to wave 0"]),
        ("{policy: careful, up_to: 2}", "careful", ["rollout_looser group leeds: careful up to wave 2 -> careful"]),
        ("{policy: careful, up_to: 2}", "none", ["rollout_looser group leeds: careful up to wave 2 -> None"]),
        ("rollout: careful,", "rollout: {policy: careful, up_to: 1},",
         ["rollout group york: careful -> careful up to wave 1"]),
        ("rollout: careful,", "rollout: {policy: careful, up_to: 4},",
         ["rollout group york: careful -> careful up to wave 4"]),
        ("rollout: careful,", "", ["rollout_looser group york: careful -> None"]),
        ("rollout: careful,", "rollout: bold,",
         ["rollout_looser group york: careful -> bold",
          "policy bold: None -> waves 50 percent; gate.converged 95; gate.soak 1h; gate.sample 1; patience 1h"]),
        ("select: {devices: [pump-1]}, rollout: careful,", "select: {devices: [pump-1, pump-2]}, ",
         ["rollout_looser group york: careful -> None"]),
    ],
)  # fmt: skip
def test_what_a_group_names(old: str, new: str, wanted: list[str]) -> None:
    assert POLICY.count(old) == 1
    assert sorted(rollouts(POLICY.replace(old, new))) == sorted(wanted)


def test_a_group_that_gets_a_policy_is_not_looser() -> None:
    bare = POLICY.replace("rollout: careful,", "")
    assert rollouts(POLICY, bare) == ["rollout group york: None -> careful"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  york: {select: {devices: [pump-1]}, rollout: careful, flows: {f: v1}}\n", "devices: {pump-1: {f: v1}}\n"),
        ("  york: {", "  other: {select: {devices: [pump-1]}, priority: 1, flows: {f: v1}}\n  york: {"),
    ],
)
def test_a_row_that_leaves_its_rollout_is_told_though_its_version_stays(old: str, new: str) -> None:
    found = differences(POLICY, POLICY.replace(old, new))
    assert [(one.what, one.subject, one.flow) for one in found if one.what != "priority"] == [
        ("rollout_looser", "pump-1", "f")
    ]


def test_an_application_that_came_or_went_says_its_policies_whole() -> None:
    edge = POLICY.replace("rollouts", "kind: edge\nrollouts").replace("leeds", "hull")
    found = differences(POLICY, [POLICY, edge])
    assert [(one.kind, one.what, one.subject) for one in found if one.what != "version"] == [
        ("edge", "policy", "careful")
    ]


def approved(after: str, before: str = POLICY) -> list[str]:
    base, head = (load_manifests([folder(name, text)]) for name, text in (("a", before), ("b", after)))
    return [f"{one.place}: {one.message}" for one in stale_approvals(base, head)]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("g: v1", "g: v2", ['in group "leeds", v2 of g is approved up to wave 2']),
        ("f: v1, g: v1", "f: absent, g: v1", ['in group "leeds", absent of f is approved up to wave 2']),
        ("f: v1, g: v1", "f: v1, g: v1, h: v1", ['in group "leeds", v1 of h is approved up to wave 2']),
        ("up_to: 2}, flows: {f: v1, g: v1}", "up_to: 3}, flows: {f: v1, g: v3}",
         ['in group "leeds", v3 of g is approved up to wave 3']),
        ("up_to: 2}, flows: {f: v1, g: v1}", "up_to: 1}, flows: {f: v1, g: v3}", []),
        ("up_to: 2}, flows: {f: v1, g: v1}", "up_to: 0}, flows: {f: v2, g: v3}", []),
        ("{policy: careful, up_to: 2}, flows: {f: v1, g: v1}", "careful, flows: {f: v2, g: v3}", []),
        ("up_to: 2", "up_to: 3", []),
        ("flows: {f: v1}", "flows: {f: v2}", []),
        ("  leeds: {", "  lds: {", []),
        ("  leeds: {select: {tags: {site: leeds}}, rollout: {policy: careful, up_to: 2}, flows: {f: v1,",
         "  lds: {select: {tags: {site: leeds}}, rollout: {policy: careful, up_to: 2}, flows: {f: v2,",
         ['in group "lds", v2 of f is approved up to wave 2']),
        ("  york: {", "  new: {select: {all: true}, rollout: {policy: bold, up_to: 2}, flows: {h: v1}}\n  york: {", []),
        ("rollouts:\n", "flows: {tele: f}\nrollouts:\n", []),
    ],
)  # fmt: skip
def test_a_target_that_changes_under_an_approval_is_a_warning(old: str, new: str, wanted: list[str]) -> None:
    assert POLICY.count(old) == 1
    after = POLICY.replace(old, new)
    if "tele" in after:
        after = after.replace("flows: {f: v1, g", "flows: {tele: v1, g")
    line = after[: after.index("up_to" if "up_to" in after else "leeds")].count("\n") + 3
    assert approved(after) == [f"b/0.yaml:{line}: {one}" for one in wanted]
