"""Completion: what is offered, and each shell's script in that shell."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.cli.registry import COMMANDS
from reconciler.manifest.names import MOST_EVENTS, names_in
from tests.support import processes
from tests.support.cli import run_here
from tests.support.waiting import LIMIT_S

HOSTILE = '$(touch pwned) `touch pwned` "quoted" it\'s; x'
BASE = """
flows: {telemetry: 575ed18f7ae143cd83dc4aa6, alarms: 575ed18f7ae143cd83dc4aa7}
groups:
  leeds: {select: {devices: [leeds-pump-1, "york-*"]}, flows: {telemetry: v1, by-name: v1}}
"""
MANIFEST = f"""
apiVersion: reconciler/v1
application: {{id: 5f0c8a1b2d3e4f5061728394, name: plant}}
extends: base.yaml
groups: {{"north west": {{select: {{all: true}}, flows: {{telemetry: v2}}}}}}
devices:
  york-pump-1: {{legacy: absent}}
  '{HOSTILE.replace("'", "''")}': {{telemetry: v1}}
  "bell\\a": {{telemetry: v1}}
pins:
  - {{device: "a:b", flows: {{telemetry: v3}}, reason: x}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with manifests in `manifests`, another in `other.yaml`, and the command on the PATH."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/base.yaml").write_text(BASE)
    (tmp_path / "manifests/production.yaml").write_text(MANIFEST)
    (tmp_path / "other.yaml").write_text("application: 5f0c8a1b2d3e4f5061728399\ngroups: {southern: {}}\n")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return tmp_path


