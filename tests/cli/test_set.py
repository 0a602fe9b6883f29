"""`reconciler set`: the one place that says it, no other application, no other byte."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.manifest.load import load_manifests
from reconciler.operations.editing.drafts import write
from reconciler.operations.editing.places import Scope
from reconciler.operations.editing.set_ import Edit, set_version
from tests.support import processes
from tests.support.cli import RECONCILER, Ended, run_here

PROD, STAGING, LAB = (f"575ec8687ae143cd83dc4a9{end}" for end in "789")
BASE = """\
# For all environments.
apiVersion: reconciler/v1
groups:
  leeds:
    select: {all: true}
    flows: {telemetry: v1, 'alarms': "v1"}   # both
devices:
  pump-1: {telemetry: v0}
pins: [{device: pump-2, flows: {telemetry: v0}, reason: old board}]
"""
ALONE = f"""\
apiVersion: reconciler/v1
application: {{id: {PROD}, name: prod}}
flows: {{telemetry: 575ED18F7AE143CD83DC4AA6}}
groups:
  leeds:  # the first site
    select: {{tags: {{site: leeds}}}}
    flows:
      telemetry: 'v1' # since March
      alarms: v1
  york: {{select: {{tags: {{site: york}}}}, flows: {{575ed18f7ae143cd83dc4aa6: v1}}}}
devices:
  575ECF887AE143CD83DC4AA2: {{telemetry: v1}}
pins:
  - device: pump-7
    reason: board
    flows: {{telemetry: v0}}
"""


def document(application: str, extends: str = "../base.yaml") -> str:
    return f"apiVersion: reconciler/v1\napplication: {application}\nextends: {extends}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_all(**files: str) -> None:
    """Files by name, where `__` is a folder's end."""
    for name, text in files.items():
        path = Path(f"{name.replace('__', '/')}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def environments() -> None:
    write_all(base=BASE, manifests__prod=document(PROD), manifests__staging=document(STAGING))


def texts() -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(Path().rglob("*.yaml"))}


def refused(*argv: str) -> Ended:
    """A run that fails and writes nothing."""
    before = texts()
    ended = run_here("set", *argv)
    assert (ended.code, ended.out) == (1, "")
    assert texts() == before
    return ended


@pytest.mark.parametrize(
    ("argv", "old", "new"),
    [
        (["alarms=v2"], "alarms: v1", "alarms: v2"),
        (["telemetry=v2", "--group", "leeds"], "'v1' # since", "'v2' # since"),
        (["575ed18f7ae143cd83dc4aa6=v2", "--group", "leeds"], "'v1' # since", "'v2' # since"),
        (["telemetry=v2", "--group", "york"], "4aa6: v1", "4aa6: v2"),
        (["telemetry=1.10", "--device", "575ecf887ae143cd83dc4aa2"], "{telemetry: v1}", "{telemetry: 1.10}"),
        (["telemetry=a=b", "--pin", "pump-7", "--application", "prod"], "{telemetry: v0}", "{telemetry: 'a=b'}"),
        (["telemetry=absent", "--group", "leeds", "--kind", "embedded"], "'v1' # since", "'absent' # since"),
    ],
)
def test_it_edits_the_one_place_and_nothing_else(argv: list[str], old: str, new: str) -> None:
    write_all(alone=ALONE.replace("\n", "\r\n"))
    ended = run_here("set", argv[0], "alone.yaml", *argv[1:])
    assert (ended.code, ended.err) == (0, "Wrote alone.yaml.\n")
    assert ALONE.count(old) == 1
    expected = ALONE.replace(old, new)
    assert Path("alone.yaml").read_bytes() == expected.replace("\n", "\r\n").encode()
    changed = [line for line in ended.out.splitlines() if line[0] in "+-" and not line.startswith(("+++", "---"))]
    assert changed == [f"-{line}" for line in ALONE.splitlines() if old in line] + [
        f"+{line}" for line in expected.splitlines() if line not in ALONE.splitlines()
    ]


