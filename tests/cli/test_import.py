"""`reconciler import` against the simulator: what it writes plans empty."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.commands.demo import demo_fleet, demo_manifest
from reconciler.simulator import Server, serve
from reconciler.simulator.world.fleet import Device
from tests.support.cli import run_here

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLEET = f"""
applications:
  - id: {APPLICATION}
    name: plant
    flows: {{telemetry: [v1, v2], alarms: [v1]}}
    tokens: [{{text: narrow, scopes: [embeddedDeployments.get]}}]
    devices:
      - {{count: 30, name: "leeds-{{n}}", tags: {{site: leeds}}, deployed: {{telemetry: v1, alarms: v1}}}}
      - {{count: 20, name: "york-{{n}}", tags: {{site: york}}, deployed: {{telemetry: v2}}}}
      - {{name: "pinned", tags: {{site: leeds}}, deployed: {{telemetry: v2, alarms: v1}}}}
      - {{name: "spare", tags: {{site: [leeds, york]}}}}
      - {{name: "odd", deployed: {{alarms: v1}}}}
      - {{name: "twin", deployed: {{alarms: v1}}}}
      - {{name: "twin", id: 0123456789abcdef01234567, tags: {{site: york}}, deployed: {{telemetry: v1}}}}
      - {{name: "idle"}}
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
    assert f"application: {{id: {APPLICATION}, name: plant}}\n" in text
    assert ("groups:" in text) == (group_by == "auto")
    assert "  # odd\n" in text
    assert ended.err == ""
    Path("m.yaml").write_text(text)
    ended = run_here("plan", "--detailed-exitcode", "m.yaml")
    assert ended.code == 0
    assert "No changes." in ended.out


@pytest.mark.usefixtures("server")
def test_the_exceptions_of_a_group_are_named() -> None:
    text = run_here("import", "--application", APPLICATION).out
    assert text.count("  site-leeds:\n") == text.count("  site-york:\n") == 1
    entries = re.findall("(?m)^  [0-9a-f]{24}: ({.*})  # (.*)$", text)
    assert sorted(entries, key=lambda entry: entry[::-1]) == [
        ("{alarms: v1}", "odd"),
        ("{telemetry: v2}", "pinned"),
        ("{alarms: absent, telemetry: absent}", "spare"),
        ("{alarms: v1}", "twin"),
        ("{telemetry: v1}", "twin"),
    ]


def test_what_is_not_written_is_counted_on_stderr_and_at_the_head(server: Server) -> None:
    server.control.delete_device("york-2")
    server.control.delete_device("leeds-1")
    deleted = {row["name"]: row["id"] for row in server.control.world.rows("select name, id from devices")}
    named = sorted((deleted[name], name) for name in ("york-2", "leeds-1"))
    listed = ", ".join(f"{name} ({one})" for one, name in named)
    told = f"3 rows of 2 deleted devices, not in the list of devices any more: {listed}"
    for more in ([], ["--group-by", "none"], ["--out", "m.yaml"]):
        ended = run_here("import", "--application", APPLICATION, *more)
        assert ended.code == 0
        assert f"Warning: not written: {told}.\n" in ended.err
        text = ended.out or Path("m.yaml").read_text()
        assert f"# Not written: {told}\n" in text.partition("apiVersion")[0]
        assert not any(one in text.partition("apiVersion")[2] for one, _ in named)
    assert "No changes." in run_here("plan", "m.yaml").out


def test_a_group_also_manages_a_device_that_comes_later(server: Server) -> None:
    """The head of the manifest says so."""
    run_here("import", "--application", APPLICATION, "--out", "m.yaml")
    assert Path("m.yaml").read_text().startswith("# A group also manages devices that come later: ")
    server.control.add_device(Device.model_validate({"name": "new-pump", "tags": {"site": "york"}}))
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in run_here("plan", "m.yaml").out


@pytest.mark.usefixtures("server")
def test_it_writes_a_new_file_and_overwrites_none() -> None:
    arguments = ["import", "--application", APPLICATION.upper(), "--out", "m.yaml"]
    ended = run_here(*arguments)
    assert ended.code == 0
    assert ended.out == ""
    text = Path("m.yaml").read_text()
    assert "\napiVersion: reconciler/v1\n" in text
    ended = run_here(*arguments)
    assert ended.code == 1
    assert "m.yaml already exists" in ended.err
    assert Path("m.yaml").read_text() == text


@pytest.mark.usefixtures("server")
def test_it_makes_the_folder_of_its_file_and_leaves_none_behind_if_it_fails() -> None:
    ended = run_here("import", "--application", APPLICATION, "--out", "new/folder/m.yaml")
    assert (ended.code, Path("new/folder/m.yaml").is_file()) == (0, True), ended.err
    assert run_here("plan", "new").code == 0
    ended = run_here("import", "--application", "0" * 24, "--out", "new/other/deep/m.yaml")
    assert (ended.code, sorted(path.name for path in Path("new").iterdir())) == (1, ["folder"])


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
        (["--application", APPLICATION, "--out", "/dev/null/m.yaml"], "--out /dev/null/m.yaml cannot be written"),
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


def test_the_demo_fleet_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its own manifest was applied: a tenth of the pumps at Hull is a canary, one at Leeds is pinned."""
    monkeypatch.chdir(tmp_path)
    Path("demo.yaml").write_text(demo_manifest(), encoding="utf-8")
    with serve(demo_fleet()) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        assert run_here("apply", "--yes", "demo.yaml").code == 0
        imported = run_here("import", "--application", APPLICATION, "--out", "imported.yaml")
        assert imported.code == 0, imported.err
        assert "No changes." in run_here("plan", "--detailed-exitcode", "imported.yaml").out
    lines = Path("imported.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 100
    assert [line for line in lines if "leeds-pump" in line] == [line for line in lines if line.endswith("-0007")]
    assert all("# hull-pump-" in line for line in lines if "{telemetry: v1.3.0}" in line)