def offered(*words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The answers for a command line, of which the last word is typed."""
    with monkeypatch.context() as patch:
        patch.setenv("_RECONCILER_COMPLETE", "zsh_complete")
        patch.setenv("COMP_WORDS", "\n".join(["reconciler", *words[:-1]]))
        patch.setenv("COMP_WORD", words[-1])
        ended = run_here()
    assert (ended.code, ended.err) == (0, "")
    return [line.partition("\t")[0] for line in ended.out.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["plan", "--target", ""], ["partial,device=", "partial,flow=", "partial,group="]),
        (["plan", "--exclude", "g"], ["partial,group="]),
        (["plan", "--target", "flow="], ["by-name", "telemetry", "alarms", "legacy"]),
        (["apply", "--target", "device=y"], ["york-pump-1"]),
        (["plan", "--target", "group="], ["north west", "leeds"]),
        (["plan", "--target=group=l"], ["plain,--target=group=leeds"]),
        (["plan", "--target", "site="], []),
        (["plan", "other.yaml", "--target", "group="], ["southern"]),
        (["plan", "nowhere.yaml", "--target", "group="], []),
        (["set", "telemetry=v2", "--group", "n"], ["plain,north west"]),
        (["set", "telemetry=v2", "other.yaml", "--group", ""], ["plain,southern"]),
        (["promote", "--from", "other.yaml", "--group", ""], ["plain,southern"]),
        (["status", "--application", ""], ["plain,5f0c8a1b2d3e4f5061728394", "plain,plant"]),
        (["validate", "--application", "p"], ["plain,plant"]),
        (["export", "--application", "5"], ["plain,5f0c8a1b2d3e4f5061728394"]),
        (["plan", "--kind", "e"], ["plain,embedded", "plain,edge"]),
        (["plan", "--format", "m"], ["plain,markdown"]),
        (["plan", "--allow"], ["plain,--allow-removals", "plain,--allow-empty"]),
        (["plan", "man"], ["file,man"]),
        (["plan", "--out", ""], ["file,"]),
        (["pl"], ["plain,plan"]),
        (["completion", ""], ["plain,bash", "plain,zsh", "plain,fish"]),
        (["nonsense", ""], [f"plain,{name}" for name in COMMANDS]),
        (["--color", "a"], ["plain,auto", "plain,always"]),
    ],
    ids=str,
)
def test_what_is_offered(words: list[str], answers: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = words[-1].partition("=")[0] if words[-2:-1] in (["--target"], ["--exclude"]) and "=" in words[-1] else ""
    expected = [f"plain,{kind}={name}" for name in answers] if kind else answers
    assert sorted(offered(*words, monkeypatch=monkeypatch)) == sorted(expected)


def test_names_are_offered_as_they_are_but_none_that_hides_characters(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered("plan", "--target", "device=", monkeypatch=monkeypatch) == [
        f"plain,device={HOSTILE}",
        "plain,device=a:b",
        "plain,device=leeds-pump-1",
        "plain,device=york-pump-1",
    ]


@pytest.mark.parametrize(
    "broken", ["groups: {a: {}}\n}{", "groups: {a: {}, b: *nowhere", "groups: &x {a: {}, b: *x}\n"]
)
def test_a_manifest_with_a_mistake_gives_the_names_before_it(
    broken: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("m.yaml").write_text(broken)
    assert "plain,a" in offered("set", "f=v", "m.yaml", "--group", "", monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "groups: []\npins: {}\ndevices: x\n", "groups: {1: 2}", "\0", "extends: m.yaml"]
)
def test_whatever_a_file_holds_nothing_is_said(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("m.yaml").write_text(text)
    for option in ("--group", "--device", "--application"):
        assert set(offered("set", "f=v", "m.yaml", option, "", monkeypatch=monkeypatch)) <= {"plain,1"}


def test_of_a_large_manifest_the_beginning_is_read(tmp_path: Path) -> None:
    devices = "".join(f"  pump-{number:06}: {{telemetry: v1}}\n" for number in range(100_000))
    (tmp_path / "m.yaml").write_text(f"groups: {{leeds: {{}}}}\ndevices:\n{devices}groups2: {{}}\n")
    names = names_in([str(tmp_path / "m.yaml")])
    assert list(names.groups) == ["leeds"]
    assert 1_000 < len(names.devices) < MOST_EVENTS


# In the shells themselves


SHOW, CLEAR = "\x0f", "\x15"

LINES = {
    "reconciler pla": "reconciler plan ",
    "reconciler plan --target fl": "reconciler plan --target flow=",
    "reconciler plan --target flow=tele": "reconciler plan --target flow=telemetry ",
    "reconciler plan --target=device=yo": "reconciler plan --target=device=york-pump-1 ",
    "reconciler plan --target device=a:": "reconciler plan --target device=a:b ",
    "reconciler set telemetry=v2 --group n": r"reconciler set telemetry=v2 --group north\ west ",
    "reconciler plan other.yaml --target group=s": "reconciler plan other.yaml --target group=southern ",
    "reconciler plan --application pl": "reconciler plan --application plant ",
    "reconciler plan oth": "reconciler plan other.yaml ",
}


class Prompt:
    """An interactive shell on a terminal of its own."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read_until(self, text: str) -> None:
        end = time.monotonic() + LIMIT_S
        while text not in self.shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, self.shown
            self.shown += os.read(self._master, 65_536).decode("utf-8", "replace")


@contextmanager
def prompt(*argv: str, **env: str) -> Iterator[Prompt]:
    master, slave = pty.openpty()
    process = processes.start(
        argv,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "400", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Prompt(master)
    finally:
        process.kill()
        process.wait(LIMIT_S)
        os.close(master)


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def completed(shell: str, setup: str, *typed: str) -> list[str]:
    """The command lines after TAB, as the shell has them, told by a key that is bound to that."""
    argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    lines = []
    with prompt(*argv, PS1="> ") as session:
        session.type(f"{setup}; echo re''ady\n")
        session.read_until("ready\r\n")
        for line in typed:
            session.shown = ""
            session.type(f"{line}\t{SHOW}")
            session.read_until("<end>")
            lines.append(session.shown.rpartition("<line>")[2].partition("<end>")[0])
            session.type(CLEAR)
    return lines


BASH = (
    "source <(reconciler completion bash); "
    "show() { printf '<li''ne>%s<e''nd>' \"$READLINE_LINE\"; }; bind -x '\"\\C-o\": show'"
)
ZSH = (
    "autoload -U compinit; compinit -D -u; source <(reconciler completion zsh); "
    "show() { printf '<li''ne>%s<e''nd>' \"$BUFFER\" }; zle -N show; bindkey '^O' show"
)


@needs("bash")
def test_bash(folder: Path) -> None:
    assert completed("bash", BASH, *LINES) == [*LINES.values()]


@needs("zsh")
def test_zsh(folder: Path) -> None:
    assert completed("zsh", ZSH, *LINES) == [*LINES.values()]


@needs("fish")
def test_fish(folder: Path) -> None:
    ask = "; ".join(f"complete -C {fish_quoted(typed)}; echo ==" for typed in LINES)
    script = f"reconciler completion fish | source; {ask}"
    done = processes.run(["fish", "--no-config", "-c", script], env={**os.environ, "HOME": str(folder)}, check=True)
    offers = [[one.partition("\t")[0] for one in part.split("\n") if one] for part in done.stdout.split("==\n")[:-1]]
    words = [line.replace("\\ ", "\0").rstrip(" ").rpartition(" ")[2].replace("\0", " ") for line in LINES.values()]
    assert offers == [[word] for word in words]


def fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def told_as_words(shell: str, line: str) -> list[str]:
    """What a shell makes of a command line."""
    options = {"bash": ["--norc"], "zsh": ["-f"]}[shell]
    return processes.run([shell, *options, "-c", f"printf '%s\\n' {line}"], check=True).stdout.splitlines()


@needs("bash")
def test_a_name_that_is_a_program_stays_text_in_bash(folder: Path) -> None:
    between_quotes = "reconciler plan --target 'device=$("
    quoted, line = completed("bash", BASH, between_quotes, r"reconciler plan --target device=\$")
    assert quoted == between_quotes  # where it could break out, it is not offered
    assert told_as_words("bash", line)[-1] == f"device={HOSTILE}"
    assert not Path("pwned").exists()


@needs("zsh")
def test_a_name_that_is_a_program_stays_text_in_zsh(folder: Path) -> None:
    (line,) = completed("zsh", ZSH, r"reconciler plan --target device=\$")
    assert told_as_words("zsh", line)[-1] == f"device={HOSTILE}"
    assert not Path("pwned").exists()
