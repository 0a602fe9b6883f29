"""How a step speaks to its job: annotations, outputs, the summary, and where it finds things."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from reconciler.render.inert import inert

Problem = Mapping[str, Any]  # {"path", "line", "column", "message", "hint"}, as in every JSON document


def env(name: str) -> str:
    """A variable that the workflow sets; empty where it gives nothing."""
    return os.environ.get(name, "")


def event() -> dict[str, Any]:
    """The payload of the event that started the run."""
    payload: dict[str, Any] = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    return payload


def output(name: str, value: str) -> None:
    """Set an output of the step. The delimiter is random, so no value can end it early."""
    mark = secrets.token_hex(16)
    _append("GITHUB_OUTPUT", f"{name}<<{mark}\n{value}\n{mark}\n")


def summary(markdown: str) -> None:
    """Add to the page that GitHub shows for the run."""
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n\n")


def _append(variable: str, text: str) -> None:
    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(text)


def reconciler(command: str, *options: str, capture: bool) -> subprocess.CompletedProcess[str]:
    """Run a command for the application of this job; what it does not capture goes to the log."""
    picked = ["--application", env("APPLICATION"), "--kind", env("KIND")]
    return subprocess.run(  # noqa: S603 - our own command, arguments as a list
        ["reconciler", command, *picked, *options, "--", env("MANIFESTS")],  # noqa: S607 - put on PATH by setup
        stdout=subprocess.PIPE if capture else None,
        text=True,
        encoding="utf-8",
        check=False,
    )


def commit() -> str:
    """The commit that the manifests are of: the head of a pull request, else what is checked out."""
    pull = event().get("pull_request")
    if pull:
        return str(pull["head"]["sha"])
    return subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S607 - git of the runner


def show(file: Path, *, commit: str = "", max_bytes: int = 65_000) -> str:
    """A saved plan or result as Markdown."""
    shape = ["--format", "markdown", "--max-bytes", str(max_bytes), *(["--commit", commit] if commit else [])]
    command = ["reconciler", "show", *shape, "--", str(file)]
    done = subprocess.run(  # noqa: S603 - our own command, on a file that it wrote
        command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def annotate(level: str, problems: Iterable[Problem]) -> None:
    """One annotation for each problem, on its line of the manifest where it has one; `level` is error or warning."""
    for problem in problems:
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
        place = {"file": problem.get("path"), "line": problem.get("line"), "col": problem.get("column")}
        told = ",".join(f"{key}={_property(str(value))}" for key, value in place.items() if value is not None)
        print(f"::{level}{' ' if told else ''}{told}::{_data(inert(problem['message'] + hint))}")


def say(level: str, message: str) -> None:
    """One annotation without a place; `level` is error, warning or notice."""
    annotate(level, [{"message": message}])


def stop(message: str, code: int = 1) -> NoReturn:
    """End the step with an error."""
    say("error", message)
    sys.exit(code)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(inert(text)).replace(":", "%3A").replace(",", "%2C")
