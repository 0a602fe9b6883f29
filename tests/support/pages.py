"""Runs a page of docs/ as its reader would: writes its files, types its commands, and compares what it shows.

What a fence is for is said by its language and by a comment on the line above it, which readers do not see:

- `sh`: commands, each of which has to end with 0. `<!-- exit code: 3 -->`: the last of them ends with that, and the
  prose around says so. `<!-- another terminal -->`: the simulator, which is left running.
- `text`, or any with `<!-- output -->`: what the last command shows. A line `...` stands for any number of lines.
- `<!-- file: PATH -->`: a file with that content. `<!-- change: PATH -->` above `diff`: a change of a file.
- `powershell`: what differs on Windows from the block of `sh` above it, word for word translated.

Any other fence is an error: nothing on a page goes without being run. Dates and seconds are compared by their shape,
since some follow from how fast the test runs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import processes, warm

ADDRESS: Final = "http://127.0.0.1:8765"
"""Where the simulator of every page is; the test's own is elsewhere."""
_FENCE: Final = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_ENDED: Final = re.compile(rb"\0(\d+)\0\n")
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC)|\b\d{4}-\d\d-\d\d\b|\b(\d+ min )?\d+ s\b"
)


class PageError(AssertionError):
    """The page says one thing, and its reader sees another."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fence of a page.

    Attributes:
        line: where its fence begins, from 1.
        start: where its text begins in the page.
        around: the prose between the commands before it and those after it.
    """

    line: int
    start: int
    note: str
    kind: str
    text: str
    around: str

    @property
    def is_output(self) -> bool:
        return self.note == "output" or (self.kind == "text" and not self.note)

    @property
    def is_command(self) -> bool:
        return self.kind == "sh"

    @property
    def code(self) -> int:
        """How the last command is to end."""
        match = re.fullmatch(r"exit code: (\d+)", self.note)
        return int(match[1]) if match else 0

    @property
    def commands(self) -> list[str]:
        """One by one: a line, with those that it is continued on."""
        return re.findall(r"\S(?:.*\\\n)*.*(?:\n[ }].*)*", self.text)


def blocks(page: str) -> list[Block]:
    """Every fence of a page."""
    found = list(_FENCE.finditer(page))
    if len(found) * 2 != len(re.findall(r"^```", page, re.MULTILINE)):
        raise PageError("a fence of the page is indented, open, or has two words after it")
    return [
        Block(
            page.count("\n", 0, match.start("kind")) + 1,
            match.start("text"),
            match["note"] or "",
            match["kind"],
            match["text"],
            _around(page, match, found),
        )
        for match in found
    ]


def _around(page: str, this: re.Match[str], found: list[re.Match[str]]) -> str:
    commands = [match for match in found if match["kind"] == "sh"]
    before = max((match.end() for match in commands if match.end() <= this.start()), default=0)
    after = min((match.start() for match in commands if match.start() >= this.end()), default=len(page))
    return _FENCE.sub("", page[before:after])


