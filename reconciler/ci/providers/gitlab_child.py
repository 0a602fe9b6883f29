"""The child pipeline: a job for each application, then those that write to the forge.

What comes from manifests is in variables that nothing expands, never in a script. Jobs of the fleet are in the
environment `reconciler-fleet`, those of the forge in `reconciler-forge`: the tokens are variables of these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from reconciler.ci.provider import Row
from reconciler.ci.providers.gitlab import FOLDER, OUTPUT, SOURCE

FLEET, FORGE = "reconciler-fleet", "reconciler-forge"
_PASSED = ("PATH", "APPLICATION", "TIMEOUT", "OFFLINE", "EXPECT_DIGEST", "SCHEDULED_APPLY")
_ROW = {"application": "ID", "kind": "KIND", "name": "NAME", "against": "AGAINST", "reviewed": "REVIEWED"}

Job = dict[str, Any]

_INSTALL = (
    "TOOLS=$(mktemp -d)",
    'bash .reconciler/install.sh "$TOOLS/venv"',
    'export PATH="$TOOLS/venv/bin:$PATH"',
)
# What a commit has there would be read as if a job had left it.
_OURS = (
    f'if [ -n "$(git ls-files -- {FOLDER})" ]; then'
    f' echo "{FOLDER}/ is where the pipeline keeps its files, so remove it from the repository"; exit 1; fi'
)
# The tip when this job's turn comes, so that a late or repeated one never goes back: of what is installed, too.
_TIP = (
    'if [ -n "$CI_COMMIT_BRANCH" ]; then git fetch --quiet origin "refs/heads/$CI_COMMIT_BRANCH";'
    " git checkout --quiet --detach FETCH_HEAD; fi"
)
# Each job has the tokens of all applications; what it starts has its own.
_NARROWED = (
    "for NAME in ${!LOSANT_API_TOKEN_*}; do "
    'if [ "${NAME,,}" != "losant_api_token_${ROW_ID,,}" ]; then unset "$NAME"; fi; done'
)
_APPLICATION = '--application "$ROW_ID" --kind "$ROW_KIND"'
_AT = '"$ROW_ID-$ROW_KIND"'


@dataclass(frozen=True, slots=True)
class Child:
    """What the child is for.

    Attributes:
        environment: the variables of the job that writes it.
        source: what started the parent.
        number: the merge request that is planned, or empty.
        apply: whether to apply.
        plan: review, drift, plan, or empty for none.
        merged: the merge request that the commit came from, or empty.
        require_review: refuse any other plan than the one shown.
        scheduled: whether a schedule started it.
    """

    environment: Mapping[str, str]
    source: str
    number: str
    apply: bool
    plan: str
    merged: str
    require_review: bool
    scheduled: bool

    @property
    def path(self) -> str:
        return self.environment.get("RECONCILER_PATH") or "manifests"


def jobs_in(pipeline: Job) -> int:
    """How many jobs it has; each has an environment."""
    return sum("stage" in one or "extends" in one for name, one in pipeline.items() if name[0] != ".")


def written(pipeline: Job) -> bytes:
    """The file."""
    return yaml.dump(pipeline, Dumper=_Plain, sort_keys=False, width=1000).encode()


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, so that the file can be read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def made_of(child: Child, rows: Sequence[Row]) -> Job:
    """The pipeline of these applications."""
    given = {f"RECONCILER_{name}": child.environment.get(f"RECONCILER_{name}", "") for name in _PASSED}
    given |= {"LOSANT_API_URL": child.environment.get("LOSANT_API_URL", ""), SOURCE: child.source}
    default: Job = {"before_script": [_TIP, _OURS, *_INSTALL]}
    if image := child.environment.get("CI_JOB_IMAGE"):
        default["image"] = image
    if tags := child.environment.get("RECONCILER_RUNNER_TAGS", "").split():
        default["tags"] = tags
    return {
        "stages": ["marked", "apply", "plan", "report"],
        "workflow": {"rules": [{"when": "always"}]},
        "variables": {"GIT_DEPTH": "0", **_variables({name: text for name, text in given.items() if text})},
        "default": default,
        ".marked": _marked(),
        ".apply": _apply(child),
        ".plan": _plan(child),
        **dict(job for row in rows for job in _of_row(child, row)),
        **dict(_last(child, len(rows))),
    }


def _variables(values: Mapping[str, str]) -> Job:
    """Variables in which GitLab expands nothing."""
    return {name: {"value": text, "expand": False} for name, text in values.items()}


def _of_row(child: Child, row: Row) -> Iterator[tuple[str, Job]]:
    """The jobs of an application: what differs from those of others."""
    name = re.sub(r"[^\w .-]", "_", row["name"])
    label = f"{name} {row['kind']} {row['application']}"
    values = _variables({f"ROW_{word}": row[key] for key, word in _ROW.items()})
    queue = {"resource_group": f"reconciler-{row['application']}-{row['kind']}"}
    needs: list[Job] = []
    if child.apply and child.require_review and child.scheduled:
        yield f"marked {label}", {"extends": ".marked", "variables": values}
        needs = [{"job": f"marked {label}"}]
    if child.apply:
        yield f"apply {label}", {"extends": ".apply", **queue, "needs": needs, "variables": values}
        needs = [{"job": f"apply {label}", "artifacts": False}]
    if child.plan:
        alone = queue if child.plan == "drift" else {}  # an apply that is under way would look like drift
        yield f"plan {label}", {"extends": ".plan", **alone, "needs": needs, "variables": values}


def _marked() -> Job:
    return {
        "stage": "marked",
        "rules": [{"when": "on_success"}],
        "environment": {"name": FORGE, "action": "access"},
        "script": [f"reconciler ci marked {_APPLICATION}"],
        "artifacts": {"reports": {"dotenv": f"{FOLDER}/outputs.env"}},
    }


def _apply(child: Child) -> Job:
    result = f"--result {FOLDER}/results/{_AT}/result.json"
    shown = f'--pull-request "{child.merged}" --reviewed "$ROW_REVIEWED" {result}'
    apply = f'reconciler ci apply {_APPLICATION} --against "$ROW_AGAINST" --marked "${{{OUTPUT}SEAL:-}}" {shown}'
    return {
        "stage": "apply",
        "rules": [{"when": "on_success"}],
        "environment": {"name": FLEET},
        "interruptible": False,
        "timeout": "6 hours",
        "script": [
            _NARROWED,
            f'export RECONCILER_REQUIRE_REVIEWED_PLAN="{"true" if child.require_review else ""}"',
            "CODE=0",
            f"{apply} || CODE=$?",
            f"reconciler ci report {shown}",
            'exit "$CODE"',
        ],
        "artifacts": _artifacts(f"{FOLDER}/results/"),
    }


def _plan(child: Child) -> Job:
    shown = '--name="$ROW_NAME" --against "$ROW_AGAINST"' + (" --status" if child.plan == "drift" else "")
    return {
        "stage": "plan",
        "rules": [{"when": "always"}],  # also after an apply that failed
        "environment": {"name": FLEET, "action": "access"},
        "timeout": "1 hour",
        "script": [
            _NARROWED,
            f"mkdir -p {FOLDER}/reports",
            f"reconciler ci plan {_APPLICATION} {shown} --out {FOLDER}/reports/{_AT}",
        ],
        "artifacts": _artifacts(f"{FOLDER}/reports/"),
    }


def _artifacts(folder: str) -> Job:
    quality = f"{FOLDER}/gl-code-quality.json"
    paths = [folder, f"{FOLDER}/summary.md"]
    return {"when": "always", "paths": paths, "reports": {"codequality": quality}}


def _last(child: Child, count: int) -> Iterator[tuple[str, Job]]:
    """The jobs that write to the forge; they run whatever became of the others."""
    place = hashlib.sha256(child.path.encode(errors="replace")).hexdigest()[:16]
    reports = f'--applications {count} --reports "{FOLDER}/reports"'
    if child.plan == "review":
        # The diff is made anew, since only jobs of this pipeline hand over their files without being named.
        diff = f'reconciler ci check --diff "{FOLDER}/reports/reconciler-diff/diff.md"'
        yield (
            "comment",
            _forge(diff, f"reconciler ci comment {reports}", group=f"reconciler-comment-{child.number}-{place}"),
        )
    if child.plan == "drift":
        yield "drift", _forge(f"reconciler ci drift {reports}", group=f"reconciler-drift-{place}")
    if child.apply:
        collected = f'mkdir -p "{FOLDER}/results"'  # where no apply left anything
        yield "mark", _forge(collected, f'reconciler ci mark --results "{FOLDER}/results"')


def _forge(*script: str, group: str = "") -> Job:
    job: Job = {
        "stage": "report",
        "rules": [{"when": "always"}],
        "environment": {"name": FORGE, "action": "access"},
        "script": list(script),
    }
    return {**job, "resource_group": group} if group else job
