"""Rows that leave management: `--against` on plan and apply, in a git repository and on a simulator."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import serve
from tests.support.cli import Ended, Here
from tests.support.fleet import APPLICATION, FLEET, HEAD, Shop
from tests.support.repository import commit, git

LEEDS = "  leeds: {select: {tags: {site: leeds}}, flows: {telemetry: v1, alarms: v1}}\n"
YORK = "  york: {select: {tags: {site: york}}, flows: {telemetry: v1}}\n"
BEFORE = f"{HEAD}groups:\n{LEEDS}{YORK}"
WITHOUT_LEEDS = f"{HEAD}groups:\n{YORK}"
RAISED = "limits: {leaving: {count: 8, percent: 80}}\n"
FILE = "manifests/shop.yaml"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A repository whose `main` manages 10 rows; the work tree is changed by each test."""
    run = shop.here(monkeypatch)
    git("init", "-q", "-b", "main")
    (shop.folder / "manifests").mkdir()
    shop.write(FILE, BEFORE)
    shop.write(".gitignore", "*.json\nshop.yaml\n!manifests/shop.yaml\n")
    commit("before")
    return run


def against(here: Here, *argv: str) -> Ended:
    return here("plan", "--against", "main", "--format", "json", *argv)


def plan_of(ended: Ended) -> Any:
    (plan,) = ended.document["plans"]
    return plan


def guards(ended: Ended) -> list[str]:
    return [one["guard"] for plan in ended.document["plans"] for one in plan["refused"]]


def messages(ended: Ended) -> list[str]:
    return [one["message"] for plan in ended.document["plans"] for one in plan["warnings"]]


def test_rows_that_leave_are_listed_and_refused_and_the_same_merge_may_raise_the_limit(shop: Shop, here: Here) -> None:
    shop.write(FILE, WITHOUT_LEEDS)
    refused = shop.run("plan", "--against", "main", "--format", "json")
    assert refused.code == 3
    plan = plan_of(refused)
    assert guards(refused) == ["leaving"]
    rows = plan["leaving"]
    assert sorted(row["device_name"] for row in rows if row["flow_name"] == "alarms") == [
        f"leeds-{number}" for number in range(1, 5)
    ]
    assert [(row["device_id"], row["flow_id"]) for row in rows] == [
        (row["device_id"], row["flow_id"]) for row in plan["refused"][0]["rows"]
    ]
    assert {(row["version"], row["released"], row["group"], row["source"]) for row in rows} == {
        ("v1", "v1", "leeds", f"main:{FILE}:4")
    }
    assert plan["summary"]["leaving"] == 8
    why = plan["refused"][0]
    assert why["message"] == "8 rows leave management, 80.0% of the 10 that main manages: more than 10%"
    assert "raise limits.leaving in the same pull request" in why["hint"]
    assert len(why["rows"]) == 8
    assert here("apply", "--against", "main", "--yes").code == 3
    assert shop.writes() == []

    shop.write(FILE, WITHOUT_LEEDS + RAISED)
    raised = against(here)
    assert (raised.code, guards(raised), plan_of(raised)["summary"]["leaving"]) == (0, [], 8)
    assert here("apply", "--against", "main", "--yes").code == 0


def test_the_limits_are_those_of_this_side(shop: Shop, here: Here) -> None:
    shop.write(FILE, BEFORE + RAISED)
    commit("raised")
    shop.write(FILE, WITHOUT_LEEDS)
    assert guards(against(here)) == ["leaving"]


def test_text_and_markdown_tell_by_flow_version_and_group(shop: Shop, here: Here) -> None:
    shop.write(FILE, WITHOUT_LEEDS)
    text = here("plan", "--against", "main").out
    assert "  Leaves management: 8 rows of 10 that main manages\n" in text
    assert "    alarms v1, group leeds: 4 devices\n        leeds-1, leeds-2, leeds-3 and 1 more\n" in text
    assert "        leeds-4\n" in here("plan", "--against", "main", "-v").out
    page = here("plan", "--against", "main", "--format", "markdown").out
    assert "**Leaves management: 8 rows** of 10 that `main` manages. Nothing is sent for them." in page
    assert "- `alarms` `v1`, group `leeds`: 4 rows (`leeds-1`, `leeds-2`, `leeds-3` and 1 more)" in page


