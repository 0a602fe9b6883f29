"""A fork of the warm server is the process that the installed command would have been."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from tests.support import processes, warm

PROBE = """
import gc, json, os, signal, sys, time

def main():
    words = sys.argv[1:]
    if words[:1] == ["end"]:
        os._exit(int(words[1]))
    if words[:1] == ["die"]:
        os.kill(os.getpid(), int(words[1]))
    if words[:1] == ["again"]:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "reconciler", "end", "7"])
    if words[:1] == ["raise"]:
        raise LookupError("here")
    if words[:1] == ["wait"]:
        try:
            print("waiting", flush=True)
            time.sleep(3600)
        except KeyboardInterrupt:
            os._exit(130)
    os.umask(umask := os.umask(0))
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = "gone"
    streams = (sys.stdin, sys.stdout, sys.stderr)
    seen = {
        "words": [os.fsencode(word).hex() for word in words],
        "name": os.path.basename(sys.argv[0]),
        "environment": sorted((name.hex(), value.hex()) for name, value in os.environb.items()),
        "folder": folder,
        "umask": umask,
        "files": os.listdir("/proc/self/fd"),
        "times": [time.tzname, time.timezone],
        "signals": [repr(signal.getsignal(number)) for number in (1, 2, 13, 15)],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "encoding": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
        "standard": [sys.__stdin__ is sys.stdin, sys.__stdout__ is sys.stdout, sys.__stderr__ is sys.stderr],
        "streams": [
            [one.name, one.mode, one.encoding, one.errors, one.newlines, one.line_buffering, one.write_through]
            + [one.isatty(), one.fileno(), one.seekable(), type(one.buffer).__name__]
            for one in streams
        ],
        "given": "" if sys.stdin.isatty() else sys.stdin.read(),
    }
    print(json.dumps(seen))
    print("to stderr", file=sys.stderr)
    sys.stdout.flush()
    os._exit(0)

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`reconciler` forked from a server whose `reconciler` is the probe; `fresh/reconciler` is a fresh process."""
    folder = tmp_path_factory.mktemp("warm")
    for package, name in (("lib/reconciler", "__main__.py"), ("fresh", "reconciler")):
        (folder / package).mkdir(parents=True)
        (folder / package / name).write_text(f"#!{sys.executable}\n{PROBE}")
    (folder / "lib/reconciler/__init__.py").touch()
    (folder / "fresh/reconciler").chmod(0o755)
    with warm.serving(folder, PYTHONPATH=str(folder / "lib")):
        yield folder


def asked(program: Path, *words: str | bytes, by: str = "", **options: Any) -> tuple[Any, str]:
    """What the probe sees and what it says on stderr."""
    shell = ["sh", "-c", f'{by}\nexec "$@"', "sh"] if by else []
    done = processes.run([*shell, program, *words], **{"input": "given\r\n", **options})  # type: ignore[list-item]
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LANG": "C.UTF-8", "TZ": "Asia/Tokyo", "COLUMNS": "40", "NO_COLOR": "1", "ODD": "\udcff\n"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "SSL_CERT_FILE": "/nowhere"},
    ],
)
def test_it_is_the_same_as_a_fresh_process(programs: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("LC_", "LANG", "TZ", "PYTHON"))}
    words: list[str | bytes] = ["", "a b", "--äöü", b"\xff\n"]
    for by in ("umask 027", f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir ../gone"):
        options: dict[str, Any] = {"by": by, "cwd": tmp_path, "env": {**kept, **variables}}
        assert asked(programs / "reconciler", *words, **options) == asked(
            programs / "fresh/reconciler", *words, **options
        )


def test_it_is_on_the_terminal_that_its_client_is_on(programs: Path) -> None:
    def shown(program: Path) -> bytes:
        master, slave = pty.openpty()
        with processes.start([program, "word"], stdin=slave, stdout=slave, stderr=slave) as process:
            os.close(slave)
            assert process.wait(50) == 0
        text = os.read(master, 65_536)
        os.close(master)
        return text

    text = shown(programs / "reconciler")
    assert text == shown(programs / "fresh/reconciler")
    assert b"\r\nto stderr" in text


@pytest.mark.parametrize("words", ["end 0", "end 3", "end 255", "die 9", "die 15", "die 13", "raise"])
def test_it_ends_alike(programs: Path, words: str) -> None:
    mine, fresh = (processes.run([programs / name, *words.split()]) for name in ("reconciler", "fresh/reconciler"))
    assert (mine.returncode, mine.stdout) == (fresh.returncode, fresh.stdout)
    assert ("LookupError: here" in mine.stderr) == ("LookupError: here" in fresh.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGHUP, -1)])
def test_signals_reach_it(programs: Path, number: signal.Signals, code: int) -> None:
    with processes.start([programs / "reconciler", "wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.wait(50) == code


def test_it_ends_with_its_client(programs: Path) -> None:
    with processes.start([programs / "reconciler", "wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.kill()
        assert process.stdout.read() == ""  # only once nobody has the other end any more


VERSION = f"reconciler {__version__}\n"


def test_what_may_differ_is_left_to_the_real_command(programs: Path, tmp_path: Path) -> None:
    mine, python = programs / "reconciler", programs / "python"
    usual = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str | Path, **options: Any) -> str:
        return processes.run(command, check=True, **{"cwd": tmp_path, "env": usual, **options}).stdout

    assert run(mine, "--version") != VERSION  # the probe
    assert run(python, "-P", "-m", "reconciler", "--version") != VERSION
    assert run(python, "-m", "reconciler", "--version") == VERSION
    assert run(python, "-c", "import os, sys; print(os.path.dirname(sys.executable))") == f"{warm.INSTALLED}\n"
    assert run(mine, "--version", env={**usual, "PYTHONUTF8": "1"}) == VERSION
    assert run("sh", "-c", "trap '' INT; exec \"$@\"", "sh", mine, "--version") == VERSION
    assert run("sh", "-c", 'exec "$@" 5< /dev/null', "sh", mine, "--version") == VERSION
    assert run("sh", "-c", 'exec "$@" < /dev/null 2>&-', "sh", mine, "--version") == VERSION


def test_what_it_starts_itself_is_warm_too(programs: Path) -> None:
    """The jobs of pipelines start the command with the Python that they run on."""
    assert processes.run([programs / "reconciler", "again"]).returncode == 7


def test_the_folder_has_the_command(tmp_path: Path) -> None:
    words = ["validate", str(tmp_path / "none.yaml")]
    mine, real = (processes.run([folder / "reconciler", *words]) for folder in (warm.folder(), warm.INSTALLED))
    assert warm.folder() != warm.INSTALLED
    assert (mine.returncode, mine.stdout, mine.stderr) == (real.returncode, real.stdout, real.stderr)
    assert "none.yaml" in mine.stderr


def test_without_its_server_it_fails(tmp_path: Path) -> None:
    with warm.serving(tmp_path):
        pass
    done = processes.run([tmp_path / "reconciler", "--version"], env={"PATH": os.environ["PATH"]})
    assert done.returncode == 1
    assert "ConnectionRefusedError" in done.stderr
