"""`reconciler validate`: the files, all of them, and nothing but the files."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.cli import run_here

HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def test_the_default_is_the_folder_manifests() -> None:
    write("manifests/a.yaml", HEAD + "devices: {pump: {f: v1}}\n")
    write("manifests/base.yaml", "apiVersion: reconciler/v1\n")
    ended = run_here("validate")
    assert ended.code == 0
    out, err = ended.out, ended.err
    assert out == "575ec8687ae143cd83dc4a97 embedded: manifests/a.yaml\n2 files checked, no problems found.\n"
    assert err == ""


def test_problems_go_to_stderr_sorted_by_place() -> None:
    write("b.yaml", HEAD + "device: {}\n")
    write("a.yaml", HEAD + "devices: {pump: {f: develop}}\nkind: cloud\n")
    ended = run_here("validate", "b.yaml", "a.yaml")
    assert ended.code == 1
    out, err = ended.out, ended.err
    assert out == ""
    assert err.splitlines() == [
        'a.yaml:3:21: "f": "develop" is not deployable (use a version of the flow)',
        'a.yaml:4:7: "kind": expected "embedded" or "edge", found "cloud"',
        'b.yaml:3:1: unknown key "device" (did you mean devices?)',
    ]


def test_json_holds_every_problem_with_its_place() -> None:
    write("a.yaml", HEAD + "device: {}\n")
    ended = run_here("validate", "--format", "json", "a.yaml")
    assert ended.code == 1
    assert json.loads(ended.out) == {
        "format_version": "1",
        "command": "validate",
        "error": {
            "code": 1,
            "problems": [
                {
                    "path": "a.yaml",
                    "line": 3,
                    "column": 1,
                    "message": 'unknown key "device"',
                    "hint": "did you mean devices?",
                }
            ],
        },
        "applications": [],
    }


def test_json_holds_the_applications_and_the_warnings() -> None:
    write("a.yaml", HEAD + "pins: [{device: a, flows: {f: v1}, reason: x, until: 2020-01-01}]\n")
    ended = run_here("validate", "--format=json", "a.yaml")
    assert ended.code == 0
    out, err = ended.out, ended.err
    document = json.loads(out)
    assert document["error"] is None
    assert document["applications"] == [
        {"application": "575ec8687ae143cd83dc4a97", "name": None, "kind": "embedded", "paths": ["a.yaml"]}
    ]
    [warning] = document["warnings"]
    assert (warning["path"], warning["line"]) == ("a.yaml", 3)
    assert err.startswith('Warning: a.yaml:3: pin for device "a" was meant to end on 2020-01-01')


def test_conflicts_that_need_no_api_are_found() -> None:
    write(
        "a.yaml",
        HEAD + "groups:\n  a: {select: {all: true}, flows: {f: v1}}\n  b: {select: {all: true}, flows: {f: v2}}\n",
    )
    ended = run_here("validate", "a.yaml")
    assert ended.code == 1
    assert 'group "b" says v2, group "a" says v1 at a.yaml:4:36' in ended.err


def test_what_could_be_merged_is_searched_for_conflicts_though_other_items_are_wrong() -> None:
    groups = ["a: {select: {all: true}}", "b: {flows: {f: v1}}"]
    groups += [
        f"{name}: {{select: {{all: true}}, flows: {{f: {version}}}}}" for name, version in (("c", "v1"), ("d", "v2"))
    ]
    write("a.yaml", HEAD + "groups:\n" + "".join(f"  {group}\n" for group in groups))
    ended = run_here("validate", "a.yaml")
    assert ended.code == 1
    assert [line.partition(" (")[0] for line in ended.err.splitlines()] == [
        'a.yaml:4:3: group "a" has no `flows`',
        'a.yaml:5:3: group "b" has no `select`',
        'a.yaml:7:36: flow "f" on device "<all>": group "d" says v2, group "c" says v1 at a.yaml:6:36',
    ]


def test_standard_input_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEAD + "x: 1\n").encode())))
    ended = run_here("validate", "-")
    assert ended.code == 1
    assert ended.err.startswith('<stdin>:3:1: unknown key "x"')


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--application", "575EC8687AE143CD83DC4A97"], 0),
        (["--application", "plant", "--kind", "embedded"], 0),
        (["--application", "other"], 1),
        (["--kind", "edge"], 1),
    ],
)
def test_application_and_kind_pick(arguments: list[str], code: int) -> None:
    write("a.yaml", HEAD.replace("575ec8687ae143cd83dc4a97", "{id: 575ec8687ae143cd83dc4a97, name: plant}"))
    assert run_here("validate", "a.yaml", *arguments).code == code


def test_names_from_files_are_inert_in_a_terminal_and_in_ci() -> None:
    write("a.yaml", HEAD + 'devices: {"\\e[31m::error::": {f: [x]}}\n"::warning::\\n": 1\n')
    ended = run_here("validate", "a.yaml")
    assert ended.code == 1
    err = ended.err
    assert "\x1b" not in err
    assert not any(line.startswith("::") for line in err.splitlines())


def test_a_file_that_is_a_base_needs_no_application() -> None:
    write("base.yaml", "apiVersion: reconciler/v1\n")
    ended = run_here("validate", "base.yaml")
    assert ended.code == 0
    assert ended.out == "1 file checked, no problems found.\n"


def test_thirty_thousand_problems_are_counted_but_not_all_told() -> None:
    """A manifest of half a megabyte, broken in every line."""
    lines = "".join(f"  pump-{number:05}: {{f: develop, g: }}\n" for number in range(15_000))
    write("a.yaml", f"{HEAD}devices:\n{lines}")
    ended = run_here("validate", "a.yaml")
    assert ended.code == 1
    told = ended.err.splitlines()
    assert told[:2] == [
        'a.yaml:4:19: "f": "develop" is not deployable (use a version of the flow)',
        'a.yaml:4:28: "g" has no version (write `absent` if this flow must not run here)',
    ]
    assert told[499].startswith("a.yaml:253:")
    assert told[500:] == ["Error: 29,500 more problems are not shown (see to these first)"]

    problems = run_here("validate", "a.yaml", "--format", "json").document["error"]["problems"]
    assert len(problems) == 501
    assert problems[-1]["message"] == "29,500 more problems are not shown"


@pytest.mark.parametrize("number", [499, 500, 501, 502])
def test_what_is_told_adds_up(number: int) -> None:
    write("a.yaml", f"{HEAD}devices:\n" + "".join(f"  pump-{one}: {{f: develop}}\n" for one in range(number)))
    told = run_here("validate", "a.yaml").err.splitlines()
    assert len(told) == min(number, 501)
    assert (told[-1] == "Error: 2 more problems are not shown (see to these first)") == (number == 502)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"v1\\e[31m"', '3:27: "f": the control character U+001B is not allowed in a name or version (remove it)'),
        ('"v1\\n"', '3:27: "f": the control character U+000A is not allowed in a name or version (remove it)'),
        ('"v1\\x85"', '3:27: "f": the control character U+0085 is not allowed in a name or version (remove it)'),
    ],
)
def test_control_characters_in_versions_are_refused(written: str, told: str) -> None:
    write("a.yaml", f"{HEAD}devices: {{ pump-001: {{ f: {written} }}}}\n")
    ended = run_here("validate", "a.yaml")
    assert (ended.code, ended.err) == (1, f"a.yaml:{told}\n")


@pytest.mark.parametrize(
    "part",
    [
        'devices: {"pump\\x1b": {f: v1}}',
        'devices: {pump: {"f\\t": v1}}',
        'flows: {"f\\x7f": g}',
        'flows: {f: "g\\x00"}',
        'groups: {"g\\r": {select: {all: true}, flows: {f: v1}}}',
        'groups: {g: {select: {devices: ["pump\\x07"]}, flows: {f: v1}}}',
        'pins: [{device: "pump\\x1b", flows: {f: v1}, reason: because}]',
        'protect: [{device: "pump\\x1b"}]',
        'protect: [{flow: "f\\x1b"}]',
    ],
)
def test_control_characters_in_names_are_refused(part: str) -> None:
    write("a.yaml", f"{HEAD}{part}\n")
    ended = run_here("validate", "a.yaml")
    assert ended.code == 1
    assert "is not allowed in a name or version" in ended.err


def test_a_reason_may_have_lines() -> None:
    write("a.yaml", HEAD + 'pins: [{device: pump, flows: {f: v1}, reason: "one\\ntwo"}]\n')
    assert run_here("validate", "a.yaml").code == 0


LOOKS = "the text may not be what it looks like (remove it, or write it as an escape in double quotes)"


def test_what_does_not_show_is_warned_of() -> None:
    text = "# \u202e gnp\ndevices: {pump: {f: v1\u200b, g: v\u200b1\u200b}}  # \u26a0\ufe0f\n"
    Path("a.yaml").write_text(HEAD + text, encoding="utf-8")
    ended = run_here("validate", "a.yaml", "--format", "json")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        f"Warning: a.yaml:3: U+202E RIGHT-TO-LEFT OVERRIDE does not show: {LOOKS}",
        f"Warning: a.yaml:4: U+200B ZERO WIDTH SPACE does not show, here and in 2 more places: {LOOKS}",
    ]
    told = [(one["line"], one["column"]) for one in ended.document["warnings"]]
    assert told == [(3, 3), (4, 23)]


def test_warnings_are_those_of_the_application_that_is_asked_for() -> None:
    Path("a.yaml").write_text(HEAD + "devices: {pump: {f: v1}}  # \u200b\n", encoding="utf-8")
    other = HEAD.replace("575ec8687ae143cd83dc4a97", "4" * 24)
    Path("b.yaml").write_text(other + "devices: {pump: {f: v1}}\n", encoding="utf-8")
    assert "U+200B" in run_here("validate", "a.yaml", "b.yaml").err
    assert run_here("validate", "a.yaml", "b.yaml", "--application", "4" * 24).err == ""


GROUPS = "groups:\n  {0}: {{select: {{tags: {{site: {0}}}}}, rollout: {1}, flows: {{f: v1}}}}\n"


def test_a_policy_that_no_group_names_is_a_warning() -> None:
    rollouts = "rollouts:\n  careful: {waves: [{percent: 1}]}\n  bold: {waves: [{percent: 50}]}\n"
    write("manifests/a.yaml", HEAD + rollouts + GROUPS.format("leeds", "careful"))
    ended = run_here("validate")
    assert ended.code == 0
    assert ended.err == (
        'Warning: manifests/a.yaml:5: no group names policy "bold", so it guards nothing '
        "(write `rollout: bold` in a group, or remove the policy)\n"
    )


def test_a_policy_of_a_base_that_a_group_lifted_or_exchanged_is_not_forgotten() -> None:
    rollouts = "rollouts:\n  careful: {waves: [{percent: 1}]}\n  idle: {waves: [{percent: 1}]}\n"
    write("base.yaml", "apiVersion: reconciler/v1\n" + rollouts + GROUPS.format("leeds", "careful"))
    write("manifests/a.yaml", f"{HEAD}extends: ../base.yaml\ngroups: {{leeds: {{rollout: none}}}}\n")
    ended = run_here("validate")
    assert ended.code == 0
    assert re.findall('policy "([^"]+)"', ended.err) == ["idle"]


def test_a_policy_in_a_document_that_is_refused_is_not_told_as_missing() -> None:
    write("manifests/a.yaml", HEAD + "rollouts: [careful]\n" + GROUPS.format("leeds", "careful"))
    write(
        "manifests/b.yaml", HEAD + "rollouts: {bold: {waves: [{percent: 1}]}, bold: {}}\n" + GROUPS.format("b", "bold")
    )
    ended = run_here("validate")
    assert ended.code == 1
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == [
        "manifests/a.yaml:3:11",
        "manifests/b.yaml:3:43",
    ]


@pytest.mark.parametrize("refused", ["no such file", "not YAML", "another version", "an extends to nowhere"])
def test_where_a_document_is_lost_no_policy_is_told_as_missing(refused: str) -> None:
    write("manifests/a.yaml", HEAD + GROUPS.format("leeds", "careful"))
    rollouts = "rollouts: {careful: {waves: [{percent: 1}]}}\n"
    text = {
        "no such file": "",
        "not YAML": HEAD + rollouts + "devices: [\n",
        "another version": HEAD.replace("v1", "v2") + rollouts,
        "an extends to nowhere": HEAD + "extends: nowhere.yaml\n" + rollouts,
    }[refused]
    if text:
        write("other/b.yaml", text)
    ended = run_here("validate", "manifests", "other/b.yaml")
    assert ended.code == 1
    assert "careful" not in ended.err
    assert len(ended.err.splitlines()) == 1