def test_check_shows_the_diff_and_writes_nothing() -> None:
    write_all(manifests__alone=ALONE)
    Path("manifests/alone.yaml").chmod(0o444)
    ended = run_here("set", "alarms=v2", "--check")
    assert (ended.code, ended.err) == (2, "")
    assert ended.out.startswith("--- manifests/alone.yaml\n+++ manifests/alone.yaml\n@@ ")
    assert "-      alarms: v1\n+      alarms: v2\n" in ended.out
    assert Path("manifests/alone.yaml").read_text() == ALONE


def test_what_says_it_already_is_not_written() -> None:
    write_all(alone=ALONE)
    for argv in ([], ["--check"]):
        ended = run_here("set", "alarms=v1", "alone.yaml", *argv)
        assert (ended.code, ended.out) == (0, "")
        assert 'alone.yaml:9: group "leeds" says v1 already' in ended.err


def test_several_places_are_listed() -> None:
    write_all(alone=ALONE)
    ended = refused("telemetry=v2", "alone.yaml")
    first, *places = ended.err.splitlines()
    assert first.startswith('Error: flow "telemetry" is declared in 4 places (choose one with --group')
    assert [place.split(" of ")[0] for place in places] == [
        'alone.yaml:8:7: group "leeds"',
        'alone.yaml:10:48: group "york"',
        'alone.yaml:12:30: device "575ecf887ae143cd83dc4aa2"',
        'alone.yaml:16:13: pin for device "pump-7"',
    ]
    assert all("(prod) says v" in place for place in places)


PINNED = f"""\
apiVersion: reconciler/v1
application: {PROD}
groups:
  leeds: {{select: {{all: true}}, flows: {{telemetry: v1}}}}
pins:
  - {{device: pump-7, flows: {{telemetry: v0}}, reason: board}}
"""


def test_a_pin_beside_the_only_group_stays_and_is_told() -> None:
    write_all(alone=PINNED)
    ended = run_here("set", "telemetry=v2", "alone.yaml")
    assert ended.code == 0, ended.err
    assert Path("alone.yaml").read_text() == PINNED.replace("v1}", "v2}")
    assert 'Note: alone.yaml:6: pin for device "pump-7" stays at v0; --pin edits it.\n' in ended.err
    assert run_here("set", "telemetry=v3", "--pin", "pump-7", "alone.yaml").code == 0
    assert Path("alone.yaml").read_text() == PINNED.replace("v1}", "v2}").replace("v0", "v3")


@pytest.mark.parametrize(
    "more",
    [
        "devices: {pump-8: {telemetry: v0}}\n",  # said by name, for which no reason is given
        (
            f"---\napiVersion: reconciler/v1\napplication: {LAB}\n"
            "pins: [{device: pump-9, flows: {telemetry: v0}, reason: no exception of that group}]\n"
        ),
    ],
)
def test_anything_else_beside_the_group_has_to_be_chosen(more: str) -> None:
    write_all(alone=PINNED + more)
    assert 'flow "telemetry" is declared in 3 places' in refused("telemetry=v2", "alone.yaml").err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["telemetri=v2"], 'nothing here declares flow "telemetri" (nearest: telemetry)'),
        (["zz=v2"], 'nothing here declares flow "zz" (declared: '),
        (["alarms=v2", "--group", "york"], 'group "york" does not declare flow "alarms"'),
        (["alarms=v2", "--group", "leds"], 'there is no group named "leds" (nearest: leeds)'),
        (["alarms=v2", "--device", "zz"], 'there is no device named "zz" (there are: 575ecf887ae143cd83dc4aa2)'),
        (["alarms=v2", "--pin", "zz"], 'there is no pin for a device named "zz" (there are: pump-7)'),
        (["alarms=v2", "--group", "leeds", "--pin", "pump-7"], "--group, --device and --pin cannot be combined"),
        (["alarms=develop"], 'alone.yaml:9:15: "alarms": "develop" is not deployable'),
        (["alarms"], "'alarms' is not of the form FLOW=VERSION"),
        (["alarms=v\udcff"], "is not text"),
        (["alarms=v\n2"], "the control character U+000A is not allowed"),
        (["alarms="], "'alarms=' is not of the form FLOW=VERSION"),
        (["alarms=v2", "--base"], 'no base declares flow "alarms"'),
        (["alarms=v2", "--application", LAB], "no manifest here is for that application and kind"),
        (["alarms=v2", "--kind", "edge"], "no manifest here is for that application and kind"),
    ],
)
def test_what_it_cannot_do_is_told(argv: list[str], told: str) -> None:
    write_all(alone=ALONE)
    assert told in refused(argv[0], "alone.yaml", *argv[1:]).err


