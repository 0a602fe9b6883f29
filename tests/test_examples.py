"""docs/examples: each fleet has the plan that its folder shows. `python -m tests.test_examples` writes them anew."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from jsonschema_rs import Draft202012Validator

from reconciler.manifest.json_schema import manifest_schema
from reconciler.simulator import serve
from tests.support.cli import run_here

FOLDER = Path(__file__).parent.parent / "docs/examples"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.parent for path in FOLDER.glob("*/fleet.yaml"))
[SERVE, TRY] = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_there_are_five_and_the_index_lists_them() -> None:
    listed = re.findall(r"^\| \[([a-z-]+)\]\(\1\) \|", README, re.MULTILINE)
    assert sorted(listed) == [path.name for path in EXAMPLES]
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_the_plan_is_the_one_that_is_shown_and_applying_it_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SERVE == "reconciler simulator --fleet fleet.yaml --port 8765\n"
    export, *commands = TRY.splitlines()
    assert export == "export LOSANT_API_URL=http://127.0.0.1:8765 LOSANT_API_TOKEN=operator"
    monkeypatch.chdir(folder)
    with serve(Path("fleet.yaml")) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", "operator")
        first, applied, again = (run_here(*command.split()[1:]) for command in commands)
        assert (first.code, first.err) == (0, "")
        assert first.out == Path("plan.txt").read_text(encoding="utf-8")
        assert applied.code == 0, applied.err
        assert "No changes." in again.out


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_editor_finds_the_schema_of_each_manifest_and_nothing_wrong(folder: Path) -> None:
    validator = Draft202012Validator(manifest_schema())
    manifests = sorted(folder.glob("manifests/*.yaml"))
    assert manifests
    for path in manifests:
        text = path.read_text(encoding="utf-8")
        match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
        assert match, path
        assert json.loads((path.parent / match[1]).read_text(encoding="utf-8")) == manifest_schema()
        validator.validate(yaml.load(text, yaml.BaseLoader))


def write_anew() -> None:
    """Today's plan of each fleet."""
    for folder in EXAMPLES:
        os.chdir(folder)
        with serve(Path("fleet.yaml")) as server:
            os.environ.update({"LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": "operator"})
            ended = run_here("plan")
            assert ended.code == 0, ended.err
            Path("plan.txt").write_text(ended.out, encoding="utf-8")


if __name__ == "__main__":
    write_anew()
