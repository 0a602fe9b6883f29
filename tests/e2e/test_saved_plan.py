"""A saved plan is judged again when it is carried out: by its limits and protections, on the fleet as it is then."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from reconciler.model.state import Kind
from tests.support.cli import Ended, Here
from tests.support.fleet import APPLICATION, HEAD, Shop, of_kind

GUARDED = f"""{HEAD}
devices:
  leeds-1: {{telemetry: absent}}
  leeds-2: {{telemetry: v2}}
  leeds-3: {{telemetry: v1}}
  leeds-4: {{telemetry: v1}}
"""
HALF = "limits: {removals: {count: 1, percent: 50}}\n"
TWENTY = "limits: {removals: {percent: 20}}\n"
FIFTH = HALF.replace("50", "20")
PROTECTED = "protect: [{device: leeds-1}, {flow: alarms, forbid: change}]\n"


@pytest.mark.parametrize(
    ("manifest", "guard"), [(GUARDED + TWENTY, "removals"), (GUARDED + HALF + PROTECTED, "protect")]
)
def test_neither_a_refusal_nor_what_it_follows_from_can_be_edited_away(
    kind: Kind, shop: Shop, here: Here, manifest: str, guard: str
) -> None:
    shop.write("go.yaml", of_kind(kind, manifest))
    planned = here("plan", "go.yaml", "--out", "plan.json")
    assert planned.code == 3
    data = shop.read_json("plan.json")
    assert [one["guard"] for one in data["plans"][0]["refused"]] == [guard]
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, applied.err) == (3, planned.err)
    assert f"refused ({guard})" in applied.err
    judged_by = {**data["guards"][f"{APPLICATION}/{kind}"], "protect": [], "allow_removals": 9}
    edited = (
        {**data, "plans": [{**data["plans"][0], "refused": []}]},
        {**data, "guards": {f"{APPLICATION}/{kind}": judged_by}},
    )
    for document in edited:
        shop.write("plan.json", json.dumps(document))
        for command in (["apply", "--yes", "--plan"], ["show"]):
            done = here(*command, "plan.json")
            assert done.code == 1
            assert "plans[0].refused does not match its guards: the file was edited or damaged" in done.err
    assert shop.writes() == []


def digests_of(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the digests that fit it, as a forger would make them."""
    rows = [
        [part["application"]["id"], part["kind"], one["device_id"], one["flow_id"], one["from"], one["to"]]
        for part in document["plans"]
        for one in part["changes"]
    ]
    guards = []
    for key, judged_by in document["guards"].items():
        own = key.split("/")
        for name, limit in judged_by["limits"].items():
            if isinstance(limit, dict):
                guards.append([*own, f"limits.{name}", limit["count"], limit["percent"]])
        protect = [[*own, "protect", one["device_id"], one["flow_id"], one["forbid"]] for one in judged_by["protect"]]
        guards += sorted(protect, key=lambda one: [word or "" for word in one])
    review = json.dumps([*rows, *guards], separators=(",", ":"), ensure_ascii=False)
    return {**document, "review_digest": f"sha256:{hashlib.sha256(review.encode()).hexdigest()}"}


def test_what_a_reviewer_saw_covers_what_a_plan_is_guarded_with(kind: Kind, shop: Shop, here: Here) -> None:
    """Limits, protections and refusals edited together make a plan that reads well; its review digest is another."""
    shop.write("go.yaml", of_kind(kind, GUARDED + TWENTY + PROTECTED))
    here("plan", "go.yaml", "--out", "plan.json")
    data = shop.read_json("plan.json")
    assert digests_of(data) == data
    (shop.folder / "go.yaml").unlink()  # an apply elsewhere
    key = f"{APPLICATION}/{kind}"
    free = {"removals": {"count": None, "percent": None}, "changes": {"count": None, "percent": None}}
    judged_by = {**data["guards"][key], "protect": [], "limits": {**data["guards"][key]["limits"], **free}}
    forged = {**data, "guards": {key: judged_by}, "plans": [{**data["plans"][0], "refused": []}]}
    shop.write("plan.json", json.dumps(forged))
    done = here("apply", "--plan", "plan.json", "--yes")
    assert (done.code, "but the digest of the changes and guards is sha256:" in done.err) == (1, True)
    shop.write("plan.json", json.dumps(digests_of(forged)))
    reviewed = here("apply", "--plan", "plan.json", "--yes", "--expect-digest", data["review_digest"])
    assert (reviewed.code, shop.writes()) == (4, [])
    assert f"not {data['review_digest']}" in reviewed.err
    own = digests_of(forged)["review_digest"]
    assert here("apply", "--plan", "plan.json", "--yes", "--dry-run", "--expect-digest", own).code == 0


