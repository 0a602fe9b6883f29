"""The house keeps its shape: layers, light imports, small rooms."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.commands.ci import command as ci
from reconciler.cli.registry import COMMANDS
from reconciler.simulator import serve
from tests.support import processes

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def test_import_contracts_hold() -> None:
    done = processes.run([BIN / "lint-imports", "--no-cache"], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


SMALL = """\
apiVersion: reconciler/v1
application: 575ec8687ae143cd83dc4a97
devices:
  575ecf887ae143cd83dc4aa2: {575ed18f7ae143cd83dc4aa6: v1}
"""
GROUP = """\
apiVersion: reconciler/v1
application: 575ec8687ae143cd83dc4a9%s
groups: {all: {select: {all: true}, flows: {telemetry: v%s}}}
"""
# Packages that are dear to import. What a command needs of them, and nothing else, is loaded at its end.
HEAVY = {
    "asyncio",
    "deepdiff",
    "httpx",
    "jinja2",
    "jsonschema",
    "prometheus_client",
    "pydantic",
    "rich",
    "starlette",
    "uvicorn",
    "yaml",
}
MANIFESTS = {"pydantic", "yaml"}
NETWORK = {"asyncio", "httpx", "pydantic"}
NEEDS: dict[str, set[str]] = {
    "--help": set(),
    "--version": set(),
    **{f"{command} --help": set() for command in COMMANDS},
    **{f"ci {step} --help": set() for step in ci.commands},
    "validate a.yaml": MANIFESTS,
    "validate a.yaml --format json": MANIFESTS,
    "applications a.yaml": MANIFESTS,
    "completion bash": set(),
    "schema": {"pydantic"},
    "schema --output": {"pydantic"},
    "diff a.yaml b.yaml": MANIFESTS | {"deepdiff"},
    "set 575ed18f7ae143cd83dc4aa6=v2 a.yaml": MANIFESTS,
    "promote --from c.yaml --to d.yaml --unchecked": MANIFESTS,
    "promote --from c.yaml --to d.yaml": MANIFESTS | NETWORK,
    "init": set(),
    "plan a.yaml": MANIFESTS | NETWORK,
    "lock a.yaml": MANIFESTS | NETWORK,
    "outdated a.yaml": MANIFESTS | NETWORK,
    "plan a.yaml --format markdown": MANIFESTS | NETWORK,
    "status a.yaml": MANIFESTS | NETWORK,
    "plan a.yaml --format html": MANIFESTS | NETWORK,  # it fails, so no page is made
    "show status.json": set(),
    "show status.json --format html": {"jinja2"},
    "apply a.yaml --yes": MANIFESTS | NETWORK | {"rich"},
    "import --application 575ec8687ae143cd83dc4a97": NETWORK - {"pydantic"},
    "export --application 575ec8687ae143cd83dc4a97 --email a@example.com": NETWORK | {"rich"},
}
LOADED = """\
import sys, json, io, contextlib
from reconciler.cli.app import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    run(sys.argv[1:])
print(json.dumps(sorted({name.partition('.')[0] for name, module in sys.modules.items() if module})))
"""


@pytest.fixture(scope="module")
def nobodys_api() -> Iterator[str]:
    """An API that answers every token with 401."""
    with serve({"applications": [{"id": "5f0c8a1b2d3e4f5061728394", "name": "plant"}]}) as server:
        yield server.url


@pytest.mark.parametrize("words", NEEDS)
def test_a_command_loads_what_it_needs(words: str, tmp_path: Path, nobodys_api: str) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(SMALL.replace(": v1", ": v2") if name == "b.yaml" else SMALL)
    for name, number in {"c.yaml": 7, "d.yaml": 8}.items():
        (tmp_path / name).write_text(GROUP % (number, number))
    (tmp_path / "status.json").write_text('{"format_version":"1","command":"status","error":null,"status":[]}')
    env = {**os.environ, "LOSANT_API_URL": nobodys_api, "LOSANT_API_TOKEN": "t", "LOSANT_TOKEN": "t"}
    argv = [sys.executable, "-c", LOADED, *words.split()]
    done = processes.run(argv, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout)) & HEAVY
    assert loaded - ({"asyncio"} if "deepdiff" in loaded else set()) == NEEDS[words]  # some of its versions import it


@pytest.mark.parametrize(("typed", "loads"), [("--tar", set()), ("--target flow=", {"yaml"})])
def test_a_press_of_tab_loads_next_to_nothing(typed: str, loads: set[str], tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text(GROUP % (7, 1))
    *words, word = typed.split()
    asked = {"COMP_WORDS": "\n".join(["reconciler", "plan", *words]), "COMP_WORD": word}
    env = {**os.environ, "_RECONCILER_COMPLETE": "zsh_complete", **asked}
    done = processes.run([sys.executable, "-c", LOADED], cwd=tmp_path, env=env, check=True)
    assert set(json.loads(done.stdout)) & HEAVY == loads


def test_importing_the_package_loads_nothing_of_its_own() -> None:
    script = "import sys, reconciler; print(sorted(n for n in sys.modules if n.partition('.')[0] in ('httpx', 'yaml')))"
    done = processes.run([sys.executable, "-c", script], check=True)
    assert done.stdout.strip() == "[]"


HTTPX = """\
import json, sys
if sys.argv[1:]:
    import reconciler.api
import httpx
kinds = {name: str(type(getattr(httpx, name))) for name in httpx.__all__ if name != "main"}
print(json.dumps([kinds, sorted(sys.modules)]))
"""


def test_httpx_is_whole_without_its_command_line() -> None:
    """What `reconciler.api` leaves out is there to be left out, is all that is missing, and is worth it."""

    def imported(*through_us: str) -> tuple[dict[str, str], set[str]]:
        done = processes.run([sys.executable, "-c", HTTPX, *through_us], check=True)
        kinds, modules = json.loads(done.stdout)
        return kinds, set(modules)

    (kinds, modules), (our_kinds, our_modules) = imported(), imported("through us")
    assert our_kinds == kinds
    assert {"httpx._main", "rich.console"} <= modules
    assert "rich.console" not in our_modules
    ours = {name for name in modules - our_modules if name.partition(".")[0] in ("httpx", "httpcore", "h11", "anyio")}
    assert ours == set()


ONE_HARNESS = re.compile(r"reconciler\.cli(?:\.app| import app)|\"-m\", \"reconciler\"")
# The harness, what it is tested with, and what is measured or interrupted in a process of its own.
KNOW_THE_APP = {
    "support/cli.py",
    "support/warm_client.py",
    "support/test_warm.py",
    "cli/test_interrupts.py",
    "test_architecture.py",
}


def test_only_the_harness_runs_the_command() -> None:
    tests = ROOT / "tests"
    found = {
        str(path.relative_to(tests)) for path in tests.rglob("*.py") if ONE_HARNESS.search(path.read_text("utf-8"))
    }
    assert found == KNOW_THE_APP


SHARED = {"builders", "conftest", "fakes", "field_tables", "hostile", "support", "vendor"}
FROM_TESTS = re.compile(r"^\s*(?:from|import) tests\.(\w+)", re.MULTILINE)


def test_no_room_of_tests_imports_from_another() -> None:
    tests = ROOT / "tests"
    for path in tests.rglob("*.py"):
        own = path.relative_to(tests).parts[0]
        used = set(FROM_TESTS.findall(path.read_text(encoding="utf-8")))
        assert used <= SHARED | {own.removesuffix(".py")}, path
