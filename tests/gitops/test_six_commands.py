"""From an empty repository and a token to a reviewed plan, by the README's commands, word for word."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import serve
from tests.gitops.conftest import FLEET, PLANT, Git, World
from tests.gitops.runner.actions import Runner
from tests.gitops.runner.hub import serve_hub
from tests.gitops.runner.steps import BIN, PROJECT, executable
from tests.support import processes

COMMIT = "0123456789" * 4
RECORD = {
    "url": "https://example.com/reconciler.git",
    "vcs_info": {"vcs": "git", "commit_id": COMMIT},
}
GH = """\
#!/usr/bin/env bash
# GitHub's command line: keeps a secret, and opens a pull request of the branch that is checked out.
set -eu
case "$1 $2" in
  "secret set") read -r secret && printf '%s' "$secret" > "$SECRETS/$3" ;;
  "pr create") [[ "$*" == "pr create --fill" ]] && git rev-parse --abbrev-ref HEAD > "$SECRETS/opened" ;;
  *) exit 1 ;;
esac
"""


def commands() -> list[str]:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```sh take over\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return str(shown).splitlines()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    """The clone of an empty repository, in `clone`; reconciler was installed from a commit."""
    record = tmp_path / "installed/losant_reconciler-1.2.3.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: losant-reconciler\nVersion: 1.2.3\n")
    (record / "direct_url.json").write_text(json.dumps(RECORD))
    tools, secrets, scratch = (tmp_path / name for name in ("tools", "secrets", "scratch"))
    for folder in (tools, secrets, scratch):
        folder.mkdir()
    executable(tools / "gh", GH)
    origin = Git(tmp_path / "origin")
    origin("config", "receive.denyCurrentBranch", "ignore")
    processes.run(["git", "clone", "-q", origin.folder, tmp_path / "clone"], check=True)
    with serve(FLEET) as server, serve_hub() as hub:
        yield World(origin, hub, server, Runner(scratch, origin.folder, hub, {}))


def typed(world: World, line: str, tmp_path: Path) -> str:
    """What a command prints."""
    who = {
        f"GIT_{role}_{key}": text
        for role in ("AUTHOR", "COMMITTER")
        for key, text in {"NAME": "t", "EMAIL": "t@example.com"}.items()
    }
    env = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("LOSANT_", "GITHUB_"))},
        **who,
        "APPLICATION": PLANT,
        "LOSANT_API_TOKEN": world.server.token,
        "LOSANT_API_URL": world.server.url,
        "PATH": f"{tmp_path / 'tools'}:{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "installed"),
        "SECRETS": str(tmp_path / "secrets"),
    }
    done = processes.run(["bash", "-euc", line], cwd=tmp_path / "clone", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_empty_repository_and_a_token_get_a_reviewed_plan(fresh: World, tmp_path: Path) -> None:
    lines = commands()
    assert len(lines) <= 6
    init, secret, push, change, again, pull = lines
    typed(fresh, init, tmp_path)
    assert f"@{COMMIT}\n" in (tmp_path / "clone/.reconciler/reconciler.txt").read_text()
    typed(fresh, secret, tmp_path)
    (kept,) = (tmp_path / "secrets").iterdir()
    fresh.runner.secrets[kept.name] = kept.read_text()
    typed(fresh, push, tmp_path)
    first = fresh.push()
    assert first.conclusion == "success", first.everything
    assert fresh.released() == {"v1"}
    assert "0 added, 0 changed, 0 destroyed" in first.job("apply").summary

    for line in (change, again, pull):
        typed(fresh, line, tmp_path)
    branch = (tmp_path / "secrets/opened").read_text().strip()
    opened = fresh.opened(1, branch)
    assert opened.conclusion == "success", opened.everything
    (body,) = fresh.hub.bodies(1)
    assert "**Plan: 0 to add, 20 to change, 0 to destroy.**" in body
    assert fresh.released() == {"v1"}

    assert fresh.merge(1, branch=branch).conclusion == "success"
    assert fresh.reported() == {"v2"}
    assert fresh.night().conclusion == "success"
    assert fresh.hub.refused == []


def test_every_job_installs_what_init_wrote_and_nothing_else(fresh: World, tmp_path: Path) -> None:
    init, _, push, *_ = commands()
    typed(fresh, init, tmp_path)
    typed(fresh, push, tmp_path)
    fresh.runner.secrets["LOSANT_API_TOKEN"] = fresh.server.token
    run = fresh.push()
    assert run.conclusion == "success", run.everything
    logs = [file.read_text() for file in (tmp_path / "scratch").glob("job-*/temp/pip.log")]
    assert len(logs) == len([name for name in run.ran() if name != "applications"])
    for log in logs:
        first, second = log.splitlines()
        assert re.search(
            r"^-I -m pip .*--require-hashes --only-binary :all: -r \S+/[.]reconciler/requirements.txt$", first
        )
        assert re.search(r"^-I -m pip .*--no-deps --no-build-isolation -r \S+/[.]reconciler/reconciler.txt$", second)