def test_either_digest_is_expected(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    planned = here("plan", "go.yaml", "--out", "plan.json", "--format", "json").document
    for path in (["go.yaml"], ["--plan", "plan.json"]):
        for key in ("digest", "review_digest"):
            assert here("apply", *path, "--yes", "--dry-run", "--expect-digest", planned[key]).code == 0
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF.replace("50", "60")))
    assert here("apply", "go.yaml", "--yes", "--dry-run", "--expect-digest", planned["digest"]).code == 0
    looser = here("apply", "go.yaml", "--yes", "--expect-digest", planned["review_digest"])
    assert (looser.code, shop.writes()) == (4, [])
    result = here("apply", "go.yaml", "--yes", "--format", "json").result
    assert result["digest"] == planned["digest"]
    assert result["review_digest"] != planned["review_digest"]


def test_an_edited_summary_is_counted_again(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    assert "1 to destroy" in here("plan", "go.yaml", "--out", "plan.json").out
    data = shop.read_json("plan.json")
    data["plans"][0]["summary"] |= {"remove": 0, "keep": 4, "calls": 0}
    shop.write("plan.json", json.dumps(data))
    shown = here("show", "plan.json")
    assert shown.out.endswith("Plan: 0 to add, 1 to change, 1 to destroy.\n")
    assert "Note: the summary did not match the changes" in shown.out
    assert here("show", "plan.json", "--format", "json").document["plans"][0]["summary"]["remove"] == 1
    assert "1 to destroy" in here("show", "plan.json", "--format", "markdown").out


def test_a_key_that_comes_twice_is_refused(kind: Kind, shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")
    text = (shop.folder / "plan.json").read_text(encoding="utf-8")
    shop.write("plan.json", text.replace('"guards"', '"guards":{},"guards"', 1))
    for command in (["apply", "--yes", "--plan"], ["show"]):
        done = here(*command, "plan.json")
        assert done.code == 1
        assert "plan.json has a duplicate key in an object: the file was edited or damaged" in done.err


def test_a_device_that_was_deleted_since_makes_a_plan_stale(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    assert here("plan", "go.yaml", "--out", "plan.json").code == 0
    shop.control.delete_device("leeds-2")
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, shop.writes()) == (4, [])
    assert re.fullmatch(
        r"Error: device leeds-2 \([0-9a-f]{24}\) no longer exists in application \w+; the plan changes it "
        r"\(it was deleted since; make a new plan\)\n",
        applied.err,
    )


def test_what_a_plan_is_judged_by_cannot_be_left_out(kind: Kind, shop: Shop, here: Here) -> None:
    here("plan", "shop.yaml", "--out", "plan.json")
    data = shop.read_json("plan.json")
    del data["guards"][f"{APPLICATION}/{kind}"]["limits"]
    shop.write("plan.json", json.dumps(data))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, shop.writes()) == (1, [])
    assert f"guards.{APPLICATION}/{kind}.limits is missing" in applied.err


def test_percentages_are_of_the_fleet_as_it_is_now(kind: Kind, shop: Shop, here: Here) -> None:
    """One removal is a quarter of the four rows that were planned on, and half of the two that are left."""
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF.replace("50", "40")))
    assert here("plan", "go.yaml", "--out", "plan.json").code == 0
    assert here("apply", "--plan", "plan.json", "--yes", "--dry-run").code == 0
    for device in ("leeds-3", "leeds-4"):
        shop.control.set_released(device, "telemetry", None)
    shop.control.forget_requests()
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert applied.code == 3
    assert "1 removal, 50.0% of the 2 managed rows with something released: more than 40%" in applied.err
    assert shop.writes() == []


