"""What a pull request changes in the desired state: on the job's summary, and in a file for the comment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import job

BASE = "HEAD^1"  # a pull request is checked out as the merge of its base and its head
_SUMMARY_BYTES, _COMMENT_BYTES = 60_000, 15_000  # the comment has to have room for the plans


def difference(path: str, *, max_bytes: int) -> str:
    """The difference as Markdown. A base that cannot be read is no mistake of the pull request."""
    if Path(BASE).exists():  # to `reconciler diff` it would be a folder, and a pull request could bring one along
        job.stop(f"the repository holds a file named {BASE}, which hides the revision of that name")
    if not _run("git", "ls-tree", "--name-only", BASE, "--", path).stdout:
        return "The base holds no manifests there: everything is new."
    shape = ["--format", "markdown", "--max-bytes", str(max_bytes)]
    done = _run("reconciler", "diff", *shape, "--path", path, "--", BASE)
    return "The manifests of the base could not be read, so there is no diff." if done.returncode else done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a fixed command, arguments as a list
        command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False
    )


def main() -> None:
    """Takes the path of the file to write on the command line."""
    path = job.env("MANIFESTS")
    job.summary(f"### What changes in the desired state\n\n{difference(path, max_bytes=_SUMMARY_BYTES)}")
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(difference(path, max_bytes=_COMMENT_BYTES).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
