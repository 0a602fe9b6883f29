"""The examples that the help of the steps ends with are a pipeline: each is run, as it stands there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.cli.examples import STEPS
from reconciler.simulator import serve
from tests.gitops.conftest import FLEET, PLANT, Git, manifest
from tests.gitops.runner.hub import Hub
from tests.support.cli import run_here

ID = "575ec8687ae143cd83dc4a97"


def test_the_examples_of_the_steps_are_a_pipeline(hub: Hub, job_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which a pipeline has them: what one leaves, another takes."""
    git, texts = Git(job_files / "repository"), [text.replace(PLANT, ID) for text in (manifest("v1"), manifest("v2"))]
    for text in texts:
        git.commit({"manifests/fleet.yaml": text.replace("plant", "production")})
    monkeypatch.chdir(git.folder)
    with serve(FLEET.replace(PLANT, ID).replace("plant", "production")) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        for step, examples in STEPS.items():
            event = {"pull_request": hub.open_pull(1, head="c")} if step == "comment" else {}
            (job_files / "event.json").write_text(json.dumps(event))
            monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request" if event else "schedule")
            for line in examples.values():
                assert line.startswith(f"reconciler ci {step}")
                ended = run_here(*line.split()[1:])
                assert ended.code == 0, (line, ended.out, ended.err)
        assert {row["reported"] for row in server.control.rows()} == {"v2"}
    assert len(hub.comments) == 1
    assert hub.statuses