def test_standard_input_and_a_base_alone_cannot_be_edited() -> None:
    write_all(base=BASE)
    assert "standard input cannot be edited" in refused("alarms=v2", "-").err
    assert "no document in base.yaml has an application" in refused("alarms=v2", "base.yaml").err
    assert "base.yaml:2:1: duplicate key" in refused("alarms=v2", "base.yaml", str(_broken())).err


def _broken() -> Path:
    Path("base.yaml").write_text("apiVersion: reconciler/v1\napiVersion: reconciler/v1\n")
    return Path("base.yaml")


def test_an_edit_does_not_move_another_application() -> None:
    environments()
    before = load_manifests(["manifests/staging.yaml"])
    ended = run_here("set", "telemetry=v2", "--group", "leeds", "--application", PROD)
    assert ended.code == 0
    assert (
        'Note: manifests/prod.yaml overrides group "leeds" of base.yaml:6, which manifests/staging.yaml reaches, too'
        in ended.err
    )
    assert Path("base.yaml").read_text() == BASE
    assert (
        Path("manifests/prod.yaml").read_text() == f"{document(PROD)}groups:\n  leeds:\n    flows: {{telemetry: v2}}\n"
    )
    assert load_manifests(["manifests/staging.yaml"]) == before
    (rules,) = load_manifests(["manifests/prod.yaml"])
    versions = {rule.flow.text: rule.version for group in rules.groups for rule in group.flows}
    assert versions == {"telemetry": "v2", "alarms": "v1"}
    run_here("set", "alarms=v3", "--group", "leeds", "--application", PROD)
    run_here("set", "telemetry=v2", "--device", "pump-1", "--application", PROD)
    ended = run_here("set", "telemetry=v4", "--group", "leeds", "--application", PROD)
    assert "Note" not in ended.err
    own = "groups:\n  leeds:\n    flows: {telemetry: v4, alarms: v3}\ndevices:\n  pump-1: {telemetry: v2}\n"
    assert Path("manifests/prod.yaml").read_text() == document(PROD) + own


def test_who_reaches_a_base_is_looked_for_beyond_the_paths() -> None:
    environments()
    write_all(elsewhere__deep__middle="apiVersion: reconciler/v1\nextends: ../../base.yaml\n")
    write_all(elsewhere__lab=document(LAB, "deep/middle.yaml"))
    ended = run_here("set", "alarms=v2", "manifests/prod.yaml")
    assert ended.code == 0
    assert "elsewhere/lab.yaml, manifests/staging.yaml reach, too" in ended.err
    assert Path("base.yaml").read_text() == BASE


def test_who_was_given_counts_also_where_nobody_looks() -> None:
    write_all(base=BASE)
    for name, application in (("prod", PROD), ("staging", STAGING)):
        write_all(**{f".hidden__{name}": document(application)})
    ended = run_here("set", "alarms=v2", ".hidden/prod.yaml", ".hidden/staging.yaml", "--application", PROD)
    assert ended.code == 0
    assert "which .hidden/staging.yaml reaches, too" in ended.err
    assert Path("base.yaml").read_text() == BASE
    ended = run_here("set", "alarms=v3", ".hidden/staging.yaml", "--base")
    assert f"moves with it: application {STAGING}, .hidden/staging.yaml" in ended.err