def test_without_against_nothing_is_told_and_with_it_nothing_is_too_little(shop: Shop, here: Here) -> None:
    plain = here("plan", "--format", "json")
    assert "leaving" not in plan_of(plain)
    assert "leaving" not in plan_of(plain)["summary"]
    assert "leaving" not in next(iter(plain.document["guards"].values()))
    same = against(here)
    assert (plan_of(same)["leaving"], plan_of(same)["summary"]["leaving"]) == ([], 0)
    assert "Leaves management: 0 rows of 10 that main manages" in here("plan", "--against", "main").out


@pytest.mark.parametrize(
    "text",
    [
        # other groups, names and files; by device; absent is declared too
        f"{HEAD}groups:\n  all: {{select: {{all: true}}, flows: {{telemetry: v1}}}}\n{LEEDS.replace('leeds', 'n', 1)}",
        f"{HEAD}groups:\n{YORK}{LEEDS.replace('v1', 'absent')}limits: {{removals: {{percent: 100}}}}\n",
    ],
)
def test_what_is_declared_elsewhere_does_not_leave(shop: Shop, here: Here, text: str) -> None:
    (shop.folder / FILE).unlink()
    shop.write("manifests/other.yaml", text)
    ended = against(here)
    assert ended.code == 0, ended.err
    assert plan_of(ended)["leaving"] == []
    assert messages(ended) == []


def test_what_only_prune_reached_was_not_managed_and_does_not_leave(shop: Shop, here: Here) -> None:
    shop.write(FILE, BEFORE + "prune: application\n")
    commit("pruning")
    shop.write(FILE, BEFORE)
    assert plan_of(against(here))["leaving"] == []


def test_targets_make_no_difference(shop: Shop, here: Here) -> None:
    shop.write(FILE, WITHOUT_LEEDS)
    for filters in (["--target", "group=york"], ["--target", "flow=alarms"], ["--exclude", "device=leeds-1"]):
        ended = against(here, *filters)
        assert (guards(ended), plan_of(ended)["summary"]["leaving"]) == (["leaving"], 8)


def test_a_saved_plan_keeps_what_was_found(shop: Shop, here: Here) -> None:
    shop.write(FILE, WITHOUT_LEEDS + RAISED)
    assert against(here, "--out", "plan.json").code == 0
    assert next(iter(shop.read_json("plan.json")["guards"].values()))["leaving"] == {
        "against": "main", "managed": 10, "rows": 8,
    }  # fmt: skip
    assert "Leaves management: 8 rows" in here("show", "plan.json").out
    assert here("apply", "--plan", "plan.json", "--yes").code == 0
    shop.write(FILE, WITHOUT_LEEDS)  # the limits as they are now count too
    ended = here("apply", "--plan", "plan.json", "--yes")
    assert ended.code == 3
    assert "refused (leaving): 8 rows leave management" in ended.err


@pytest.mark.parametrize("edit", ["rows", "guard", "both gone"])
def test_a_saved_plan_that_was_edited_is_told(shop: Shop, here: Here, edit: str) -> None:
    shop.write(FILE, WITHOUT_LEEDS)
    against(here, "--out", "plan.json")
    data = shop.read_json("plan.json")
    judged = next(iter(data["guards"].values()))
    if edit == "rows":
        data["plans"][0]["leaving"].pop()
    else:
        del judged["leaving"]
    if edit == "both gone":
        del data["plans"][0]["leaving"]
    shop.write("edited.json", json.dumps(data))
    ended = here("apply", "--plan", "edited.json", "--yes")
    assert ended.code == 1
    assert "the file was edited or damaged" in ended.err


def test_an_application_a_kind_and_a_file_that_are_gone_are_told_first(shop: Shop, here: Here) -> None:
    other = BEFORE.replace(APPLICATION, "5" * 24).replace(", name: shop", "")
    shop.write("manifests/other.yaml", other)
    shop.write("manifests/edge.yaml", f"{HEAD}kind: edge\ngroups: {{a: {{select: {{all: true}}, flows: {{f: v1}}}}}}\n")
    shop.write("manifests/one.yaml", f"{HEAD}devices: {{york-1: {{alarms: v1}}}}\n")
    commit("more")
    for name in ("other", "edge", "one"):
        (shop.folder / f"manifests/{name}.yaml").unlink()
    ended = against(here)
    assert ended.code == 0  # one of eleven rows, which is less than ten percent
    told = messages(ended)
    assert f"application {'5' * 24} (embedded) is gone: main declared it in main:manifests/other.yaml" in told
    assert any(one.startswith(f'application {APPLICATION} "shop" (edge) is gone') for one in told)
    assert any(one.startswith("main:manifests/one.yaml is gone, and with it what it declared") for one in told)


