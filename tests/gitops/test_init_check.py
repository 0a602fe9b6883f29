"""`reconciler init --check`: what is wrong is told, what cannot be seen is not claimed, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import Server, serve
from tests.gitops.conftest import FLEET, PLANT
from tests.gitops.runner.hub import REPOSITORY, Hub, serve_hub
from tests.gitops.runner.lab import MAINTAINER, PROJECT_ID, serve_lab
from tests.support import processes
from tests.support.cli import run_here

FROM = ("--install", f"losant-reconciler==1.2.3#sha256={'ab' * 32}")
NARROW = f"""{FLEET}    tokens:
      - {{text: may-only-read-deployments, scopes: [embeddedDeployments.get]}}
      - {{text: may-not-read-versions, scopes: [embeddedDeployments.get, devices.get, flows.get, application.get]}}
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Hub]]:
    processes.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    with serve(NARROW) as server, serve_hub() as hub:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv(f"LOSANT_API_TOKEN_{PLANT}", server.token)
        monkeypatch.setenv("GITHUB_API_URL", hub.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", hub.token({"contents": "read"}))
        hub.protected.add("main")
        assert run_here("init", "--import", "--application", PLANT, *FROM).code == 0
        yield server, hub


def lines(word: str, out: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in out.splitlines() if line.startswith(f"{word}  ")]


def test_a_repository_that_is_set_up(world: tuple[Server, Hub]) -> None:
    ended = run_here("init", "--check", *FROM)
    assert (ended.code, lines("wrong", ended.out)) == (0, []), ended.out
    assert {"manifests/schema.json", ".reconciler/install.sh", "branch main is protected"} <= {*lines("ok", ended.out)}
    assert {f"scope {one} of {PLANT}" for one in ("devices.get", "embeddedDeployments.get", "flowVersions.get")} <= {
        *lines("ok", ended.out)
    }
    assert lines("not verified", ended.out) == [
        *(
            f"scope embeddedDeployments.{one} of {PLANT}: shown only by a write"
            for one in ("release", "replace", "remove")
        ),
        "tokens are kept apart: GitHub shows the names of secrets to administrators only",
    ]
    assert {name.partition(".")[2] for name in world[0].control.counts()} == {"get"}


@pytest.mark.usefixtures("world")
def test_where_it_is_not_known_what_to_install_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "losant_reconciler-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: losant-reconciler\nVersion: 1.2.3\n")
    (info / "direct_url.json").write_text('{"url": "file:///no/such/folder", "dir_info": {"editable": true}}')
    monkeypatch.syspath_prepend(folder)
    ended = run_here("init", "--check")
    assert ended.code == 0, ended.out
    assert ".github/workflows/reconcile.yml" in lines("ok", ended.out)
    (told,) = [line for line in lines("not verified", ended.out) if line.startswith(".reconciler/: ")]
    assert "this version" in told
    assert "--install" in told


def test_what_is_wrong_is_told_all_at_once_and_nothing_is_written(
    world: tuple[Server, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{PLANT}", "may-only-read-deployments")
    world[1].protected.clear()
    Path(".reconciler/install.sh").unlink()
    Path(".github/workflows/reconcile.yml").write_text("mine\n")
    ended = run_here("init", "--check", "--install", FROM[1].replace("1.2.3", "1.2.4"))
    assert ended.code == 1
    told = "\n".join(lines("wrong", ended.out))
    for what in (
        ".reconciler/install.sh: missing",
        ".reconciler/reconciler.txt: not as it would be written now",
        f"scope devices.get of {PLANT}: ",
        f"scope flows.get of {PLANT}: ",
        "branch main is protected: everybody can push",
    ):
        assert what in told
    unknown = lines("not verified", ended.out)
    assert ".github/workflows/reconcile.yml: not written by reconciler init" in unknown
    assert f"scope flowVersions.get of {PLANT}: it is asked of a flow, and the flows cannot be read" in unknown
    assert not Path(".reconciler/install.sh").exists()
    assert "may-only-read" not in ended.out + ended.err


def test_a_token_that_may_not_read_versions_is_wrong(
    world: tuple[Server, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{PLANT}", "may-not-read-versions")
    ended = run_here("init", "--check", *FROM)
    assert ended.code == 1
    (wrong,) = lines("wrong", ended.out)
    assert wrong.startswith(f"scope flowVersions.get of {PLANT}: ")


def test_a_token_that_is_missing_is_wrong_and_a_branch_that_cannot_be_read_is_not_verified(
    world: tuple[Server, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"LOSANT_API_TOKEN_{PLANT}")
    monkeypatch.setenv("GITHUB_TOKEN", world[1].token({"issues": "write"}))
    ended = run_here("init", "--check", *FROM)
    assert ended.code == 1
    (wrong,) = lines("wrong", ended.out)
    assert wrong.startswith(f"token of {PLANT}: no API token")
    assert [line for line in lines("not verified", ended.out) if line.startswith("branch main is protected: ")]
    monkeypatch.delenv("GITHUB_TOKEN")
    assert "not verified  branch main is protected: GITHUB_TOKEN is not set" in run_here("init", "--check", *FROM).out


def test_on_gitlab_each_application_of_the_manifests_needs_its_token(
    world: tuple[Server, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_lab() as lab:
        monkeypatch.setenv("CI_API_V4_URL", lab.url)
        monkeypatch.setenv("CI_PROJECT_ID", str(PROJECT_ID))
        monkeypatch.setenv("RECONCILER_FORGE_TOKEN", lab.token(role=MAINTAINER))
        other = {"key": f"LOSANT_API_TOKEN_{'a' * 24}", "environment_scope": "reconciler-fleet"}
        lab.variables.append({**other, "protected": True, "masked": True})
        ended = run_here("init", "--check", "--provider", "gitlab", *FROM)
    assert ended.code == 1
    told = "\n".join(lines("wrong", ended.out))
    assert f"no variable LOSANT_API_TOKEN_{PLANT} or LOSANT_API_TOKEN" in told
    assert "protected variables are kept from merge requests: turn " in told
    assert "a pipeline by hand may get variables: an apply by hand needs one" in told
