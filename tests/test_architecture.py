"""The house keeps its shape: layers, light imports, small rooms."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def test_import_contracts_hold() -> None:
    done = subprocess.run([BIN / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def modules_after(*argv: str) -> set[str]:
    """Top-level modules that one run of the command line has loaded at its end."""
    script = (
        "import sys, json, io, contextlib\n"
        "from reconciler.cli.app import run\n"
        "out = io.StringIO()\n"
        "with contextlib.redirect_stdout(out):\n"
        f"    code = run({list(argv)!r})\n"
        "assert code == 0, (code, out.getvalue())\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


HEAVY = {"httpx", "deepdiff", "rich", "starlette", "uvicorn", "asyncio", "tenacity"}


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["plan", "--help"], ["apply", "--help"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    assert not modules_after(*argv) & (HEAVY | {"pydantic", "yaml"})


def test_validate_loads_no_network_and_no_server(tmp_path: Path) -> None:
    manifest = tmp_path / "a.yaml"
    manifest.write_text(
        "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
        "devices:\n  575ecf887ae143cd83dc4aa2: {575ed18f7ae143cd83dc4aa6: v1}\n"
    )
    assert not modules_after("validate", str(manifest)) & HEAVY


def test_importing_the_package_loads_nothing_of_its_own() -> None:
    script = "import sys, reconciler; print(sorted(n for n in sys.modules if n.partition('.')[0] in ('httpx', 'yaml')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
