"""Azure Pipelines with a repository of Azure Repos: variables, logging commands, and the files that a step writes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from reconciler.ci.provider import Forge, Row, Run, Trigger, as_number
from reconciler.errors import Problem, UsageError, told
from reconciler.render.inert import inert

MOST_JOBS = 256  # Azure's limit per stage
_BATCHES = "RECONCILER_BATCHES"  # the batches for which the pipeline has stages
_TRIGGERS = {
    "PullRequest": Trigger.REVIEW,
    "IndividualCI": Trigger.PUSH,
    "BatchedCI": Trigger.PUSH,
    "Schedule": Trigger.SCHEDULE,
    "Manual": Trigger.HAND,
}
"""Reasons that are handled. All others start a run for what happened elsewhere."""
_LEVELS = {"error": "error", "warning": "warning", "notice": "warning"}  # Azure knows no notice
_TOKEN = "LOSANT_API_TOKEN"  # noqa: S105 - the name of a variable


class Azure:
    """The `Provider` for Azure Pipelines."""

    noun = "pull request"
    filtered = "`paths` of the pipeline's trigger, and to the path filter of the build validation if it has one"
    max_bytes = 64_000  # Azure accepts 150,000 characters of a comment; nobody reads as many

    def __init__(self, environment: Mapping[str, str], log: Callable[[str], None]) -> None:
        """`log` writes a line to the step's stdout, where Azure reads logging commands anywhere in a line."""
        self._environment = environment
        self._write = log

    def named(self, number: int | str) -> str:
        return f"pull request !{number}"

    def by_hand(self, command: str) -> str:
        return f"Run pipeline, command {command}"

    def run(self) -> Run:
        reason, ref = self._env("BUILD_REASON"), self._env("BUILD_SOURCEBRANCH")
        if reason not in _TRIGGERS:
            why = "it would run with secrets for what happened elsewhere"
            raise UsageError(
                f"runs for the reason {inert(reason)} are refused: {why}", hint=f"use {', '.join(_TRIGGERS)}"
            )
        self._is_azure_repos()
        review = _TRIGGERS[reason] is Trigger.REVIEW
        return Run(
            _TRIGGERS[reason],
            url=f"{self._collection()}{quote(self._env('SYSTEM_TEAMPROJECT'), safe='')}/_build/results"
            f"?buildId={self._env('BUILD_BUILDID')}",
            branch=ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else "",
            number=self._number("SYSTEM_PULLREQUEST_PULLREQUESTID") if review else 0,
            head=self._env("SYSTEM_PULLREQUEST_SOURCECOMMITID") if review else "",
            base="HEAD^1",  # the checkout of a pull request is the merge of its head into its base
            withheld=self._withheld() if review else "",
        )

    def _is_azure_repos(self) -> None:
        provider = self._env("BUILD_REPOSITORY_PROVIDER")
        if provider != "TfsGit":
            raise UsageError(
                f"the repository is not of Azure Repos but of {inert(provider)}",
                hint="use the pipeline of the forge that has the pull requests",
            )

    def _withheld(self) -> str:
        # Whatever is not plainly a branch of this repository counts as a fork.
        own = self._env("SYSTEM_PULLREQUEST_ISFORK").lower() == "false"
        return "" if own else "pull requests from forks get no token"

    def forge(self) -> Forge:
        from reconciler.ci.providers.azure_rest import Place, Project  # noqa: PLC0415 - most steps make no request

        place = Place(
            self._collection(),
            self._env("SYSTEM_TEAMPROJECT"),
            self._env("BUILD_REPOSITORY_ID"),
            self._number("BUILD_BUILDID"),
            self._number("SYSTEM_DEFINITIONID"),
            self._env("BUILD_SOURCEBRANCH"),
            self._environment.get("RECONCILER_WORK_ITEM_TYPE") or "Task",
        )
        return Project(place, self._env("SYSTEM_ACCESSTOKEN"), self.log)

    def log(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self._write(inert(line))

    def annotate(self, level: str, problems: Iterable[Problem]) -> None:
        for problem in told(tuple(problems)):
            place = {"sourcepath": problem.path, "linenumber": problem.line, "columnnumber": problem.column}
            self._command("task.logissue", problem.text, {"type": _LEVELS[level], **place})

    def summary(self, markdown: str) -> None:
        folder = self._env("AGENT_TEMPDIRECTORY")
        # A file of its own each time: the agent reads it only after the step.
        number, name = tempfile.mkstemp(prefix="reconciler-", suffix=".md", dir=folder)
        os.close(number)
        Path(name).write_text(markdown.rstrip("\n") + "\n", encoding="utf-8")
        self._command("task.uploadsummary", name)

    def output(self, name: str, value: str) -> None:
        # Azure expands `$(NAME)` within the values of variables, secrets included, so none may come from the manifests.
        self._set(name, _no_macro(value))

    def start_jobs(self, rows: Sequence[Row], *, require_review: bool) -> None:  # noqa: ARG002
        """Set an output such as `matrix_0` for each batch that the pipeline has stages for; an empty batch is `{}`.

        A job's variables are those that the steps read as inputs. Azure replaces the one value with a macro by the
        token of the application, if there is one.
        """
        if not (batches := self._environment.get(_BATCHES, "").split()):
            hint = "the pipeline's file is of another version: take over what reconciler init shows"
            raise UsageError(f"{_BATCHES} is not set", hint=hint)
        if len(rows) > (most := len(batches) * MOST_JOBS):
            raise UsageError(
                f"{len(rows)} applications, but this pipeline has stages for {most}, {MOST_JOBS} each",
                hint=f"add another number to {_BATCHES} in the pipeline's file",
            )
        if len(rows) > MOST_JOBS:
            used = -(-len(rows) // MOST_JOBS)
            self.log(f"{len(rows)} rows, but Azure makes at most {MOST_JOBS} jobs of a stage: {used} batches")
        for number, batch in enumerate(batches):
            part = rows[number * MOST_JOBS : (number + 1) * MOST_JOBS]
            legs = {f"{row['kind']}_{row['application']}": _variables(row) for row in part}
            self._set(f"matrix_{batch}", json.dumps(legs))

    def _set(self, name: str, value: str) -> None:
        self._command("task.setvariable", value, {"variable": name.replace("-", "_"), "isOutput": "true"}, whole=True)

    def _command(
        self, command: str, text: str, properties: Mapping[str, object] | None = None, *, whole: bool = False
    ) -> None:
        """Write a logging command. `whole`: the text is a value, and not for people."""
        given = {key: value for key, value in (properties or {}).items() if value is not None}
        where = "".join(f"{key}={_property(str(value))};" for key, value in given.items())
        self._write(f"##vso[{command}{' ' if where else ''}{where}]{_data(text if whole else inert(text))}")

    def _collection(self) -> str:
        return self._env("SYSTEM_COLLECTIONURI").rstrip("/") + "/"

    def _number(self, name: str) -> int:
        return as_number(name, self._env(name))

    def _env(self, name: str) -> str:
        # Azure leaves a macro as it is where there is no such variable.
        if (text := self._environment.get(name, "")) and not text.startswith("$("):
            return text
        raise UsageError(f"{name} is not set", hint="this step is for a job of Azure Pipelines")


def _variables(row: Row) -> dict[str, str]:
    own = {f"RECONCILER_{key.upper()}": _no_macro(value) for key, value in row.items()}
    return {**own, "RECONCILER_TOKEN": f"$({_TOKEN}_{row['application']})"}


def _no_macro(value: str) -> str:
    return value.replace("$(", "$ (")


def _data(text: str) -> str:
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(inert(text)).replace(";", "%3B").replace("]", "%5D")
