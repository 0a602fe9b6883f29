"""`reconciler init`: what it writes, what it leaves alone, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifest.load import load_manifests
from reconciler.simulator import serve
from tests.support import processes
from tests.support.cli import run_here

APPLICATION = "5f0c8a1b2d3e4f5061728394"
USES = f"example/reconciler@{'0' * 40}"
MANIFEST, WORKFLOW, CODEOWNERS = "manifests/fleet.yaml", ".github/workflows/reconcile.yml", ".github/CODEOWNERS"


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    processes.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files() -> list[str]:
    found = (file for file in Path().rglob("*") if file.is_file())
    return sorted(str(file) for file in found if ".git" not in file.parts)


def test_it_writes_a_manifest_a_workflow_and_a_hint_and_says_so() -> None:
    ended = run_here("init", "--application", APPLICATION.upper(), "--uses", USES)
    assert ended.code == 0
    assert files() == [CODEOWNERS, WORKFLOW, MANIFEST]
    out, err = ended.out, ended.err
    assert out.splitlines()[:4] == [f"wrote  {MANIFEST}", f"wrote  {WORKFLOW}", f"wrote  {CODEOWNERS}", ""]
    assert f"LOSANT_API_TOKEN_{APPLICATION}" in out
    assert err == ""
    assert f"uses: example/reconciler/.github/workflows/reconcile.yml@{'0' * 40}\n" in Path(WORKFLOW).read_text()
    (rules,) = load_manifests(["manifests"])
    assert (rules.application.id, str(rules.kind)) == (APPLICATION, "embedded")


def test_the_skeleton_has_its_examples_ready() -> None:
    assert run_here("init", "--application", APPLICATION, "--no-workflow", "--kind", "edge").code == 0
    text = Path(MANIFEST).read_text()
    examples = "\n".join(line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# Which"))
    Path("examples.yaml").write_text("\n".join(line for line in examples.splitlines() if "would change" not in line))
    (rules,) = load_manifests(["examples.yaml"])
    assert {group.name for group in rules.groups} == {"leeds", "canary"}
    assert str(rules.kind) == "edge"


def test_without_an_id_the_skeleton_waits_for_one() -> None:
    assert run_here("init", "--no-workflow").code == 0
    ended = run_here("validate")
    assert ended.code == 1
    assert f"{MANIFEST}:4:" in ended.err


def test_what_is_there_stays() -> None:
    for name in ("manifests/deep/own.yml", WORKFLOW, "CODEOWNERS"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("mine\n")
    ended = run_here("init", "--uses", USES, "--owner", "@acme/fleet")
    assert ended.code == 0
    assert files() == [WORKFLOW, "CODEOWNERS", "manifests/deep/own.yml"]
    assert all(Path(name).read_text() == "mine\n" for name in files())
    assert ended.out.splitlines()[:4] == [
        "kept   manifests/deep/own.yml",
        f"kept   {WORKFLOW}",
        "kept   CODEOWNERS; consider adding",
        "         /manifests/ @acme/fleet",
    ]


def test_run_again_it_changes_nothing() -> None:
    assert run_here("init", "--uses", USES).code == 0
    before = {name: Path(name).read_bytes() for name in files()}
    ended = run_here("init", "--uses", USES, "--application", APPLICATION, "--branch", "other")
    assert ended.code == 0
    assert {name: Path(name).read_bytes() for name in files()} == before
    assert [line.split()[0] for line in ended.out.splitlines()[:3]] == ["kept"] * 3


def test_owners_and_branch_get_into_the_files() -> None:
    assert run_here("init", "--uses", USES, "--owner", "@acme/fleet", "--branch", "release/1").code == 0
    assert "\n/manifests/ @acme/fleet\n" in Path(CODEOWNERS).read_text()
    assert 'branches: ["release/1"]' in Path(WORKFLOW).read_text()
    assert '\n      branch: "release/1"\n' in Path(WORKFLOW).read_text()


def test_without_an_owner_the_hint_is_a_comment() -> None:
    assert run_here("init", "--no-workflow").code == 0
    assert all(line.startswith("#") for line in Path(CODEOWNERS).read_text().splitlines())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the workflow needs the source of the reusable workflow (pass --uses OWNER/REPO@REF"),
        (
            ["--uses", "OWNER/REPO@REF"],
            "Invalid value for '--uses': 'OWNER/REPO@REF' is not a repository and a commit",
        ),
        (["--uses", "example/reconciler"], "is not a repository and a commit"),
        (["--uses", "example/reconciler@main # x"], "is not a repository and a commit"),
        (["--uses", "a/b@c\n"], "is not a repository and a commit"),
        (["--no-workflow", "--application", "plant"], "Invalid value for '--application': 'plant' is not a valid id"),
        (["--no-workflow", "--import"], "--import needs an application to read"),
        (["--no-workflow", "--branch", "a b"], "is not a valid branch name"),
        (["--no-workflow", "--branch", '"]'], "is not a valid branch name"),
        (["--no-workflow", "--owner", "acme"], "Invalid value for '--owner': 'acme' is not an owner"),
        (["--no-workflow", "nowhere"], "nowhere is not the top folder of a git repository"),
    ],
)
def test_refusals_name_the_remedy_and_write_nothing(arguments: list[str], told: str) -> None:
    ended = run_here("init", *arguments)
    assert ended.code == 1
    assert told in ended.err
    assert files() == []


def test_a_folder_inside_a_repository_is_not_its_top() -> None:
    Path("inside").mkdir()
    ended = run_here("init", "inside", "--no-workflow")
    assert ended.code == 1
    assert "inside is not the top folder of a git repository" in ended.err


def test_it_follows_no_link_out_of_the_repository(tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    Path("manifests").symlink_to(outside)
    ended = run_here("init", "--no-workflow")
    assert ended.code == 1
    assert "would be written outside the repository" in ended.err
    assert list(outside.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told() -> None:
    Path("manifests").write_text("a file\n")
    ended = run_here("init", "--no-workflow")
    assert ended.code == 1
    assert f"{MANIFEST} cannot be written: " in ended.err


def test_import_writes_what_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = (
        f"applications: [{{id: {APPLICATION}, name: plant, flows: {{telemetry: [v1, v2]}},"
        " devices: [{count: 3, name: 'leeds-{n}', tags: {site: leeds}, deployed: {telemetry: v1}}]}]"
    )
    with serve(fleet) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        ended = run_here("init", "--import", "--application", APPLICATION, "--no-workflow")
        assert ended.code == 0
        assert f"wrote  {MANIFEST}" in ended.out
        assert run_here("plan", "--detailed-exitcode").code == 0
        assert server.control.counts().keys() <= {
            "embeddedDeployments.get",
            "devices.get",
            "application.get",
            "flows.get",
        }


@pytest.mark.parametrize(
    ("name", "told"), [("CODEOWNERS", "larger than 3 MiB"), (".github/CODEOWNERS", "Is a directory")]
)
def test_owners_that_lead_elsewhere_are_read_with_a_bound(name: str, told: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).symlink_to("/dev/zero" if "larger" in told else "/dev")
    ended = run_here("init", "--no-workflow")
    assert ended.code == 1
    assert ended.err == f"Error: {name} cannot be read: {told} (check where it leads to)\n"