def test_a_base_that_only_one_application_reaches_is_its_own_place() -> None:
    write_all(base=BASE, manifests__prod=document(PROD))
    ended = run_here("set", "alarms=v2", "manifests/prod.yaml")
    assert ended.code == 0
    assert Path("manifests/prod.yaml").read_text() == document(PROD)
    assert Path("base.yaml").read_text() == BASE.replace('"v1"', '"v2"')


def test_a_file_that_cannot_be_read_may_reach_the_base() -> None:
    write_all(base=BASE, manifests__prod=document(PROD), broken="extends: base.yaml\n  a: [", other="extends: x: [")
    ended = run_here("set", "alarms=v2", "manifests/prod.yaml")
    assert ended.code == 0
    assert "which broken.yaml reaches, too" in ended.err
    assert Path("base.yaml").read_text() == BASE


def test_the_base_is_edited_for_all_and_every_application_is_listed() -> None:
    environments()
    write_all(lab=document(LAB, "base.yaml") + "groups: {leeds: {flows: {alarms: v7}}}\n")
    write_all(edge=document(LAB, "base.yaml") + "kind: edge\n")
    ended = run_here("set", "alarms=v2", "--base")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "Note: base.yaml is a base: 3 documents of 3 applications move with it.",
        f"Note: moves with it: application {LAB} edge, edge.yaml.",
        f"Note: moves with it: application {PROD}, manifests/prod.yaml.",
        f"Note: moves with it: application {STAGING}, manifests/staging.yaml.",
        "Wrote base.yaml.",
    ]
    assert Path("base.yaml").read_text() == BASE.replace('"v1"', '"v2"')
    assert Path("manifests/prod.yaml").read_text() == document(PROD)


def test_without_a_choice_a_shared_base_is_ambiguous() -> None:
    environments()
    first, *places = refused("alarms=v2").err.splitlines()
    assert "2 applications reach the place" in first
    assert "--application" in first
    assert "--base" in first
    assert [place.rpartition("through ")[2] for place in places] == ["manifests/prod.yaml", "manifests/staging.yaml"]


def test_pins_of_a_base_cannot_be_overridden() -> None:
    environments()
    ended = refused("telemetry=v2", "--pin", "pump-2", "--application", PROD)
    assert "base.yaml:9:" in ended.err
    assert "pins add up" in ended.err
    assert "--base" in ended.err
    assert run_here("set", "telemetry=v2", "--pin", "pump-2", "--base").code == 0
    assert "flows: {telemetry: v2}, reason" in Path("base.yaml").read_text()


def test_two_documents_of_one_application_on_one_base() -> None:
    write_all(base=BASE, manifests__a=document(PROD), manifests__b=document(PROD))
    assert run_here("set", "alarms=v2").code == 0
    assert Path("base.yaml").read_text() == BASE.replace('"v1"', '"v2"')
    write_all(manifests__c=document(STAGING))
    ended = refused("alarms=v3", "--application", PROD)
    assert "2 documents of application" in ended.err
    assert "--base" in ended.err


def test_an_anchor_that_shares_a_value_is_refused() -> None:
    shared = "groups:\n  a: {select: {all: true}, flows: &f {x: v1}}\n  b: {select: {all: true}, flows: *f}\n"
    write_all(m=f"apiVersion: reconciler/v1\napplication: {PROD}\n{shared}")
    ended = refused("x=v2", "m.yaml", "--group", "a")
    assert "m.yaml:4:" in ended.err
    assert "an anchor shares this value" in ended.err


