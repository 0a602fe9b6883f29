"""What a pull request changes in the desired state: on the job's summary, and in a file for the comment."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import job

BASE, HEAD = "HEAD^1", "HEAD"  # a pull request is checked out as the merge of its base and its head
_MOST_BYTES = 60_000


def difference(path: str) -> str:
    """The difference as Markdown. A base that cannot be read is no mistake of the pull request."""
    if not _run("git", "ls-tree", "--name-only", BASE, "--", path).stdout:
        return "The base holds no manifests there: everything is new."
    done = _run("reconciler", "diff", BASE, HEAD, "--path", path)
    if done.returncode:
        return "The manifests of the base could not be read, so there is no diff."
    return fenced(_cut(done.stdout.rstrip("\n")))


def fenced(text: str) -> str:
    """A code block that nothing in the text ends."""
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _cut(text: str) -> str:
    kept, left = [], _MOST_BYTES
    lines = text.split("\n")
    for line in lines:
        left -= len(line.encode()) + 1
        if left < 0:
            break
        kept.append(line)
    missing = len(lines) - len(kept)
    return "\n".join([*kept, *([f"and {missing:,} more lines; run `reconciler diff` for them"] if missing else [])])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a fixed command, arguments as a list
        command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False
    )


def main() -> None:
    """Takes the path of the file to write on the command line."""
    text = difference(job.env("MANIFESTS"))
    job.summary(f"### What changes in the desired state\n\n{text}")
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
