"""Each example of docs/python.md is run against the simulator, and checked by mypy as its reader would."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from reconciler.testing import Simulator
from tests.support import processes

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"^```python\n(# file: (\S+)\n.*?)^```$", re.DOTALL | re.MULTILINE)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = {name: text for text, name in PYTHON.findall(PAGE)}
SAYS = {
    "deploy.py": r"3 to update, 1 calls(?s:.*)3 of 3 changes confirmed\nrelease confirmed(?s:.*)'in_sync': 6",
    "with_asyncio.py": r"^1 plans\n3 of 3 changes confirmed\n$",
    "with_client.py": r"^sha256:[0-9a-f]{64}\n(?s:.*) desired v1\.3\.0\n",
    "with_progress.py": r"^3 changes\n$",
    "with_simulator.py": r"'v1\.3\.0'",
    "test_fleet.py": r"1 passed",
}


def run(folder: Path, *words: str, **env: str) -> str:
    done = processes.run([sys.executable, *words], cwd=folder, env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_has_a_name_and_is_looked_at() -> None:
    assert PAGE.count("```python\n") == len(EXAMPLES)
    assert set(EXAMPLES) == set(SAYS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(name: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifests/fleet.yaml"
    manifest.parent.mkdir()
    manifest.write_text(YAML.findall(PAGE)[0])
    (tmp_path / name).write_text(EXAMPLES[name])
    how = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if name.startswith("test_") else []
    with Simulator() as simulator:
        told = run(tmp_path, *how, name, LOSANT_API_URL=simulator.url, LOSANT_API_TOKEN=simulator.token)
    assert re.search(SAYS[name], told), told


def test_a_reader_that_checks_strictly_finds_nothing(tmp_path: Path) -> None:
    """Also with no setting of this repository, so by what the package ships."""
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    cache = ROOT / ".mypy_cache/docs"
    told = run(tmp_path, "-m", "mypy", "--strict", "--cache-dir", str(cache), "--config-file=", *EXAMPLES)
    assert told.startswith("Success: no issues found"), told
    assert (ROOT / "reconciler/py.typed").exists()