def test_an_edit_that_would_change_something_else_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the editor of the text gets wrong: all is loaded and compared before it is written."""
    write_all(alone=ALONE)
    wrong = "reconciler.operations.editing.drafts.with_value"
    for old, new in (
        (b"'v1'", b"v2"),
        (b"leeds", b"hull"),
        (b"site: york", b"site: hull"),
        (b"- device: pump-7", b"- device: x"),
    ):
        monkeypatch.setattr(
            wrong, lambda data, *_, o=old, n=new: data.replace(b"alarms: v1", b"alarms: v2").replace(o, n)
        )
        assert "would change something else" in refused("alarms=v2", "alone.yaml").err


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_read_only_file_is_not_replaced(mode: int) -> None:
    write_all(alone=ALONE)
    Path("alone.yaml").chmod(mode)
    assert "alone.yaml is read-only (`chmod u+w alone.yaml`" in refused("alarms=v2", "alone.yaml").err


def edited() -> Edit:
    write_all(alone=ALONE)
    return set_version("alarms", "v2", ["alone.yaml"], scope=Scope())


def test_a_file_that_changed_meanwhile_keeps_what_the_other_wrote() -> None:
    (one,) = edited().files
    Path("alone.yaml").write_text(ALONE + "# by somebody else\n")
    with pytest.raises(UsageError, match=r"alone.yaml changed while it was edited; nothing was written"):
        write(one)
    assert Path("alone.yaml").read_text() == ALONE + "# by somebody else\n"
    assert list(Path().iterdir()) == [Path("alone.yaml")]


def test_a_full_disk_leaves_what_another_wrote_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, data: bytes) -> None:
        Path("alone.yaml").write_text(ALONE + "# by somebody else\n")
        raise OSError(errno.ENOSPC, "No space left on device")

    (one,) = edited().files
    monkeypatch.setattr("reconciler.files._write_all", full)
    with pytest.raises(UsageError, match=r"could not be written: No space left on device .it is as it was"):
        write(one)
    assert Path("alone.yaml").read_text() == ALONE + "# by somebody else\n"
    assert list(Path().iterdir()) == [Path("alone.yaml")]


def test_a_file_that_is_gone_is_not_written() -> None:
    (one,) = edited().files
    Path("alone.yaml").unlink()
    with pytest.raises(UsageError, match=r"not a regular file"):
        write(one)
    assert list(Path().iterdir()) == []


def test_where_it_cannot_be_renamed_it_is_written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    write_all(alone=ALONE)
    monkeypatch.setattr(Path, "replace", busy)
    inode = Path("alone.yaml").stat().st_ino
    ended = run_here("set", "alarms=v2", "alone.yaml")
    assert ended.code == 0
    assert "alone.yaml cannot be replaced; it was written in place" in ended.err
    assert Path("alone.yaml").stat().st_ino == inode
    assert Path("alone.yaml").read_text() == ALONE.replace("alarms: v1", "alarms: v2")
    assert list(Path().iterdir()) == [Path("alone.yaml")]


def test_what_cannot_be_written_in_place_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    def full(file: object, data: bytes) -> None:
        Path("alone.yaml").write_bytes(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    (one,) = edited().files
    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr("reconciler.files._write_in_place", full)
    with pytest.raises(UsageError, match=r"alone.yaml could not be written: No space left on device .it is as it was"):
        write(one)
    assert Path("alone.yaml").read_text() == ALONE


def test_of_several_at_once_each_is_made_or_says_that_it_is_not(tmp_path: Path) -> None:
    """Nothing that was confirmed is lost, whoever comes between."""
    groups = "".join(f"  g{number}: {{select: {{all: true}}, flows: {{f{number}: v1}}}}\n" for number in range(6))
    write_all(m=f"apiVersion: reconciler/v1\napplication: {PROD}\ngroups:\n{groups}")
    started = [
        processes.start([*RECONCILER, "set", f"f{number}=v2", "m.yaml"], cwd=tmp_path, stderr=subprocess.PIPE)
        for number in range(6)
    ]
    made = []
    for number, process in enumerate(started):
        _, said = process.communicate()
        if process.returncode == 0:
            made.append(number)
        else:
            assert "m.yaml changed while it was edited; nothing was written" in said
    (rules,) = load_manifests(["m.yaml"])
    assert [group.name for group in rules.groups if group.flows[0].version == "v2"] == [f"g{one}" for one in made]
    assert made


@given(st.data())
def test_the_rules_stay_the_same_but_for_the_one_value(data: st.DataObject) -> None:
    """Of every application, whichever of the three files says it, and in whichever style."""
    versions = st.sampled_from(["v1", "v2", "'1.10'", '"it\'s"'])
    flows = st.sampled_from(["{a: %s, b: %s}", "\n      a: %s # one\n      b: %s", "{'a': %s, \"b\": %s,}"])
    declared = st.tuples(flows, versions, versions).map(lambda one: one[0] % one[1:])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        group = data.draw(declared)
        write_all(base=f"apiVersion: reconciler/v1\ngroups:\n  g:\n    select: {{all: true}}\n    flows: {group}\n")
        for name, id_ in (("prod", PROD), ("staging", STAGING)):
            own = data.draw(st.sampled_from(["", "kind: embedded\n", "groups: {}\n"]) | declared.map(_own_group))
            write_all(**{name: document(id_, "base.yaml") + own})
        before = [_said(name) for name in ("prod", "staging")]
        flow, version = data.draw(st.sampled_from("ab")), data.draw(st.sampled_from(["v9", "v 9", "it's: #9"]))
        edit = set_version(flow, version, ["prod.yaml"], scope=Scope(group="g"))
        for one in edit.files:
            write(one)
        assert [_said(name) for name in ("prod", "staging")] == [{**before[0], flow: version}, before[1]]


def _own_group(flows: str) -> str:
    return f"groups:\n  g:\n    priority: 1\n    flows: {flows}\n"


def _said(name: str) -> dict[str, str | None]:
    (rules,) = load_manifests([f"{name}.yaml"])
    (group,) = rules.groups
    return {rule.flow.text: rule.version for rule in group.flows}


def test_a_link_stays_a_link_and_the_mode_stays() -> None:
    write_all(real=ALONE)
    Path("real.yaml").chmod(0o640)
    Path("alone.yaml").symlink_to("real.yaml")
    assert run_here("set", "alarms=v2", "alone.yaml").code == 0
    assert Path("alone.yaml").is_symlink()
    assert Path("real.yaml").stat().st_mode & 0o777 == 0o640
    assert "alarms: v2" in Path("real.yaml").read_text()


def test_the_diff_does_not_speak_to_a_ci_system() -> None:
    write_all(alone=ALONE.replace("alarms: v1", 'alarms: v1\n      # \u202e x\n      "::error::": v1'))
    ended = run_here("set", "alarms=v2", "alone.yaml")
    assert not [line for line in ended.out.splitlines() if line.lstrip().startswith("::")]
    assert "\u202e" not in ended.out


def test_rules_that_contradict_one_another_afterwards_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group = "{select: {tags: {site: leeds}}, flows: {575ed18f7ae143cd83dc4aa6: v1}}"
    head = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
    Path("m.yaml").write_text(f"{head}groups:\n  all: {group}\n  other: {group}\n")
    ended = run_here("set", "575ed18f7ae143cd83dc4aa6=v2", "--group", "all", "m.yaml")
    assert ended.code == 0
    assert "`validate` refuses it now: m.yaml:" in ended.err
    assert 'group "other" says v1, group "all" says v2' in ended.err.replace("\n  ", " ")
    assert run_here("validate", "m.yaml").code == 1
    mended = run_here("set", "575ed18f7ae143cd83dc4aa6=v2", "--group", "other", "m.yaml")
    assert (mended.code, "validate" in mended.err) == (0, False)
