"""`reconciler import` against the simulator: what it writes plans empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.simulator import Server, serve
from tests.support.cli import run_here

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLEET = f"""
applications:
  - id: {APPLICATION}
    name: plant
    flows: {{telemetry: [v1, v2], alarms: [v1]}}
    tokens: [{{text: narrow, scopes: [embeddedDeployments.get]}}]
    devices:
      - {{count: 3, name: "leeds-{{n}}", tags: {{site: leeds}}, deployed: {{telemetry: v1, alarms: v1}}}}
      - {{count: 2, name: "york-{{n}}", tags: {{site: york}}, deployed: {{telemetry: v2}}}}
      - {{count: 1, name: "odd", deployed: {{alarms: v1}}}}
      - {{count: 1, name: "idle"}}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        yield server


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("group_by", ["auto", "none", "tag:site"])
def test_what_is_imported_plans_empty(group_by: str) -> None:
    ended = run_here("import", "--application", APPLICATION, "--group-by", group_by)
    assert ended.code == 0
    text = ended.out
    assert f"application: {APPLICATION}  # plant\n" in text
    assert ("groups:" in text) == (group_by != "none")
    assert "  # odd\n" in text
    Path("m.yaml").write_text(text)
    ended = run_here("plan", "--detailed-exitcode", "m.yaml")
    assert ended.code == 0
    assert "No changes." in ended.out


@pytest.mark.usefixtures("server")
def test_it_writes_a_new_file_and_overwrites_none() -> None:
    arguments = ["import", "--application", APPLICATION.upper(), "--out", "m.yaml"]
    ended = run_here(*arguments)
    assert ended.code == 0
    assert ended.out == ""
    text = Path("m.yaml").read_text()
    assert text.startswith("apiVersion: reconciler/v1\n")
    ended = run_here(*arguments)
    assert ended.code == 1
    assert "m.yaml already exists" in ended.err
    assert Path("m.yaml").read_text() == text


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option '--application'"),
        (
            ["--application", "plant"],
            "'plant' is not a valid id: write its 24 hex digits",
        ),
        (["--application", "0" * 24], "404"),
        (["--application", APPLICATION, "--group-by", "site"], "is not auto, none or tag:KEY"),
        (["--application", APPLICATION, "--group-by", "tag:"], "is not auto, none or tag:KEY"),
        (["--application", APPLICATION, "--out", "no/such/folder/m.yaml"], "cannot be written"),
    ],
)
def test_mistakes_are_told(arguments: list[str], words: str) -> None:
    ended = run_here("import", *arguments)
    assert ended.code == 1
    out, err = ended.out, ended.err
    assert out == ""
    assert words in err


@pytest.mark.usefixtures("server")
def test_a_token_for_the_deployments_alone_is_enough() -> None:
    """Without the device list nothing is grouped; without the application there is no name."""
    Path("token").write_text("narrow")
    ended = run_here("--token-file", "token", "import", "--application", APPLICATION)
    assert ended.code == 0
    out, err = ended.out, ended.err
    assert "without the scope devices.get there are no groups" in err
    assert "groups:" not in out
    assert f"application: {APPLICATION}\n" in out
