"""GitLab CI/CD: variables, the Code Quality report, and the files that a job leaves in `reconciler-ci/`.

A job has no outputs that others could branch on, so a run has two pipelines: the first decides and writes the second,
its child, with a job for each application. The child's jobs learn from a variable what started the first one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.ci.provider import Forge, Row, Run, Trigger, as_number
from reconciler.errors import Problem, ReconcilerError, UsageError, told
from reconciler.render.inert import inert

FOLDER = "reconciler-ci"  # in the checkout, since artifacts cannot be elsewhere
SOURCE = "RECONCILER_PIPELINE_SOURCE"  # in a child: what started its parent
FORGE_TOKEN = "RECONCILER_FORGE_TOKEN"  # noqa: S105 - the name of a variable
MARK_TOKEN = "RECONCILER_MARK_TOKEN"  # noqa: S105
MINIMUM_ROLE = "Settings > CI/CD > Variables > Minimum role to use pipeline variables"
OUTPUT = "RECONCILER_OUTPUT_"
CHILD_BYTES = 1024 * 1024  # GitLab's limit for a configuration, unless an administrator changed it
MOST_JOBS = 500  # with an environment in one pipeline: GitLab's limit, unless an administrator changed it
_SPLIT = "keep the manifests in two folders, each with a pipeline of its own (RECONCILER_PATH)"
_TRIGGERS = {
    "merge_request_event": Trigger.REVIEW,
    "push": Trigger.PUSH,
    "schedule": Trigger.SCHEDULE,
    "web": Trigger.HAND,
    "api": Trigger.HAND,
    "trigger": Trigger.HAND,
}
_SEVERITIES = {"error": "critical", "warning": "minor", "notice": "info"}


class GitLab:
    """The `Provider` for GitLab CI/CD."""

    noun = "merge request"
    filtered = ""
    max_bytes = 250_000  # GitLab accepts a million characters

    def __init__(self, environment: Mapping[str, str], log: Callable[[str], None]) -> None:
        """`log` writes a line to the job's log."""
        self._environment = environment
        self.log = log

    def named(self, number: int | str) -> str:
        return f"merge request !{number}"

    def by_hand(self, command: str) -> str:
        refused = f"; where GitLab refuses variables there, change {MINIMUM_ROLE}" if command == "apply" else ""
        return f"Run pipeline, with the variable RECONCILER_COMMAND={command}{refused}"

    def run(self) -> Run:
        trigger = self._trigger()
        url, default = self._env("CI_PIPELINE_URL"), self._env("CI_DEFAULT_BRANCH")
        if trigger not in (Trigger.REVIEW, Trigger.QUEUE):
            before = self._optional("CI_COMMIT_BEFORE_SHA")
            known = before if before.strip("0") else ""
            return Run(trigger, url, self._optional("CI_COMMIT_BRANCH"), default, before=known)
        merged = self._optional("CI_MERGE_REQUEST_TARGET_BRANCH_SHA")  # of merged results alone
        return Run(
            trigger,
            url,
            default_branch=default,
            number=self._number("CI_MERGE_REQUEST_IID"),
            head=self._optional("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or self._env("CI_COMMIT_SHA"),
            base=merged or self._env("CI_MERGE_REQUEST_DIFF_BASE_SHA"),
            withheld=self._withheld(),
        )

    def source(self) -> str:
        """What started the pipeline, or the parent of a child."""
        source = self._env("CI_PIPELINE_SOURCE")
        return self._env(SOURCE) if source == "parent_pipeline" else source

    def _trigger(self) -> Trigger:
        source = self.source()
        if source not in _TRIGGERS:
            why = "it is not known who can cause them, and they would get the tokens"
            raise UsageError(
                f"pipelines of the source {inert(source)} are refused: {why}", hint=f"run on {', '.join(_TRIGGERS)}"
            )
        train = self._optional("CI_MERGE_REQUEST_EVENT_TYPE") == "merge_train"
        return Trigger.QUEUE if train and source == "merge_request_event" else _TRIGGERS[source]

    def _withheld(self) -> str:
        # Both where it runs in the fork, and where a member starts it in the project, whose tokens it would get.
        if self._env("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != self._env("CI_MERGE_REQUEST_PROJECT_ID"):
            return "merge requests from forks get no token"
        return ""

    def forge(self) -> Forge:
        from reconciler.ci.providers.gitlab_rest import Project  # noqa: PLC0415 - most steps make no request

        url = f"{self._env('CI_API_V4_URL')}/projects/{self._env('CI_PROJECT_ID')}"
        return Project(url, self._token(), self.log, mark_token=self._optional(MARK_TOKEN))

    def _token(self) -> str:
        if not (token := self._optional(FORGE_TOKEN)):
            hint = "add a project access token with the scope api as a variable of the environment reconciler-forge"
            raise UsageError(f"{FORGE_TOKEN} is not set", hint=hint)
        return token

    def annotate(self, level: str, problems: Iterable[Problem]) -> None:
        found = told(tuple(problems))
        for problem in found:
            place = f"{inert(problem.place)}: " if problem.place else ""
            self.log(f"{level}: {place}{inert(problem.text)}")
        file = self._file("gl-code-quality.json")
        reported = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        reported += [_entry(level, problem, problem.path) for problem in found if problem.path]
        unique = {one["fingerprint"]: one for one in reported}
        file.write_text(json.dumps(list(unique.values()), indent=1), encoding="utf-8")

    def summary(self, markdown: str) -> None:
        text = markdown.rstrip("\n")
        self.log(text)
        with self._file("summary.md").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n\n")

    def output(self, name: str, value: str) -> None:
        if value.splitlines() not in ([], [value]):
            raise ReconcilerError(f"the output {name} has more than one line, which GitLab cannot pass on")
        with self._file("outputs.env").open("a", encoding="utf-8") as file:
            file.write(f"{OUTPUT}{name.upper().replace('-', '_')}={value}\n")

    def start_jobs(self, rows: Sequence[Row], *, require_review: bool) -> None:
        from reconciler.ci.providers.gitlab_child import Child, jobs_in, made_of, written  # noqa: PLC0415 - one step needs it

        trigger, by_hand = self._trigger(), self._trigger() is Trigger.HAND
        child = Child(
            self._environment,
            source=self.source(),
            number=self._env("CI_MERGE_REQUEST_IID") if trigger is Trigger.REVIEW else "",
            apply=self._told("apply") == "true",
            plan=self._told("plan"),
            merged=self._told("pull-request"),
            require_review=require_review and not by_hand,
            scheduled=trigger is Trigger.SCHEDULE,
        )
        pipeline = made_of(child, rows)
        if (jobs := jobs_in(pipeline)) > (most := self._most_jobs()):
            raise ReconcilerError(
                f"the pipeline of {len(rows):,} applications has {jobs:,} jobs with an environment,"
                f" and GitLab takes {most:,}",
                hint=f"{_SPLIT}, or set RECONCILER_MOST_JOBS to the limit of your own instance",
            )
        text = written(pipeline)
        if len(text) > CHILD_BYTES:
            raise ReconcilerError(
                f"the pipeline of {len(rows)} applications has {len(text):,} bytes, and GitLab reads {CHILD_BYTES:,}",
                hint=_SPLIT,
            )
        self._file("child.yml").write_bytes(text)

    def _most_jobs(self) -> int:
        return self._number("RECONCILER_MOST_JOBS") if self._optional("RECONCILER_MOST_JOBS") else MOST_JOBS

    def _told(self, name: str) -> str:
        """An output of this job, the latest of its name."""
        prefix, file = f"{OUTPUT}{name.upper().replace('-', '_')}=", self._file("outputs.env")
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        found = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
        return found[-1] if found else ""

    def _file(self, name: str) -> Path:
        folder = Path(self._env("CI_PROJECT_DIR")) / FOLDER
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            why = f"{inert(str(folder))} cannot be made: {error.strerror or error}"
            raise UsageError(why, hint="CI_PROJECT_DIR has to be the folder of the checkout") from None
        return folder / name

    def _number(self, name: str) -> int:
        return as_number(name, self._env(name))

    def _optional(self, name: str) -> str:
        return self._environment.get(name, "")

    def _env(self, name: str) -> str:
        if not (value := self._optional(name)):
            raise UsageError(f"{name} is not set", hint="this step is for a job of GitLab CI/CD")
        return value


def _entry(level: str, problem: Problem, path: str) -> dict[str, object]:
    """A problem as the Code Quality report has it."""
    text = inert(problem.text)
    fingerprint = hashlib.sha256(f"{path}\n{problem.line}\n{problem.column}\n{text}".encode(errors="replace"))
    return {
        "description": text,
        "check_name": "reconciler",
        "fingerprint": fingerprint.hexdigest(),
        "severity": _SEVERITIES[level],
        "location": {"path": inert(path), "lines": {"begin": problem.line or 1}},
    }