class Reader:
    """Somebody in an empty folder who does what a page says."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._address = ADDRESS
        self._shown = ""
        self._shell = processes.start(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        stack.callback(_stop, self._shell)

    def follow(self, page: str) -> Iterator[tuple[Block, str]]:
        """Each output that the page shows, with what is seen in its place."""
        commands = ""
        for block in blocks(page):
            if block.is_output:
                yield block, self._shown
            elif block.is_command:
                commands = block.text
                self._run(block)
            elif block.kind == "powershell" and not block.note:
                _expect(block, block.text == powershell(commands), f"not the same as:\n{powershell(commands)}")
            else:
                self._edit(block)

    def _edit(self, block: Block) -> None:
        what, _, name = block.note.partition(": ")
        path = self._folder / name
        if what == "file":
            _expect(block, f"`{name}`" in block.around, f"the prose does not say which file: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif what == "change" and block.kind == "diff":
            text = path.read_text(encoding="utf-8")
            old, new = (_side(block.text, sign) for sign in "-+")
            _expect(block, text.count(old) == 1, f"the change does not fit {name}:\n{text}")
            path.write_text(text.replace(old, new), encoding="utf-8")
        else:
            raise PageError(f"line {block.line}: nothing says what this fence is for")

    def _run(self, block: Block) -> None:
        if block.note == "another terminal":
            self._serve(block)
            return
        _expect(block, not block.note or block.code != 0, f"no such note: {block.note}")
        *others, last = block.commands
        for command, expected in [*((one, 0) for one in others), (last, block.code)]:
            code = self._type(command)
            _expect(block, code == expected, f"{command}: exit code {code}, not {expected}\n{self._shown}")
        if block.code:
            told = " ".join(block.around.split())
            _expect(block, f"exit code {block.code}" in told, f"the prose does not say exit code {block.code}")

    def _type(self, command: str) -> int:
        """A command's exit code; what it showed is kept."""
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None
        assert stdout is not None
        command = command.replace(ADDRESS, self._address)
        stdin.write(f"{{ {command}\n}} </dev/null; printf '\\0%s\\0\\n' $?\n")
        stdin.flush()
        seen = b""
        while not (ended := _ENDED.search(seen)):
            more = os.read(stdout.fileno(), 65_536)
            if not more:
                raise PageError(f"the shell ended at: {command}")
            seen += more
        self._shown = seen[: ended.start()].decode().replace(self._address, ADDRESS)
        return int(ended[1])

    def _serve(self, block: Block) -> None:
        (command,) = block.commands
        port = f" --port {ADDRESS.rpartition(':')[2]}"
        _expect(block, command.startswith("reconciler simulator") and port in command, "not the simulator at its port")
        server = processes.start(
            ["bash", "--noprofile", "--norc", "-c", f"exec {command.replace(port, ' --port 0')}"],
            cwd=self._folder,
            env=_environment(self._folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._stack.callback(_stop, server)
        assert server.stdout is not None
        lines = [server.stdout.readline()]
        while lines[-1] not in ("", "Serving until Ctrl-C.\n"):
            lines.append(server.stdout.readline())
        _expect(block, lines[-1] != "", "".join(lines))
        self._address = lines[0].strip().partition("=")[2]
        self._shown = "".join(lines).replace(self._address, ADDRESS)


def powershell(commands: str) -> str:
    """What does in PowerShell what these commands do; functions are of the page's two, and are defined alike."""
    exports = re.findall(r"^export (.*)$", commands, re.MULTILINE)
    if exports:
        return "".join(
            f'$env:{name} = "{value}"\n' for line in exports for name, value in (one.split("=") for one in line.split())
        )
    return _CONTROL if commands.startswith("control() {") else commands


_CONTROL: Final = """\
function control($command, $data) {
  Invoke-RestMethod -Method Post -ContentType application/json -Body $data "$env:LOSANT_API_URL/_simulator/$command"
}
"""


def differs(shown: str, seen: str) -> bool:
    """Whether a page shows something else than its reader sees."""
    parts = re.split(r"^\.\.\.\n", _TIME.sub("TIME", shown), flags=re.MULTILINE)
    pattern = r"(?:.*\n)*?".join(re.escape(part) for part in parts)
    return re.fullmatch(pattern, _TIME.sub("TIME", seen)) is None


def renewed(page: str, seen: list[tuple[Block, str]]) -> str:
    """The page with what is seen today: as many lines before a `...`, and after it, as there were."""
    for block, text in reversed(seen):
        if differs(block.text, text):
            page = page[: block.start] + _shortened(block, text) + page[block.start + len(block.text) :]
    return page


def _shortened(block: Block, text: str) -> str:
    head, *tail = re.split(r"^\.\.\.\n", block.text, flags=re.MULTILINE)
    if not tail:
        return text
    if len(tail) > 1:
        raise PageError(f"line {block.line}: more than one `...`: write this one by hand\n{text}")
    lines = text.splitlines(keepends=True)
    first, last = head.count("\n"), tail[0].count("\n")
    if first + last >= len(lines):
        return text
    return "".join([*lines[:first], "...\n", *lines[len(lines) - last :]])


def _expect(block: Block, holds: bool, text: str) -> None:
    if not holds:
        raise PageError(f"line {block.line}: {text}")


def _side(diff: str, sign: str) -> str:
    """The text before a change (`-`), or after it (`+`)."""
    return "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in (" ", sign))


def _environment(folder: Path) -> dict[str, str]:
    """A newcomer's: the command on the PATH, nothing of Losant, git with a name."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(warm.folder()), str(warm.INSTALLED), os.environ["PATH"]]),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        **{f"GIT_{who}_{what}": "reader@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
