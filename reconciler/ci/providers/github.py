"""GitHub Actions: variables, the event's payload, workflow commands, and the files that a step writes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.ci.provider import Forge, Row, Run, Trigger
from reconciler.errors import Problem, UsageError, told
from reconciler.render.inert import inert

MOST_JOBS = 256  # GitHub's limit per matrix
_TRIGGERS = {
    "pull_request": Trigger.REVIEW,
    "push": Trigger.PUSH,
    "schedule": Trigger.SCHEDULE,
    "merge_group": Trigger.QUEUE,
    "workflow_dispatch": Trigger.HAND,
    "repository_dispatch": Trigger.HAND,
}
"""Events that are handled. Of all others, most run with secrets for whoever may comment, fork or open an issue."""

_JOB = "this step is for a job of GitHub Actions"
_EVENT_HINT = "GITHUB_EVENT_PATH has to be as GitHub sets it"


class GitHub:
    """The `Provider` for GitHub Actions."""

    noun = "pull request"
    filtered = ""
    max_bytes = 64_000  # GitHub accepts 65,536 characters

    def __init__(self, environment: Mapping[str, str], log: Callable[[str], None]) -> None:
        """`log` writes a line to the step's stdout, where GitHub reads workflow commands."""
        self._environment = environment
        self.log = log

    def named(self, number: int | str) -> str:
        return f"pull request #{number}"

    def by_hand(self, command: str) -> str:
        return f"Run workflow, command {command}"

    def run(self) -> Run:
        name, ref = self._env("GITHUB_EVENT_NAME"), self._env("GITHUB_REF")
        if name not in _TRIGGERS:
            why = "secrets would go to whoever can cause it, a fork included"
            raise UsageError(f"runs for the event {name} are refused: {why}", hint=f"trigger on {', '.join(_TRIGGERS)}")
        event = self._event()
        try:
            return self._of(event, name, ref)
        except (AttributeError, KeyError, TypeError):
            raise UsageError("the event is not as GitHub documents it", hint=_EVENT_HINT) from None

    def _of(self, event: Mapping[str, Any], name: str, ref: str) -> Run:
        pull: Mapping[str, Any] = event.get("pull_request") or {}
        repository = self._env("GITHUB_REPOSITORY")
        branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""
        default = branch if _TRIGGERS[name] is Trigger.SCHEDULE else ""  # schedules run for no other
        return Run(
            _TRIGGERS[name],
            url=f"{self._env('GITHUB_SERVER_URL')}/{repository}/actions/runs/{self._env('GITHUB_RUN_ID')}",
            branch=branch,
            default_branch=event.get("repository", {}).get("default_branch", "") or default,
            number=pull.get("number", 0),
            head=pull["head"]["sha"] if pull else "",
            before=str(event.get("before") or "").strip("0") and str(event["before"]),
            base="HEAD^1",  # the checkout of a pull request is the merge of its head into its base
            withheld=self._withheld(pull) if pull else "",
        )

    def _event(self) -> Mapping[str, Any]:
        """What GitHub says of what started the run."""
        file = self._env("GITHUB_EVENT_PATH")
        try:
            event = json.loads(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is not JSON"
            raise UsageError(f"the event cannot be read from {inert(file)}: {why}", hint=_EVENT_HINT) from None
        if not isinstance(event, dict):
            raise UsageError(f"the event in {inert(file)} is not an object", hint=_EVENT_HINT)
        return event

    def _withheld(self, pull: Mapping[str, Any]) -> str:
        head = pull["head"]["repo"] or {}  # null if the fork was deleted
        if head.get("full_name") != self._env("GITHUB_REPOSITORY"):
            return "pull requests from forks get no token"
        if self._env("GITHUB_ACTOR") == "dependabot[bot]":
            return "GitHub treats Dependabot's pull requests like those of forks"
        return ""

    def forge(self) -> Forge:
        from reconciler.ci.providers.github_rest import Repository  # noqa: PLC0415 - most steps make no request

        url = f"{self._env('GITHUB_API_URL')}/repos/{self._env('GITHUB_REPOSITORY')}"
        return Repository(url, self._env("GITHUB_TOKEN"), self.log)

    def annotate(self, level: str, problems: Iterable[Problem]) -> None:
        for problem in told(tuple(problems)):
            place = {"file": problem.path, "line": problem.line, "col": problem.column}
            where = ",".join(f"{key}={_property(str(value))}" for key, value in place.items() if value is not None)
            self.log(f"::{level}{' ' if where else ''}{where}::{_data(inert(problem.text))}")

    def summary(self, markdown: str) -> None:
        self._append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n\n")

    def output(self, name: str, value: str) -> None:
        mark = secrets.token_hex(16)  # random, so that no value can contain it
        self._append("GITHUB_OUTPUT", f"{name}<<{mark}\n{value}\n{mark}\n")

    def start_jobs(self, rows: Sequence[Row], *, require_review: bool) -> None:  # noqa: ARG002
        # A matrix of batches calls a workflow that has a matrix of rows.
        batches = [rows[start : start + MOST_JOBS] for start in range(0, len(rows), MOST_JOBS)]
        if len(batches) > 1:
            self.log(f"{len(rows)} rows, but GitHub makes at most {MOST_JOBS} jobs of a matrix: {len(batches)} batches")
        self.output("batches", json.dumps(batches, ensure_ascii=False, separators=(",", ":")))

    def _append(self, variable: str, text: str) -> None:
        if not (name := self._env(variable)):
            raise UsageError(f"{variable} is not set", hint=_JOB)
        try:
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            why = f"{variable} cannot be written: {inert(name)}: {error.strerror or error}"
            raise UsageError(why, hint=_JOB) from None

    def _env(self, name: str) -> str:
        try:
            return self._environment[name]
        except KeyError:
            raise UsageError(f"{name} is not set", hint=_JOB) from None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(inert(text)).replace(":", "%3A").replace(",", "%2C")
