"""A git repository of manifests, for the tests of `reconciler diff`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import processes
from tests.support.cli import run_here

HEAD = "apiVersion: reconciler/v1\napplication: 575ec8687ae143cd83dc4a97\n"
_CONFIGURED = ("user.name=t", "user.email=t@example.com", "commit.gpgsign=false", "protocol.file.allow=always")


def git(*arguments: str) -> str:
    options = [word for setting in _CONFIGURED for word in ("-c", setting)]
    return processes.run(["git", *options, *arguments], check=True).stdout


def commit(message: str) -> None:
    """Commit everything."""
    git("add", "-A")
    git("commit", "-qm", message)


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def make_repository() -> None:
    """Two commits in the working directory: v1, then v2; the work tree is at v3."""
    git("init", "-q", "-b", "main")
    write("base.yaml", "apiVersion: reconciler/v1\ngroups: {all: {select: {all: true}, flows: {f: v1}}}\n")
    write("manifests/deep/a.yaml", HEAD + "extends: ../../base.yaml\ndevices: {pump: {g: v1}}\n")
    commit("one")
    git("tag", "first")
    write("base.yaml", "apiVersion: reconciler/v1\ngroups: {all: {select: {all: true}, flows: {f: v2}}}\n")
    commit("two")
    git("branch", "feature/x")
    write("base.yaml", "apiVersion: reconciler/v1\ngroups: {all: {select: {all: true}, flows: {f: v3}}}\n")


def differences(*arguments: str) -> list[str]:
    """What `diff` finds, one line a difference."""
    ended = run_here("diff", "--format", "json", *arguments)
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["command"], document["error"]) == ("diff", None)
    return [
        f"{one['subject']} {one['flow']} {one['from']} {one['to']} {one['source']}" for one in document["differences"]
    ]