def test_leave_given_at_planning_holds(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + TWENTY))
    assert here("plan", "go.yaml", "--out", "plan.json", "--allow-removals", "1").code == 0
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    assert "leeds-1/telemetry" not in shop.released()


def test_what_was_half_done_is_judged_by_what_is_left(kind: Kind, shop: Shop, here: Here) -> None:
    """The only removal was made by somebody else meanwhile, so there is nothing left to refuse."""
    shop.write("go.yaml", of_kind(kind, GUARDED + TWENTY))
    assert here("plan", "go.yaml", "--out", "plan.json").code == 3
    shop.control.set_released("leeds-1", "telemetry", None)
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    assert shop.released()["leeds-2/telemetry"] == "v2"


def told(done: Ended) -> str:
    """The note on the guards of an apply, in one line."""
    return " ".join(done.out.split())


@pytest.mark.parametrize(
    ("then", "now", "code", "note"),
    [
        (HALF, FIFTH, 3, "limits stricter in the manifests, protections the same in both"),
        (FIFTH, HALF, 3, "limits stricter in the plan, protections the same in both"),
        (
            HALF,
            "limits: {removals: {count: 2, percent: 40}}\n",
            0,
            "limits from both, the stricter of each, protections the same in both",
        ),
        (HALF, HALF + PROTECTED, 3, "limits the same in both, protections stricter in the manifests"),
        (HALF + PROTECTED, HALF, 3, "limits the same in both, protections stricter in the plan"),
        (
            HALF + "protect: [{device: leeds-4}]\n",
            HALF + "protect: [{flow: telemetry, forbid: change}]\n",
            3,
            "protections from both, the stricter of each",
        ),
    ],
)
def test_the_stricter_of_the_plan_and_of_its_manifests_counts(
    kind: Kind, shop: Shop, here: Here, then: str, now: str, code: int, note: str
) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + then))
    here("plan", "go.yaml", "--out", "plan.json")
    shop.write("go.yaml", of_kind(kind, GUARDED + now))
    applied = here("apply", "--plan", "plan.json", "--yes", "--result", "result.json")
    assert applied.code == code
    assert "Note: guarded by the plan and by go.yaml as of now: limits" in told(applied)
    assert note in told(applied)
    (noted,) = shop.read_json("result.json")["results"][0]["notes"]
    assert note in noted
    assert bool(shop.writes()) is (code == 0)


def test_a_forged_plan_is_guarded_by_the_manifests_beside_it(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + TWENTY + PROTECTED))
    here("plan", "go.yaml", "--out", "plan.json")
    data, key = shop.read_json("plan.json"), f"{APPLICATION}/{kind}"
    free = {"removals": {"count": None, "percent": None}, "changes": {"count": None, "percent": None}}
    judged_by = {**data["guards"][key], "protect": [], "limits": {**data["guards"][key]["limits"], **free}}
    forged = {**data, "guards": {key: judged_by}, "plans": [{**data["plans"][0], "refused": []}]}
    shop.write("plan.json", json.dumps(digests_of(forged)))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, shop.writes()) == (3, [])
    assert "refused (removals)" in applied.err
    assert "refused (protect)" in applied.err


def test_options_that_lift_guards_are_in_no_digest(kind: Kind, shop: Shop, here: Here) -> None:
    """Whoever had the file may have written them into it; where a digest is expected they have to be given again."""
    shop.write("go.yaml", of_kind(kind, GUARDED + TWENTY))
    here("plan", "go.yaml", "--out", "plan.json")
    data, key = shop.read_json("plan.json"), f"{APPLICATION}/{kind}"
    lifted = {**data["guards"][key], "allow_removals": 20, "allow_empty": True}
    forged = {**data, "guards": {key: lifted}, "plans": [{**data["plans"][0], "refused": []}]}
    shop.write("plan.json", json.dumps(forged))
    expected = ("--expect-digest", data["review_digest"])
    applied = here("apply", "--plan", "plan.json", "--yes", *expected)
    assert (applied.code, shop.writes()) == (3, [])
    assert "--allow-removals 20 --allow-empty, with which the plan was saved, is in no digest" in told(applied)
    assert here("apply", "--plan", "plan.json", "--yes", "--dry-run", *expected, "--allow-removals", "20").code == 0
    plain = here("apply", "--plan", "plan.json", "--yes", "--dry-run")
    assert plain.code == 0
    assert "guards are lifted by what the plan was saved with: --allow-removals 20 --allow-empty" in told(plain)


