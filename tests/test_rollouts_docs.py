"""docs/rollouts.md: its fleet, its manifest and each change of it, as a reader would try them; the advised numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import httpx
import pytest

from reconciler.simulator import Clock, serve
from tests.support.cli import run_here
from tests.support.time import START

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/rollouts.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "manifests/README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(yaml|diff)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
[FLEET, MANIFEST, PIN] = [text for kind, text in BLOCKS if kind == "yaml"]
DIFFS = [text for kind, text in BLOCKS if kind == "diff"]


def changed(text: str, diff: str) -> str:
    """A manifest with a change of the page."""
    old, new = ("".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in (" ", sign)) for sign in "-+")
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with serve(FLEET) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        text: str = MANIFEST.replace("APPLICATION", server.application_id)
        for folder in ("manifests", "before"):
            Path(folder).mkdir()
            Path(folder, "pumps.yaml").write_text(text)
        assert run_here("plan").out.count("No changes.") == 1
        return text


def told(text: str) -> list[str]:
    """What `diff` says of a manifest and the first one, when both are sound."""
    Path("manifests/pumps.yaml").write_text(text)
    assert run_here("validate").err == ""
    ended = run_here("diff", "./before", "./manifests")
    assert ended.code == 0
    return re.findall(r"^  (\S.*?)(?:  manifests.*)?$", ended.out, re.MULTILINE)


def test_each_change_of_the_page_is_told_as_what_it_is(manifest: str) -> None:
    version, approval, both = DIFFS
    assert told(changed(manifest, version)) == ["telemetry v1.2.3 → v1.3.0"]
    assert told(changed(manifest, approval)) == ["rollout of group leeds: careful → careful up to wave 1"]
    assert told(changed(manifest, both)) == [
        "policy careful budget: nothing → 1 by line, site",
        "policy careful window: nothing → mon tue wed thu fri 01:00 to 05:00 Europe/London",
    ]
    assert told(manifest + PIN.replace("v1.2.3", "v1.2.2")) == ["telemetry nothing → v1.2.2"]
    assert told(manifest.replace("converged: 95", "converged: 90")) == [
        "policy careful gate.converged: 95 → 90  (looser)"
    ]


def shown(command: str) -> str:
    """What the page shows of a command's output."""
    (text,) = re.findall(
        rf"^<!-- .*output of: reconciler {command} -->\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    return str(text)


def test_the_output_on_the_page_is_what_its_reader_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the page's commands to the simulator, as a shell would send them, and with the ways on that it names."""
    commands = dict(re.findall(r"^control (\w+) '(.*)'$", PAGE, re.MULTILINE))
    version = DIFFS[0]
    with serve(FLEET, clock=Clock(frozen_at=START)) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)

        def control(name: str) -> None:
            headers = {"Content-Type": "application/json"}
            answer = httpx.post(f"{server.url}/_simulator/{name}", content=commands[name], headers=headers)
            assert "result" in answer.json(), answer.text

        text: str = MANIFEST.replace("APPLICATION", server.application_id)
        Path("manifests").mkdir()
        manifest = Path("manifests/pumps.yaml")
        manifest.write_text(changed(text, version))
        assert run_here("plan").out == shown("plan")
        control("fail")
        assert run_here("apply", "--yes").code == 0
        control("advance")
        ended = run_here("apply", "--yes")
        assert (ended.code, shown("apply --yes") in ended.out) == (7, True), ended.out
        assert run_here("status").code == 7
        manifest.write_text(text)
        assert run_here("apply", "--yes").code == 0
        assert {row["released"] for row in server.control.rows()} == {"v1.2.3"}
        manifest.write_text(changed(text, version).replace("v1.3.0", "v1.3.1"))
        for _ in range(4):
            assert run_here("apply", "--yes").code == 0
            control("advance")
            control("advance")
        assert {row["reported"] for row in server.control.rows()} == {"v1.3.1"}


def test_a_version_that_finds_an_approval_is_a_warning_as_the_page_says(manifest: str) -> None:
    version, approval, _ = DIFFS
    raised = changed(manifest, approval).replace("up_to: 1", "up_to: 3")
    Path("before/pumps.yaml").write_text(raised)
    Path("manifests/pumps.yaml").write_text(changed(raised, version))
    assert "v1.3.0 of telemetry is approved up to wave 3" in run_here("diff", "./before", "./manifests").err


def test_the_table_of_how_many_devices_find_a_fault_is_right() -> None:
    """Rounded to tens: the least n with 1 - (1 - p)^n of 95 % or more."""
    rows = re.findall(r"^\| (\d+) %[^|]*\| (\d+) \|$", REFERENCE, re.MULTILINE)
    assert [percent for percent, _ in rows] == ["10", "3", "1"]
    for percent, devices in rows:
        least = math.ceil(math.log(0.05) / math.log(1 - int(percent) / 100))
        assert int(devices) == round(least, -1)