@pytest.mark.parametrize("left", ["nothing", "a base"])
@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")])
def test_the_last_application_that_is_gone_is_told_before_the_error(
    shop: Shop, here: Here, command: tuple[str, ...], left: str
) -> None:
    for path in (shop.folder / "manifests").glob("*.yaml"):
        path.unlink()
    if left == "a base":
        shop.write("manifests/base.yaml", "apiVersion: reconciler/v1\nflows: {f: 575ed18f7ae143cd83dc4aa6}\n")
    ended = here(*command, "--against", "main", "manifests")
    assert (ended.code, ended.out) == (1, "")
    first, *_ = ended.err.splitlines()
    assert first.startswith(f'Warning: main:manifests/shop.yaml:2: application {APPLICATION} "shop" (embedded) is gone')


BAD: dict[str, tuple[list[str], str]] = {
    "no manifests": (
        ["--against", "empty"],
        ("empty:manifests: no such file or directory: empty has no manifests here (if they were elsewhere then, write "
        "--against empty:PATH; if there were none, leave --against out)"),
    ),
    "no such folder then": (
        ["--against", "main", "fleet"],
        "main:fleet: no such file or directory: main has no manifests here (if they were elsewhere then, write --aga",
    ),
    "a base alone": (["--against", "bare"], "Error: no document in bare has an application (give a revision whose"),
    "no such revision": (["--against", "mian"], "Error: git has no revision 'mian'"),
    "standard input": (["--against", "main", "-"], "Error: --against compares with files in git"),
    "empty": (["--against", ""], "Error: Invalid value for '--against': it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_the_way_out(shop: Shop, here: Here, case: str) -> None:
    git("switch", "-q", "--orphan", "empty")
    git("commit", "-qm", "nothing", "--allow-empty")
    git("switch", "-q", "--orphan", "bare")
    (shop.folder / "manifests").mkdir(exist_ok=True)
    shop.write("manifests/base.yaml", "apiVersion: reconciler/v1\n")
    commit("a base")
    git("switch", "-q", "main")
    (shop.folder / "fleet").mkdir()
    shop.write("fleet/shop.yaml", BEFORE)
    argv, told = BAD[case]
    ended = shop.run("plan", *argv) if "-" in argv else here("plan", *argv)
    assert (ended.code, told in ended.err) == (1, True), ended.err


def test_manifests_that_moved_are_compared_where_they_were(shop: Shop, here: Here) -> None:
    git("mv", "manifests", "fleet")
    shop.write("fleet/shop.yaml", WITHOUT_LEEDS)
    ended = here("plan", "--against", "main:manifests", "--format", "json", "fleet")
    assert (ended.code, guards(ended)) == (3, ["leaving"])


def test_a_saved_plan_takes_no_against(shop: Shop, here: Here) -> None:
    ended = here("apply", "--plan", "plan.json", "--against", "main", "--yes")
    assert ended.code == 1
    assert "--plan carries out a saved plan and cannot be combined with --against" in ended.err


def test_a_shallow_clone_says_what_to_fetch(shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git("rev-parse", "HEAD").strip()
    shop.write(FILE, BEFORE + RAISED)
    commit("second")
    git("clone", "-q", "--depth=1", f"file://{shop.folder}", "clone")
    monkeypatch.chdir(shop.folder / "clone")
    ended = here("plan", "--against", first)
    assert ended.code == 1
    assert "in this clone, which is shallow (fetch it: `git fetch --depth=1 origin" in ended.err


def test_what_no_longer_exists_or_is_broken_there_is_one_warning(shop: Shop, here: Here) -> None:
    shop.write(FILE, BEFORE + "devices: {pump-old: {telemetry: v1}}\npins: [{device: york-1}]\n")
    commit("broken")
    shop.write(FILE, WITHOUT_LEEDS)
    ended = against(here)
    assert guards(ended) == ["leaving"]
    told = [one for one in messages(ended) if one.startswith("not verified")]
    assert len(told) == 2  # mistakes in the files, and what Losant does not have
    assert any('no device is named "pump-old"' in one for one in told)
    assert any('main:manifests/shop.yaml:7:8: "flows" is missing' in one for one in told)


def test_a_revision_of_which_nothing_can_be_read_is_one_warning(shop: Shop, here: Here) -> None:
    shop.write(FILE, "{{{\n")
    commit("broken")
    shop.write(FILE, BEFORE)
    ended = against(here)
    assert (ended.code, plan_of(ended)["leaving"]) == (0, [])
    (told,) = [one for one in messages(ended) if one.startswith("not verified")]
    assert told.startswith("not verified: what main managed: main:manifests/shop.yaml:2:1: not valid YAML")


def test_a_device_that_was_deleted_does_not_leave(shop: Shop, here: Here) -> None:
    shop.control.delete_device("leeds-1")
    shop.write(FILE, WITHOUT_LEEDS)
    plan = plan_of(against(here))
    assert plan["summary"]["leaving"] == 6


def test_what_the_token_may_not_read_for_it_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files hold only ids now, and held tags and names of flows before."""
    tokens = "    tokens: [{text: lists, scopes: [embeddedDeployments.get]}]\n"
    with serve(FLEET + tokens) as server:
        shop = Shop(server, tmp_path)
        run = shop.here(monkeypatch)
        monkeypatch.setenv("LOSANT_API_TOKEN", "lists")
        git("init", "-q", "-b", "main")
        (tmp_path / "manifests").mkdir()
        shop.write(FILE, BEFORE)
        commit("before")
        row = server.control.rows()[0]
        ids = f"devices: {{{row['device_id']}: {{{row['flow_id']}: {row['released']}}}}}\n"
        shop.write(FILE, HEAD.replace("{id: ", "").replace(", name: shop}", "") + ids)
        ended = against(run)
    assert ended.code == 0, ended.err
    (told,) = [one for one in messages(ended) if one.startswith("not verified: a part of what main managed")]
    assert "devices cannot be read" in told


def test_the_way_to_retire_an_application(shop: Shop, here: Here) -> None:
    """As docs/ci.md says it: one merge that removes everything, and then the file goes."""
    guide = (Path(__file__).parents[2] / "docs/ci.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml retire\n(.*?)```", guide, re.DOTALL)
    row = next(one for one in shop.control.rows() if one["flow"] == "telemetry")
    text = textwrap.dedent(shown.replace("575ec8687ae143cd83dc4a97", APPLICATION))
    shop.write(FILE, text.replace("575ed18f7ae143cd83dc4aa6", row["flow_id"]))
    retiring = against(here)
    assert retiring.code == 0, retiring.err
    assert plan_of(retiring)["summary"]["remove"] == 14
    assert here("apply", "--against", "main", "--yes").code == 0
    assert shop.released() == {}
    commit("retired")
    shop.write("manifests/other.yaml", BEFORE.replace(APPLICATION, "5" * 24).replace(", name: shop", ""))
    (shop.folder / FILE).unlink()
    for argv in (["diff", "main"], ["diff", "main", "--format", "markdown"]):
        told = here(*argv)
        assert told.code == 0
        assert (
            f"application {APPLICATION} (embedded) is gone: main declared it in main:{FILE}" in told.out.split("\n")[0]
        )


def test_diff_tells_of_a_file_that_is_gone_and_not_of_one_that_was_renamed(shop: Shop, here: Here) -> None:
    shop.write("manifests/one.yaml", f"{HEAD}devices: {{york-1: {{alarms: v1}}}}\n")
    commit("two files")
    git("mv", "manifests/one.yaml", "manifests/two.yaml")
    assert "is gone" not in here("diff", "main").out
    assert "is gone" not in here("diff", "main", "./manifests").out
    git("rm", "-q", "-f", "manifests/two.yaml")
    ended = here("diff", "main", "--format", "json")
    assert "Warning: main:manifests/one.yaml:1: main:manifests/one.yaml is gone" in ended.err
    assert len(ended.document["differences"]) == 1
    (told,) = ended.document["warnings"]
    assert (told["path"], told["line"]) == ("main:manifests/one.yaml", 1)
    assert told["message"].startswith("main:manifests/one.yaml is gone, and with it what it declared")


def test_a_page_shows_what_leaves_beside_the_removals_live_and_saved(shop: Shop, here: Here) -> None:
    shop.write(FILE, WITHOUT_LEEDS + RAISED)
    live = here("plan", "--against", "main", "--format", "html", "--out", "plan.json")
    saved = here("show", "plan.json", "--format", "html")
    for page in (live.out, saved.out):
        section = page.partition("<h3>Leaves management")[2].partition("<h3>")[0]
        assert "that <code>main</code> manages; nothing is sent for them" in section
        assert '<td role="cell" data-label="Held by group">leeds</td>' in section
        assert "manifests/shop.yaml" in section
    assert live.out.index("Leaves management") < live.out.index("Nothing changes here")
    shop.write(FILE, BEFORE)
    unchanged = here("plan", "--against", "main", "--format", "html").out
    assert "Nothing leaves management, of 10 rows that <code>main</code> manages." in unchanged