def test_a_plan_that_names_no_manifests_is_not_applied(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    here("plan", "go.yaml", "--out", "plan.json")
    data = shop.read_json("plan.json")
    shop.write("plan.json", json.dumps({**data, "plans": [{**data["plans"][0], "manifests": []}]}))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, shop.writes()) == (1, [])
    assert "the plan names no manifests" in applied.err


def test_where_a_manifest_is_missing_the_plan_counts(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("base.yaml", "apiVersion: reconciler/v1\n" + TWENTY)
    shop.write("go.yaml", of_kind(kind, GUARDED.replace("devices:", "extends: base.yaml\ndevices:")))
    here("plan", "go.yaml", "--out", "plan.json", "--allow-removals", "1")
    (shop.folder / "base.yaml").unlink()
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert applied.code == 0
    assert "Note: guarded by the plan's own limits and protections: base.yaml cannot be read here" in told(applied)


def test_where_the_manifests_declare_something_else_the_plan_counts(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    here("plan", "go.yaml", "--out", "plan.json")
    shop.write("go.yaml", of_kind(kind, GUARDED + PROTECTED).replace(APPLICATION, "4" * 24))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert applied.code == 0
    assert "guarded by the plan's own limits and protections: none in go.yaml now" in told(applied)


def test_manifests_that_are_broken_now_are_told(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    here("plan", "go.yaml", "--out", "plan.json")
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF + "protekt: []\n"))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, shop.writes()) == (1, [])
    assert "go.yaml:" in applied.err
    assert "protekt" in applied.err


def test_a_share_is_of_no_more_rows_than_there_are(kind: Kind, shop: Shop, here: Here) -> None:
    """A file may say that a million rows are managed: no more are than there are in the fleet."""
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF.replace("50", "5")))
    here("plan", "go.yaml", "--out", "plan.json")
    data, key = shop.read_json("plan.json"), f"{APPLICATION}/{kind}"
    for counts in ({"released": 10**6}, {"released": 10**6, "live": 10**6}):
        forged = {
            **data,
            "guards": {key: data["guards"][key] | counts},
            "plans": [{**data["plans"][0], "refused": []}],
        }
        shop.write("plan.json", json.dumps(forged))
        applied = here("apply", "--plan", "plan.json", "--yes")
        assert (applied.code, shop.writes()) == (3, [])


def test_nothing_is_said_where_plan_and_manifests_say_the_same(kind: Kind, shop: Shop, here: Here) -> None:
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    here("plan", "go.yaml", "--out", "plan.json")
    shop.write("go.yaml", of_kind(kind, "# moved down\n" + GUARDED + HALF))
    applied = here("apply", "--plan", "plan.json", "--yes")
    assert (applied.code, applied.err) == (0, "")
    assert "guarded by" not in applied.out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_was_written_is_read_as_a_shell_saved_it(kind: Kind, shop: Shop, here: Here, encoding: str) -> None:
    """PowerShell writes UTF-16 with a mark and CRLF."""
    shop.write("go.yaml", of_kind(kind, GUARDED + HALF))
    planned = here("plan", "go.yaml", "--format", "json")
    applied = here("apply", "go.yaml", "--yes", "--dry-run", "--format", "json")
    for name, done in (("plan.json", planned), ("result.json", applied)):
        data = json.dumps(done.document, indent=1).replace("\n", "\r\n").encode(encoding)
        (shop.folder / name).write_bytes(data)
        assert here("show", name, "--format", "json").document == {**done.document, "command": "show"}
    imported = here("import", "--application", APPLICATION, "--kind", str(kind))
    assert imported.code == 0, imported.err
    (shop.folder / "all.yaml").write_bytes(imported.out.replace("\n", "\r\n").encode(encoding))
    assert here("plan", "all.yaml").out.endswith("No changes.\n")
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
