"""Every example that a command's help ends with is run, as it stands there."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.commands.ci import command as steps
from reconciler.cli.examples import EXAMPLES, STEPS
from reconciler.cli.registry import COMMANDS
from reconciler.simulator import Server, serve
from tests.support import processes
from tests.support.cli import run_here
from tests.support.waiting import LIMIT_S

PRODUCTION, STAGING = "575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a96"


def application(application_id: str, name: str, telemetry: str) -> str:
    return f"""
  - id: {application_id}
    name: {name}
    flows: {{telemetry: [v1.2.3, v1.3.0], alarms: [v2.0.0]}}
    devices:
      - count: 3
        name: "york-pump-{{n:04}}"
        tags: {{site: york}}
        deployed: {{telemetry: {telemetry}, alarms: v2.0.0}}
"""


FLEET = "".join(
    [
        "take_up_s: 0\napplications:",
        application(PRODUCTION, "production", "v1.2.3"),
        application(STAGING, "staging", "v1.3.0"),
    ]
)


def manifest(application_id: str, name: str, version: str, alarms: str = "") -> str:
    flows = f"{{telemetry: {version}{alarms}}}"
    return f"""\
apiVersion: reconciler/v1
application: {{id: {application_id}, name: {name}}}
groups:
  york: {{select: {{tags: {{site: york}}}}, flows: {flows}}}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A repository whose manifests want something, and what other commands leave behind."""
    monkeypatch.chdir(tmp_path)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        for one in (PRODUCTION, STAGING):
            monkeypatch.setenv(f"LOSANT_API_TOKEN_{one.upper()}", token_of(server, one))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        for folder in ("manifests", ".zfunc", ".config/fish/completions"):
            (tmp_path / folder).mkdir(parents=True)
        job = {"EVENT_NAME": "schedule", "EVENT_PATH": str(tmp_path / "event.json"), "REF": "refs/heads/main"}
        for name, value in {
            **job,
            "REPOSITORY": "acme/fleet",
            "ACTOR": "ada",
            "RUN_ID": "7",
            "SERVER_URL": "https://x.example",
        }.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        (tmp_path / "event.json").write_text("{}")
        for name in ("OUTPUT", "STEP_SUMMARY"):
            monkeypatch.setenv(f"GITHUB_{name}", str(tmp_path / name))
        (tmp_path / "fleet.yaml").write_text(FLEET)
        git("init", "-q", "-b", "main")
        Path("manifests/production.yaml").write_text(manifest(PRODUCTION, "production", "v1.2.3"))
        Path("manifests/staging.yaml").write_text(manifest(STAGING, "staging", "v1.3.0"))
        commit("first")
        Path("manifests/production.yaml").write_text(manifest(PRODUCTION, "production", "v1.2.3", ", alarms: v2.0.0"))
        commit("second")
        yield server


def token_of(server: Server, application_id: str) -> str:
    from reconciler.simulator.world.seed import default_token

    return default_token(application_id)


def git(*words: str) -> None:
    processes.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words], check=True)


def commit(message: str) -> None:
    git("add", "manifests")
    git("commit", "-q", "-m", message)


LEFT_BEHIND = {  # by earlier commands, for those that need it
    "show": ["reconciler plan --out plan.json", "reconciler apply --yes --result result.json"],
    "apply": ["reconciler plan --out plan.json"],
    "lock": ["reconciler lock"],
}
CODES = {"--check": 2}  # there is something to write


def run(line: str) -> tuple[int, str]:
    if re.search("[<>|]", line):
        done = processes.run(["bash", "-euo", "pipefail", "-c", line])
        return done.returncode, done.stdout + done.stderr
    ended = run_here(*line.split()[1:])
    return ended.code, ended.out + ended.err


def serves(line: str) -> None:
    """Run what runs until Ctrl-C, until it says so."""
    process = processes.start(line.split(), stdout=-1, stderr=-1)
    try:
        assert process.stdout
        assert process.stderr
        assert "LOSANT_API_URL=http://127.0.0.1:" in process.stdout.readline()
        told = [*iter(process.stderr.readline, "Serving until Ctrl-C.\n")]
        assert told
        assert all(re.fullmatch(r"Application [0-9a-f]{24} \(\w+\)\.\n", line) for line in told)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) in (0, 130)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_example_does_what_it_says(command: str, shop: Server) -> None:
    for line in LEFT_BEHIND.get(command, ()):
        code, shown = run(line)
        assert code == 0, (line, shown)
    for line in EXAMPLES[command].values():
        assert line.startswith((f"reconciler {command}", f"source <(reconciler {command}"))
        if command == "simulator":
            serves(line)
            continue
        git("checkout", "-q", "--", "manifests")
        code, shown = run(line)
        assert code == next((code for word, code in CODES.items() if word in line), 0), (line, shown)
        shop.control.advance(600)  # Losant compiles once in five minutes


@pytest.mark.parametrize("step", steps.commands)
def test_the_help_of_a_step_ends_with_examples(step: str) -> None:
    ended = run_here("ci", step, "--help")
    assert ended.code == 0
    _, _, end = ended.out.partition("\n  Examples:\n")
    lines = [line.removeprefix("    ") for line in end.splitlines()]
    assert lines == [text for what, line in STEPS[step].items() for text in (f"# {what}", line)] != []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_ends_with_two_or_three_examples(command: str) -> None:
    ended = run_here(command, "--help")
    assert ended.code == 0
    _, _, end = ended.out.partition("\n  Examples:\n")
    lines = [line.removeprefix("    ") for line in end.splitlines()]
    assert 2 <= len(EXAMPLES[command]) <= 3
    assert lines == [text for what, line in EXAMPLES[command].items() for text in (f"# {what}", line)]


def test_commands_and_examples_are_the_same() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    assert set(STEPS) == set(steps.commands)
