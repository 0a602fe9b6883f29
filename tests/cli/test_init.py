"""`reconciler init`: what it writes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from reconciler.manifest.load import load_manifests
from reconciler.operations.init.forges import FORGES, chosen_for, forge_at, written_for
from reconciler.operations.init.scopes import to_apply, to_plan
from reconciler.operations.init.writing import MARK
from reconciler.simulator import serve
from tests.support import processes
from tests.support.cli import run_here

ROOT = Path(__file__).parents[2]
APPLICATION = "5f0c8a1b2d3e4f5061728394"
COMMIT = "0123456789" * 4
FROM = ("--install", f"git+https://example.com/reconciler@{COMMIT}")
MANIFEST, WORKFLOW, CODEOWNERS = "manifests/fleet.yaml", ".github/workflows/reconcile.yml", ".github/CODEOWNERS"
SCHEMA, IGNORE = "manifests/schema.json", ".gitignore"
INSTALLING = [f".reconciler/{name}" for name in ("requirements.txt", "reconciler.txt", "install.sh")]
CALLED = [f".github/workflows/reconcile-{name}.yml" for name in ("jobs", "applications")]
EVERYTHING = [MANIFEST, SCHEMA, WORKFLOW, *CALLED, *INSTALLING, CODEOWNERS, IGNORE]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    processes.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files() -> list[str]:
    found = (file for file in Path().rglob("*") if file.is_file())
    return sorted(str(file) for file in found if ".git" not in file.parts)


def test_it_writes_a_whole_pipeline_and_says_so() -> None:
    ended = run_here("init", "--application", APPLICATION.upper(), *FROM)
    assert ended.code == 0
    assert files() == sorted(EVERYTHING)
    out, err = ended.out, ended.err
    assert out.splitlines()[:11] == [*(f"wrote  {name}" for name in EVERYTHING), ""]
    assert f"LOSANT_API_TOKEN_{APPLICATION}" in out
    assert err == ""
    assert "uses: ./.github/workflows/reconcile-jobs.yml #" in Path(WORKFLOW).read_text()
    (rules,) = load_manifests(["manifests"])
    assert (rules.application.id, str(rules.kind)) == (APPLICATION, "embedded")


def test_what_a_pipeline_installs_is_locked_and_this_very_version() -> None:
    assert run_here("init", *FROM).code == 0
    requirements, line, script = (Path(name).read_text() for name in INSTALLING)
    locks = [(ROOT / f"requirements/{name}.txt").read_text() for name in ("runtime", "build")]
    pinned = [re.findall(r"^([\w.-]+==\S+)", text, re.MULTILINE) for text in (requirements, *locks)]
    assert set(pinned[0]) == {*pinned[1], *pinned[2]}
    assert len(pinned[0]) == len(set(pinned[0]))
    hashes = [set(re.findall(r"--hash=\S+", text)) for text in (requirements, *locks)]
    assert hashes[0] == hashes[1] | hashes[2]
    assert line.splitlines()[1:] == [f"losant-reconciler @ git+https://example.com/reconciler@{COMMIT}"]
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "--require-hashes --only-binary :all: -r " in script
    assert "--no-deps --no-build-isolation -r " in script


def test_what_is_released_is_installed_as_a_wheel() -> None:
    digest = "ab" * 32
    assert run_here("init", "--install", f"losant-reconciler==1.2.3#sha256={digest}").code == 0
    line = f"losant-reconciler==1.2.3 --hash=sha256:{digest}"
    assert Path(INSTALLING[1]).read_text().splitlines()[1:] == [line]
    assert "--no-deps --only-binary :all: -r " in Path(INSTALLING[2]).read_text()
    assert "hatchling" not in Path(INSTALLING[0]).read_text()


def test_the_script_makes_the_folder_with_two_calls_of_pip(tmp_path: Path) -> None:
    assert run_here("init", *FROM).code == 0
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    python = bin_ / "python3"
    python.write_text(
        '#!/usr/bin/env bash\necho "$@" >> "$LOG"\n'
        'if [[ "$3" == venv ]]; then mkdir -p "$5/bin" && cp "$0" "$5/bin/python"; fi\n'
    )
    python.chmod(0o755)
    env = {"PATH": f"{bin_}:/usr/bin:/bin", "LOG": str(tmp_path / "log")}
    (tmp_path / "elsewhere").mkdir()
    processes.run(["bash", tmp_path / INSTALLING[2], tmp_path / "a b"], env=env, cwd=tmp_path / "elsewhere", check=True)
    venv, first, second = (tmp_path / "log").read_text().splitlines()
    pip = "-I -m pip install --quiet --disable-pip-version-check --no-cache-dir"
    assert venv == f"-I -m venv --clear {tmp_path}/a b"
    assert first == f"{pip} --require-hashes --only-binary :all: -r {tmp_path}/.reconciler/requirements.txt"
    assert second == f"{pip} --no-deps --no-build-isolation -r {tmp_path}/.reconciler/reconciler.txt"


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("https://github.com/acme/fleet.git", "github"),
        ("git@github.com:acme/fleet.git", "github"),
        ("https://gitlab.com/acme/fleet.git", "gitlab"),
        ("git@gitlab.acme.example:acme/fleet.git", "gitlab"),
        ("ssh://git@gitlab.acme.example:2222/fleet", "gitlab"),
        ("https://acme@dev.azure.com/acme/fleet/_git/fleet", "azure"),
        ("git@ssh.dev.azure.com:v3/acme/fleet/fleet", "azure"),
        ("https://acme.visualstudio.com/fleet/_git/fleet", "azure"),
        ("https://github.com/gitlab/fleet", "github"),
        ("https://github.acme.example/acme/fleet", "github"),
    ],
)
def test_the_forge_is_told_by_the_remote(url: str, forge: str) -> None:
    assert forge_at(url) == forge
    processes.run(["git", "remote", "add", "origin", url], check=True)
    assert chosen_for(Path()) == (forge, "")
    assert "--provider" not in run_here("init", *FROM).out


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://bitbucket.org/acme/fleet.git", "its remote is at bitbucket.org, which says no forge"),
        ("git@git.acme.example:fleet", "its remote is at git.acme.example, which says no forge"),
        ("/srv/git/fleet.git", "its remote `origin` names no host"),
        ("https://[/fleet", "its remote `origin` names no host"),
        ("", "the repository has no remote `origin`"),
    ],
)
def test_where_the_remote_tells_no_forge_it_says_which_was_chosen_and_why(url: str, why: str) -> None:
    if url:
        processes.run(["git", "remote", "add", "origin", url], check=True)
    assert f"The pipeline is for github, since {why}; --provider names another.\n" in run_here("init", *FROM).out
    assert "--provider" not in run_here("init", *FROM, "--provider", "github").out
    assert "--provider" not in run_here("init", "--no-workflow").out


def test_an_owner_that_the_forge_takes_from_no_file_is_told() -> None:
    ended = run_here("init", *FROM, "--provider", "azure", "--owner", "@acme/fleet")
    assert ended.code == 0
    assert (
        "left   CODEOWNERS: azure knows no such file, so --owner has no effect; require reviewers there\n" in ended.out
    )


@pytest.mark.parametrize(
    "branch",
    [
        *("main", "release/1.10", "a-b_c", "x.locked", "1", "head", "HEAD", "HEAD/x", "a./b", "a/-b", "a/.b", ".a"),
        *("-x", "-", "../x", "a..b", "/x", "x/", "a//b", "x.lock", "x.lock/y", "a."),
    ],
)
def test_a_branch_is_what_git_takes_for_one(branch: str) -> None:
    taken = processes.run(["git", "check-ref-format", "--branch", branch]).returncode == 0
    ended = run_here("init", "--no-workflow", f"--branch={branch}")
    assert ended.code == (0 if taken else 1), ended.err
    assert ("is not a valid branch name" in ended.err) is not taken


def test_every_template_of_a_forge_is_there_or_the_forge_is_no_choice() -> None:
    there = {file.name for file in (ROOT / "reconciler/cli/init_files").glob("*.yml")}
    assert there == {name for forge in written_for() for name in FORGES[forge].pipeline.values()}
    assert "github" in written_for()
    for forge in set(FORGES) - set(written_for()):
        assert run_here("init", "--provider", forge, *FROM).code == 1


@pytest.mark.parametrize("forge", written_for())
def test_a_forge_gets_its_pipeline_for_the_branch(forge: str) -> None:
    assert run_here("init", "--provider", forge, "--branch", "release/1", *FROM).code == 0
    texts = {name: Path(name).read_text() for name in FORGES[forge].pipeline}
    assert all(MARK in text for text in texts.values())
    assert sum(text.count("release/1") for text in texts.values()) >= 1
    assert not [text for text in texts.values() if re.search(r"\bmain\b", text)]


def test_run_again_it_shows_what_it_would_write_now_and_git_takes_that(repository: Path) -> None:
    assert run_here("init", *FROM).code == 0
    newer = ("--install", f"git+https://example.com/reconciler@{'f' * 40}")
    before = {name: Path(name).read_bytes() for name in files()}
    ended = run_here("init", *newer)
    assert {name: Path(name).read_bytes() for name in files()} == before
    assert f"kept   {INSTALLING[1]}; it would be written otherwise now\n" in ended.out
    assert f"\n-losant-reconciler @ git+https://example.com/reconciler@{COMMIT}\n" in ended.out
    processes.run(["git", "apply"], input=ended.out, check=True)
    assert "f" * 40 in Path(INSTALLING[1]).read_text()
    assert "---" not in run_here("init", *newer).out


@pytest.mark.parametrize("kept", ["", "\n"], ids=["its-end-is-missing", "whole"])
def test_git_takes_the_difference_of_a_file_whatever_it_ends_with(kept: str) -> None:
    assert run_here("init", *FROM).code == 0
    wanted = Path(INSTALLING[1]).read_text()
    Path(INSTALLING[1]).write_text(f"{MARK}mine\x0cand\u2028yours{kept}")
    ended = run_here("init", *FROM)
    assert ("\\ No newline at end of file\n" in ended.out) is (kept == "")
    processes.run(["git", "apply"], input=ended.out, check=True)
    assert Path(INSTALLING[1]).read_text() == wanted


def test_what_is_somebody_elses_is_never_compared() -> None:
    Path(".reconciler").mkdir()
    Path(INSTALLING[2]).write_text("mine\n")
    ended = run_here("init", *FROM)
    assert f"kept   {INSTALLING[2]}\n" in ended.out
    assert "---" not in ended.out


def test_the_editor_knows_the_manifest_and_the_schema_is_none() -> None:
    assert run_here("init", "--application", APPLICATION, "--no-workflow").code == 0
    assert Path(MANIFEST).read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    assert json.loads(Path(SCHEMA).read_text())["$id"] == "urn:reconciler:manifest:v1"
    assert "1 file" in run_here("validate").out


def test_plans_are_ignored_and_an_own_list_is_only_advised() -> None:
    Path(IGNORE).write_text("build/\nplan.json\n")
    ended = run_here("init", "--no-workflow")
    assert Path(IGNORE).read_text() == "build/\nplan.json\n"
    assert f"kept   {IGNORE}; consider adding\n         result.json\n" in ended.out


@pytest.mark.parametrize("forge", written_for())
def test_another_api_gets_into_the_pipeline(forge: str) -> None:
    url = "https://api.main.example:8443/v1/a%20b"
    assert run_here("init", "--provider", forge, "--branch", "1.10", *FROM, "--api-url", url).code == 0
    text = Path(next(iter(FORGES[forge].pipeline))).read_text()
    assert text.count(url) == 1
    pipeline = yaml.safe_load(text)
    if forge == "github":
        assert pipeline["jobs"]["reconcile"]["with"]["api-url"] == url
    else:
        assert pipeline["variables"]["LOSANT_API_URL"] == url
        assert pipeline["variables"].get("RECONCILER_BRANCH", "1.10") == "1.10"
    if forge == "gitlab":
        assert '$CI_COMMIT_BRANCH == "1.10"' in pipeline["workflow"]["rules"][1]["if"]
        assert '--branch "1.10"' in text
    if forge == "azure":
        assert pipeline["trigger"]["branches"]["include"] == ["1.10"] == pipeline["schedules"][0]["branches"]["include"]
    Path(next(iter(FORGES[forge].pipeline))).unlink()
    assert run_here("init", "--provider", forge, *FROM).code == 0
    assert "LOSANT_API_URL" not in Path(next(iter(FORGES[forge].pipeline))).read_text()


def test_the_variable_of_another_api_counts_like_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSANT_API_URL", "https://api.example.com/v1")
    assert run_here("init", *FROM).code == 0
    assert Path(WORKFLOW).read_text().endswith('      api-url: "https://api.example.com/v1"\n')


@pytest.mark.parametrize("forge", written_for())
@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/$(LOSANT_API_TOKEN)",
        "https://a.example/${{ secrets.X }}",
        'https://a.example/"\n  X: "',
        "https://a.example/'; curl x #",
        "https://a.example/\\x22",
        "https://a.example/`id`",
        "https://a.example/*",
        "http://a.example",
        "https://me:secret@a.example",
        "api.example",
    ],
)
def test_an_address_that_could_be_anything_else_writes_nothing(forge: str, url: str) -> None:
    ended = run_here("init", "--provider", forge, *FROM, "--api-url", url)
    assert ended.code == 1
    assert "secret" not in ended.err.replace("secrets.X", "")
    assert files() == []


def test_the_token_is_asked_for_by_scopes_and_place() -> None:
    out = run_here("init", "--application", APPLICATION, "--kind", "edge", *FROM).out
    assert "edgeDeployments.get, devices.get, flows.get" in out
    assert "edgeDeployments.release, edgeDeployments.replace, edgeDeployments.remove" in out
    assert "Settings > Secrets and variables > Actions > New repository secret" in out


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        ("github", ["Safer: there one with the first scopes; the one that may write in an environment of trunk"]),
        (
            "gitlab",
            [
                "Add one that may merge to trunk, masked, protected, for reconciler-forge, as RECONCILER_MARK_TOKEN.",
                'Turn off there: "Allow merge request pipelines to access protected variables and runners".',
                "Add a schedule for trunk, such as 17 3 * * *, which looks for drift",
            ],
        ),
        (
            "azure",
            [
                "checks Branch control (refs/heads/trunk) and Exclusive Lock.",
                "Make the pipeline of /azure-pipelines.yml, and permit it the three groups",
                "Let PROJECT Build Service contribute to pull requests, edit build quality and edit work items.",
                "Make it a required build validation of trunk, path /manifests/*",
            ],
        ),
    ],
)
def test_all_that_it_takes_until_a_pull_request_shows_a_plan_is_listed(forge: str, told: list[str]) -> None:
    out = run_here("init", "--provider", forge, "--branch", "trunk", *FROM).out
    steps = [line for line in out.splitlines() if re.match(r"  \d+\. ", line)]
    for one in told:
        assert [line for line in steps if one in line], one
    assert "BRANCH" not in out
    assert "SECRET" not in out
    assert out.endswith("\nThen open a pull request: it shows the plan. Merging it to trunk applies it.\n")


@pytest.mark.parametrize(
    ("forge", "file"), [("github", WORKFLOW), ("gitlab", ".gitlab-ci.yml"), ("azure", "azure-pipelines.yml")]
)
def test_a_pipeline_of_somebody_else_promises_no_plan(forge: str, file: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("mine\n")
    out = run_here("init", "--provider", forge, *FROM).out
    assert (
        f"\n{file} was there and is not of reconciler init, so no plan is shown yet: move it and run init again" in out
    )
    assert "it shows the plan" not in out
    Path(file).unlink()
    run_here("init", "--provider", forge, *FROM)
    assert "it shows the plan" in run_here("init", "--provider", forge, *FROM).out


def test_the_scopes_are_those_of_the_page_about_them() -> None:
    page = (ROOT / "docs/scopes.md").read_text()
    rows = {
        command: set(re.findall(r"`([\w.]+)`", row))
        for command, row in re.findall(r"^\| `(plan|apply)` (.*)$", page, re.MULTILINE)
    }
    assert set(to_plan("embedded")) == rows["plan"]
    assert {*to_plan("embedded"), *to_apply("embedded")} == rows["apply"]


def test_the_skeleton_has_its_examples_ready() -> None:
    assert run_here("init", "--application", APPLICATION, "--no-workflow", "--kind", "edge").code == 0
    text = Path(MANIFEST).read_text()
    examples = "\n".join(
        line.removeprefix("# ") for line in text.splitlines() if not line.startswith(("# Which", "# yaml"))
    )
    Path("examples.yaml").write_text("\n".join(line for line in examples.splitlines() if "would change" not in line))
    (rules,) = load_manifests(["examples.yaml"])
    assert {group.name for group in rules.groups} == {"leeds", "canary"}
    assert str(rules.kind) == "edge"


def test_without_an_id_the_skeleton_waits_for_one() -> None:
    assert run_here("init", "--no-workflow").code == 0
    ended = run_here("validate")
    assert ended.code == 1
    assert f"{MANIFEST}:5:" in ended.err


def test_what_is_there_stays() -> None:
    own = ("manifests/deep/own.yml", WORKFLOW, "CODEOWNERS", IGNORE)
    for name in own:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("mine\n")
    ended = run_here("init", *FROM, "--owner", "@acme/fleet")
    assert ended.code == 0
    assert {*files()} == {*own, *EVERYTHING} - {MANIFEST, CODEOWNERS}
    assert all(Path(name).read_text() == "mine\n" for name in own)
    assert [line for line in ended.out.splitlines() if line.startswith("kept")] == [
        "kept   manifests/deep/own.yml",
        f"kept   {WORKFLOW}",
        "kept   CODEOWNERS; consider adding",
        f"kept   {IGNORE}; consider adding",
    ]
    assert "         /manifests/ @acme/fleet\n         /.github/ @acme/fleet\n" in ended.out


def test_run_again_it_changes_nothing() -> None:
    assert run_here("init", *FROM).code == 0
    before = {name: Path(name).read_bytes() for name in files()}
    ended = run_here("init", *FROM, "--application", APPLICATION, "--branch", "other")
    assert ended.code == 0
    assert {name: Path(name).read_bytes() for name in files()} == before
    assert [line.split()[0] for line in ended.out.splitlines()[:10]] == ["kept"] * 10


def test_owners_and_branch_get_into_the_files() -> None:
    assert run_here("init", *FROM, "--owner", "@acme/fleet", "--branch", "release/1").code == 0
    assert "\n/manifests/ @acme/fleet\n" in Path(CODEOWNERS).read_text()
    assert 'branches: ["release/1"]' in Path(WORKFLOW).read_text()
    assert '\n      branch: "release/1"\n' in Path(WORKFLOW).read_text()


def test_without_an_owner_the_hint_is_a_comment() -> None:
    assert run_here("init", "--no-workflow").code == 0
    assert all(line.startswith("#") for line in Path(CODEOWNERS).read_text().splitlines())


@pytest.mark.parametrize(
    ("forge", "place", "workflow"),
    [
        ("github", ".github/CODEOWNERS", True),
        ("github", ".github/CODEOWNERS", False),
        ("github", "docs/CODEOWNERS", True),
        ("github", "CODEOWNERS", True),
        ("gitlab", "CODEOWNERS", True),
        ("gitlab", ".gitlab/CODEOWNERS", True),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_the_owners_own_their_list(forge: str, place: str, *, workflow: bool, there: bool) -> None:
    """Else one request takes the owners away unreviewed, and the next one changes the fleet."""
    if there:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text("# /CODEOWNERS is not yet owned\n")
    with_or_without = ["--provider", forge, *FROM] if workflow else ["--no-workflow"]
    out = run_here("init", "--owner", "@acme/fleet", *with_or_without).out
    (found,) = [name for name in files() if name.endswith("CODEOWNERS")]
    rules = re.findall(r"^ *(/\S+) @acme/fleet$", out if there else Path(found).read_text(), re.MULTILINE)
    assert f"/{found}" in rules or any(found.startswith(rule[1:]) for rule in rules if rule.endswith("/"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--install", "losant-reconciler"], "names neither a commit, nor a file with its hash, nor a version"),
        (["--install", "git+https://example.com/r@main"], "the commit to install is not named by its full id"),
        (["--install", f"git+https://example.com/$(id)@{COMMIT}"], "is not a plain https or ssh one"),
        (["--no-workflow", *FROM], "--no-workflow writes no pipeline"),
        (["--no-workflow", "--provider", "github"], "--no-workflow writes no pipeline"),
        (["--provider", "sourceforge"], "Invalid value for '--provider'"),
        ([*FROM, "--api-url", 'https://a.example/"$x'], "cannot be written into a pipeline"),
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
