"""A version is what it was when it was locked, whatever is published under its name since."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifest.lock.writing import lock_text
from reconciler.model.state import Kind
from reconciler.simulator import Definition, faults
from tests.support.cli import Here
from tests.support.fleet import APPLICATION, HEAD, Shop, of_kind

LOCK = "reconciler.lock"
OTHER = Definition(nodes=({"id": "n", "type": "MqttNode", "config": {"topic": "evil"}},))
UPDATE = f"{HEAD}groups: {{leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v2}}}}}}\n"
REVERT = UPDATE.replace("telemetry: v2", "telemetry: v1, alarms: v2")


@pytest.fixture
def kind() -> Kind:
    """Of embedded deployments, unless a test asks for both: the kind is but a word in the lock."""
    return Kind.EMBEDDED


both = pytest.mark.parametrize("kind", list(Kind))


@pytest.fixture(autouse=True)
def only_one_manifest(kind: Kind, shop: Shop) -> None:
    shop.write("go.yaml", of_kind(kind, UPDATE))
    (shop.folder / "shop.yaml").unlink()


@pytest.fixture
def locked(kind: Kind, shop: Shop, here: Here) -> Shop:
    """The shop with `go.yaml`, which moves Leeds to a version that is locked."""
    assert here("lock", "go.yaml").code == 0
    return shop


def flow_id(shop: Shop, name: str = "telemetry") -> str:
    return str(next(row["flow_id"] for row in shop.control.rows() if row["flow"] == name))


def sha(text: str, version: str) -> str:
    found = re.search(rf"{version}: .*sha256: ([0-9a-z\"]+)", text)
    assert found
    return found[1].strip('"')


@both
def test_a_lock_has_one_sorted_line_a_version_and_says_the_same_again(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, f"{UPDATE}devices: {{york-1: {{alarms: v2, telemetry: v1}}}}\n"))
    first = here("lock", "go.yaml")
    assert first.code == 0, first.err
    assert f"{LOCK}: 3 added" in first.out
    text = (shop.folder / LOCK).read_text()
    lines = [line.strip() for line in text.splitlines() if "sha256" in line]
    assert [line.partition(":")[0] for line in lines] == (
        ["v2", "v1", "v2"] if flow_id(shop, "alarms") < flow_id(shop) else ["v1", "v2", "v2"]
    )
    assert f"  {APPLICATION}/{kind}:" in text
    assert f"{flow_id(shop)}:  # telemetry" in text.replace('"', "")
    assert all(re.fullmatch(r"v\d: \{id: \S+, created: \S+, sha256: \S+\}", line) for line in lines)
    again = here("lock", "go.yaml")
    assert (again.code, (shop.folder / LOCK).read_text()) == (0, text)
    assert again.out == f"{LOCK}: 3 unchanged\n"
    assert here("plan", "go.yaml", "--frozen", "--strict").code == 0
    assert shop.writes() == []


@both
@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"]])
def test_a_change_onto_other_content_is_refused(locked: Shop, here: Here, command: list[str]) -> None:
    locked.control.republish_version("telemetry", "v2", OTHER)
    ended = here(*command, "go.yaml", "--format", "json")
    assert ended.code == 3
    (problem,) = ended.document["error"]["problems"]
    line = 1 + (locked.folder / LOCK).read_text().splitlines().index(
        next(one for one in (locked.folder / LOCK).read_text().splitlines() if "v2:" in one)
    )
    assert (problem["path"], problem["line"]) == (LOCK, line)
    assert 'refused (content): version v2 of flow "telemetry" is not what was locked' in problem["message"]
    assert "reconciler lock --update telemetry" in problem["hint"]
    assert locked.writes() == []


def test_the_way_out_is_to_update_the_lock(locked: Shop, here: Here) -> None:
    before = (locked.folder / LOCK).read_text()
    locked.control.republish_version("telemetry", "v2", OTHER)
    stays = here("lock", "go.yaml")
    assert (stays.code, (locked.folder / LOCK).read_text()) == (3, before)
    assert stays.out == f"{LOCK}: 1 not what was locked, 0 unchanged\n"
    assert "refused (content)" in stays.err
    assert "lock --update telemetry" in stays.err
    taken_for_a_flow = here("lock", "--update", "go.yaml", "go.yaml")
    assert taken_for_a_flow.code == 1
    assert 'no flow "go.yaml" is declared here (to update all flows, write --update last)' in taken_for_a_flow.err
    unknown = here("lock", "go.yaml", "--update", "telemetri")
    assert (unknown.code, (locked.folder / LOCK).read_text()) == (1, before)
    assert "telemetry" in unknown.err
    assert here("lock", "--update", "telemetry", "go.yaml").code == 0
    assert sha((locked.folder / LOCK).read_text(), "v2") != sha(before, "v2")
    assert here("apply", "go.yaml", "--yes").code == 0
    locked.control.republish_version("telemetry", "v2", Definition())
    assert here("lock", "go.yaml", "--update").code == 0
    assert sha((locked.folder / LOCK).read_text(), "v2") == sha(before, "v2")


def test_only_the_content_decides(locked: Shop, here: Here) -> None:
    locked.control.delete_version("telemetry", "v2")
    locked.control.advance(5)
    locked.control.add_version("telemetry", "v2")
    planned = here("plan", "go.yaml", "--strict", "--frozen")
    assert planned.code == 0, planned.err
    assert "Note: version v2 of flow" in planned.out
    assert "created anew" in " ".join(planned.out.split())
    again = here("lock", "go.yaml")
    assert again.code == 0
    assert "Note: version v2" in again.err
    locked.control.delete_version("telemetry", "v2")
    locked.control.add_version("telemetry", "v2", OTHER)
    assert here("plan", "go.yaml").code == 3


@both
def test_what_is_only_pending_warns_and_blocks_no_revert(kind: Kind, locked: Shop, here: Here) -> None:
    locked.control.disconnect("leeds-1")
    assert here("apply", "go.yaml", "--yes").code == 0
    locked.control.settle()
    locked.control.republish_version("telemetry", "v2", OTHER)
    pending = here("plan", "go.yaml")
    assert pending.code == 0
    text = " ".join(pending.out.split())
    assert "Warning: reconciler.lock:" in text
    assert "is not what was locked" in text
    assert "pending" in text
    locked.write("go.yaml", of_kind(kind, UPDATE.replace("telemetry: v2", "telemetry: v2, alarms: v1")))
    assert here("plan", "go.yaml").code == 0
    locked.write("go.yaml", of_kind(kind, REVERT))
    assert here("lock", "go.yaml").code == 0
    reverted = here("apply", "go.yaml", "--yes")
    assert reverted.code == 0, reverted.err
    assert locked.released()["leeds-1/telemetry"] == "v1"


@both
def test_a_version_that_is_not_locked_warns_and_is_refused_when_frozen(kind: Kind, locked: Shop, here: Here) -> None:
    locked.write("go.yaml", of_kind(kind, REVERT.replace("telemetry: v1", "telemetry: v3")))
    warned = here("plan", "go.yaml", "--format", "json")
    assert warned.code == 0
    messages = [one["message"] for one in warned.document["plans"][0]["warnings"]]
    assert messages == ['version v2 of flow "alarms" is not locked', 'version v3 of flow "telemetry" is not locked']
    for command in (["plan"], ["apply", "--yes"]):
        frozen = here(*command, "go.yaml", "--frozen")
        assert frozen.code == 3
        assert "refused (content)" in frozen.err
        assert "run reconciler lock and commit reconciler.lock" in frozen.err
    assert locked.writes() == []
    assert here("lock", "go.yaml").code == 0
    assert here("apply", "go.yaml", "--frozen", "--yes").code == 0


def test_frozen_without_a_lock_is_refused(kind: Kind, shop: Shop, here: Here) -> None:
    assert here("plan", "go.yaml").code == 0
    frozen = here("plan", "go.yaml", "--frozen")
    assert frozen.code == 3
    assert f"{LOCK}:1:1: refused (content)" in frozen.err


def test_without_a_lock_no_definition_is_read(kind: Kind, shop: Shop, here: Here) -> None:
    here("plan", "go.yaml")
    assert "flowVersion.get" not in shop.control.counts()
    here("lock", "go.yaml")
    shop.control.forget_requests()
    here("plan", "go.yaml")
    assert shop.control.counts()["flowVersion.get"] == 1
    (asked,) = [one for one in shop.control.requests() if one["action"] == "flowVersion.get"]
    assert asked["query"]["includeCustomNodes"] == "true"


@pytest.mark.parametrize("action", ["flowVersion.get", "flowVersion*.get"])
def test_a_token_that_may_not_read_versions_is_told_so(locked: Shop, here: Here, action: str) -> None:
    locked.control.republish_version("telemetry", "v2", OTHER)
    locked.control.fault(faults.Status(status=403, when=faults.When(action=action)))
    planned = here("plan", "go.yaml", "--format", "json")
    assert planned.code == 0
    messages = [one["message"] for one in planned.document["plans"][0]["warnings"]]
    assert "not verified: content of 1 locked version" in messages
    assert here("plan", "go.yaml", "--strict").code == 3
    asked = here("lock", "go.yaml")
    assert asked.code == 1
    assert "flowVersion.get" in asked.err


@both
def test_a_saved_plan_keeps_what_it_was_judged_by(kind: Kind, locked: Shop, here: Here) -> None:
    """Neither the version nor the lock may become another one between the plan and its apply."""
    assert here("plan", "go.yaml", "--out", "plan.json").code == 0
    data = locked.read_json("plan.json")
    saved = data["locks"][f"{APPLICATION}/{kind}"]
    assert [one["sha256"] for one in saved["versions"]] == [one["sha256"] for one in saved["found"]]
    locked.control.republish_version("telemetry", "v2", OTHER)
    refused = here("apply", "--plan", "plan.json", "--yes")
    assert refused.code == 3
    assert "refused (content)" in refused.err
    assert here("lock", "go.yaml", "--update").code == 0
    updated = here("apply", "--plan", "plan.json", "--yes")
    assert updated.code == 3
    assert "make a new plan" in updated.err
    (locked.folder / LOCK).unlink()
    assert here("apply", "--plan", "plan.json", "--yes").code == 3
    (locked.folder / "go.yaml").unlink()
    assert here("apply", "--plan", "plan.json", "--yes").code == 3
    assert locked.writes() == []
    locked.control.republish_version("telemetry", "v2", Definition())
    assert here("apply", "--plan", "plan.json", "--yes").code == 0


def test_a_lock_that_came_after_the_plan_counts_too(kind: Kind, shop: Shop, here: Here) -> None:
    assert here("plan", "go.yaml", "--out", "plan.json").code == 0
    assert here("lock", "go.yaml").code == 0
    shop.control.republish_version("telemetry", "v2", OTHER)
    assert here("apply", "--plan", "plan.json", "--yes").code == 3
    assert here("apply", "--plan", "plan.json", "--yes", "--frozen").code == 3
    assert shop.writes() == []


def test_a_frozen_plan_is_frozen_when_it_is_applied(kind: Kind, shop: Shop, here: Here) -> None:
    assert here("plan", "go.yaml", "--frozen", "--out", "plan.json").code == 3
    assert here("apply", "--plan", "plan.json", "--yes").code == 3
    assert here("plan", "go.yaml", "--out", "plan.json").code == 0
    assert here("apply", "--plan", "plan.json", "--yes", "--frozen").code == 3
    assert shop.writes() == []


def test_what_a_plan_was_judged_by_cannot_be_edited_away(kind: Kind, locked: Shop, here: Here) -> None:
    locked.control.republish_version("telemetry", "v2", OTHER)
    assert here("plan", "go.yaml", "--out", "plan.json").code == 3
    data = locked.read_json("plan.json")
    key = f"{APPLICATION}/{kind}"
    now = data["locks"][key]["found"][0]["sha256"]
    lock = data["locks"][key]
    edits: list[dict[str, Any]] = [
        {**data, "locks": {}},
        {**data, "locks": {key: {**lock, "versions": [{**lock["versions"][0], "sha256": now}]}}},
        {**data, "locks": {key: {**lock, "found": []}}},
    ]
    for edited in edits:
        for document in (edited, {**edited, "plans": [{**data["plans"][0], "refused": []}]}):
            locked.write("edited.json", json.dumps(document))
            assert here("apply", "--plan", "edited.json", "--yes").code in (1, 3)
    assert locked.writes() == []


def test_a_plan_for_other_rows_asks_for_their_versions_only(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, UPDATE.replace("telemetry: v2", "telemetry: v2, alarms: v2")))
    assert here("lock", "go.yaml").code == 0
    shop.control.republish_version("telemetry", "v2", OTHER)
    assert here("plan", "go.yaml").code == 3
    assert here("apply", "go.yaml", "--target", "flow=alarms", "--yes").code == 0
    assert shop.released()["leeds-1/telemetry"] == "v1"


def test_entries_come_and_go_with_what_is_declared(kind: Kind, locked: Shop, here: Here) -> None:
    locked.write("go.yaml", of_kind(kind, UPDATE.replace("v2", "v3")))
    ended = here("lock", "go.yaml")
    assert f"{LOCK}: 1 added, 1 removed, 0 unchanged" in ended.out
    text = (locked.folder / LOCK).read_text()
    assert ("v3:" in text, "v2:" in text) == (True, False)


def test_a_version_that_does_not_exist_is_told_and_not_locked(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, UPDATE.replace("v2", "v9")))
    ended = here("lock", "go.yaml")
    assert ended.code == 0
    assert 'Warning: go.yaml:3: flow "telemetry" has no version v9: it is not locked' in ended.err
    assert "v9" not in (shop.folder / LOCK).read_text()
    locked_then_deleted = of_kind(kind, UPDATE)
    shop.write("go.yaml", locked_then_deleted)
    here("lock", "go.yaml")
    shop.control.delete_version("telemetry", "v2")
    assert here("lock", "go.yaml").code == 0
    assert "v2" in (shop.folder / LOCK).read_text()


def test_the_lock_is_beside_files_with_an_application_and_not_beside_bases(kind: Kind, shop: Shop, here: Here) -> None:
    for folder in ("base", "live"):
        (shop.folder / folder).mkdir()
    shop.write("base/base.yaml", f"apiVersion: reconciler/v1\n{UPDATE.partition(HEAD)[2]}")
    shop.write("live/shop.yaml", of_kind(kind, f"{HEAD}extends: ../base/base.yaml\n"))
    (shop.folder / ".git").mkdir()
    assert here("lock", "live").code == 0
    assert [path.relative_to(shop.folder) for path in shop.folder.rglob(LOCK)] == [Path("live") / LOCK]
    shop.control.republish_version("telemetry", "v2", OTHER)
    assert here("plan", "live/shop.yaml").code == 3


def test_one_file_of_a_folder_takes_nothing_from_the_others(kind: Kind, locked: Shop, here: Here) -> None:
    locked.write("more.yaml", of_kind(kind, f"{HEAD}devices: {{york-1: {{alarms: v2}}}}\n"))
    assert here("lock", ".").code == 0
    text = (locked.folder / LOCK).read_text()
    assert text.count("sha256") == 2
    assert here("lock", "more.yaml").out == f"{LOCK}: 2 unchanged\n"
    locked.write("broken.yaml", "apiVersion: [\n")
    assert here("lock", "more.yaml").code == 0
    assert (locked.folder / LOCK).read_text() == text


def test_an_update_is_asked_for_by_alias_id_or_losant_name(kind: Kind, shop: Shop, here: Here) -> None:
    own = flow_id(shop)
    aliased = UPDATE.replace("telemetry: v2", "t: v2").replace("groups:", f"flows: {{t: {own}}}\ngroups:")
    shop.write("go.yaml", of_kind(kind, aliased))
    assert here("lock", "go.yaml").code == 0
    for number, word in enumerate(("t", own.upper(), "telemetry")):
        shop.control.republish_version("telemetry", "v2", Definition(nodes=({"id": str(number)},)))
        refused = here("plan", "go.yaml")
        assert "lock --update telemetry and commit" in refused.err
        assert here("lock", "go.yaml", "--update", word).code == 0
        assert here("plan", "go.yaml").code == 0


def test_each_folder_locks_what_is_declared_in_it(kind: Kind, shop: Shop, here: Here) -> None:
    for folder in ("a", "b"):
        (shop.folder / folder).mkdir()
    shop.write("a/a.yaml", of_kind(kind, f"{HEAD}flows: {{t: telemetry}}\ndevices: {{leeds-1: {{t: v2}}}}\n"))
    shop.write("b/b.yaml", of_kind(kind, f"{HEAD}devices: {{leeds-2: {{t: v3, alarms: v2}}}}\n"))
    assert here("lock", "a", "b").code == 0
    versions = {folder: re.findall(r"(v\d): {", (shop.folder / folder / LOCK).read_text()) for folder in ("a", "b")}
    assert (versions["a"], sorted(versions["b"])) == (["v2"], ["v2", "v3"])
    assert here("plan", "a", "b", "--frozen", "--strict").code == 0
    shop.control.republish_version("telemetry", "v2", OTHER)
    assert here("plan", "a", "b").code == 3
    shop.write("b/" + LOCK, (shop.folder / "a" / LOCK).read_text())
    assert here("lock", "a", "--update").code == 0
    disagreeing = here("plan", "a", "b")
    assert disagreeing.code == 3
    assert "two locks differ" in disagreeing.err


def test_what_is_published_again_between_two_requests_is_looked_up_again(locked: Shop, here: Here) -> None:
    gone = faults.Status(status=404, type="NotFound", when=faults.When(action="flowVersion.get", times=2))
    locked.control.fault(gone)
    assert here("plan", "go.yaml", "--strict").code == 0
    locked.control.fault(faults.Status(status=404, type="NotFound", when=faults.When(action="flowVersion.get")))
    for command in (["plan"], ["apply", "--yes"]):
        ended = here(*command, "go.yaml")
        assert ended.code == 1
        assert 'version v2 of flow "telemetry" was locked, and does not exist any more' in ended.err
    assert locked.writes() == []


def test_a_pending_version_that_does_not_exist_any_more_warns(locked: Shop, here: Here) -> None:
    locked.control.disconnect("leeds-1")
    assert here("apply", "go.yaml", "--yes").code == 0
    locked.control.delete_version("telemetry", "v2")
    planned = here("plan", "go.yaml", "--format", "json")
    assert planned.code == 0
    messages = [one["message"] for one in planned.document["plans"][0]["warnings"]]
    assert messages == ['version v2 of flow "telemetry" was locked, and does not exist any more']


def test_a_reviewed_digest_covers_the_lock(locked: Shop, here: Here) -> None:
    """Who approved a plan approved what its versions were: another lock is another review."""
    before = here("plan", "go.yaml", "--format", "json").document
    locked.control.republish_version("telemetry", "v2", OTHER)
    assert here("lock", "go.yaml", "--update").code == 0
    after = here("plan", "go.yaml", "--format", "json").document
    assert before["digest"] == after["digest"]
    assert before["review_digest"] != after["review_digest"]
    assert here("apply", "go.yaml", "--yes", "--expect-digest", before["review_digest"]).code == 4
    assert here("apply", "go.yaml", "--yes", "--expect-digest", after["review_digest"]).code == 0


# Bad input.


def test_a_lock_of_another_application_is_an_error_with_its_place(locked: Shop, here: Here) -> None:
    text = (locked.folder / LOCK).read_text()
    locked.write(LOCK, text.replace(APPLICATION, "5" * 24))
    for command in (["plan"], ["validate"], ["apply", "--yes"]):
        ended = here(*command, "go.yaml")
        assert ended.code == 1
        assert f"{LOCK}:4:3: this lock is for application {'5' * 24}, not for {APPLICATION}" in ended.err
        assert "reconciler lock go.yaml" in ended.err
    mended = here("lock", "go.yaml")
    assert mended.code == 0
    assert here("plan", "go.yaml", "--frozen").code == 0


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("sha256: ", "sha256: x"), '"sha256": expected 64 hex digits'),
        (("created: ", "created: yesterday"), '"created": expected a date and time'),
        (("{id: ", "{id: 1"), '"id": expected 24 hex digits'),
        (("{id: ", "{note: x, id: "), '"note": unknown key'),
        (("sha256:", "sha-256:"), "sha256 is missing"),
        (("reconciler/v1", "reconciler/v2"), '"apiVersion": expected reconciler/v1'),
        (("locked:", "<<<<<<< HEAD\nlocked:"), "a merge conflict is not resolved"),
        (("locked:", "bolted:"), "locked is missing"),
        ((f"{APPLICATION}/", "production/"), "expected an application's id, a slash"),
        (("    v2:", "    v1: yes\n      v2:"), '"v1": expected {id, created, sha256}'),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_lock_that_was_edited_by_hand_is_told_with_its_place(
    locked: Shop, here: Here, edit: tuple[str, str], told: str
) -> None:
    text = (locked.folder / LOCK).read_text()
    locked.write(LOCK, re.sub(r'"', "", text).replace(*edit, 1))
    for command in (["plan"], ["lock"], ["validate"]):
        ended = here(*command, "go.yaml")
        assert ended.code == 1, ended
        assert re.search(rf"^{LOCK}:\d+:\d+: .*{re.escape(told)}", ended.err, re.MULTILINE), ended.err
        assert "restore it from git" in ended.err or "merge conflict" in ended.err


def test_a_hash_that_was_edited_by_hand_is_refused(locked: Shop, here: Here) -> None:
    text = (locked.folder / LOCK).read_text()
    locked.write(LOCK, text.replace(sha(text, "v2"), "0" * 63 + "a"))
    assert here("plan", "go.yaml").code == 3


def test_a_lock_from_standard_input_has_no_folder(locked: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((locked.folder / "go.yaml").read_bytes())))
    ended = here("lock", "-")
    assert ended.code == 1
    assert "standard input" in ended.err


def test_a_lock_that_cannot_be_written_is_told(locked: Shop, here: Here) -> None:
    (locked.folder / LOCK).unlink()
    (locked.folder / LOCK).mkdir()
    ended = here("lock", "go.yaml")
    assert ended.code == 1
    assert LOCK in ended.err


def test_a_lock_that_somebody_else_changes_meanwhile_is_left_alone(
    kind: Kind, locked: Shop, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed_meanwhile(*args: Any) -> str:
        locked.write(LOCK, "apiVersion: reconciler/v1\nlocked: {}\n")
        return lock_text(*args)

    monkeypatch.setattr("reconciler.operations.lock.merge.lock_text", changed_meanwhile)
    locked.write("go.yaml", of_kind(kind, UPDATE.replace("v2", "v3")))
    ended = here("lock", "go.yaml")
    assert ended.code == 1
    assert "was changed meanwhile" in ended.err
    assert (locked.folder / LOCK).read_text() == "apiVersion: reconciler/v1\nlocked: {}\n"
