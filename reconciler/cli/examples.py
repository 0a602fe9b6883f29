"""The examples that end each command's help: what a line is for, and the line. A test runs every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ID = "575ec8687ae143cd83dc4a97"
_COMMIT = "0123456789012345678901234567890123456789"

EXAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "validate": {
        "Everything below manifests/": "reconciler validate",
        "One file, for a program": "reconciler validate manifests/production.yaml --format json",
    },
    "plan": {
        "What would change?": "reconciler plan",
        "Save it, to apply exactly this later": "reconciler plan --out plan.json",
        "Only one flow, without one device": "reconciler plan --target flow=telemetry --exclude device=york-pump-0001",
    },
    "show": {
        "A plan that was saved": "reconciler show plan.json",
        "A result, for a comment on a pull request": "reconciler show result.json --format markdown",
    },
    "apply": {
        "What would be sent?": "reconciler apply --dry-run",
        "A saved plan, without asking, until the devices run it": "reconciler apply --plan plan.json --yes --wait",
        "Keep the result": "reconciler apply --yes --result result.json",
    },
    "status": {
        "How is the fleet?": "reconciler status",
        "What happened to one device?": "reconciler status --device york-pump-0001",
        "A page to look at": "reconciler status --format html > status.html",
    },
    "diff": {
        "What does this branch change?": "reconciler diff main",
        "Between two commits": "reconciler diff HEAD~1 HEAD --format markdown",
    },
    "lock": {
        "Lock what the manifests declare": "reconciler lock",
        "A version was published again, and this is meant": "reconciler lock --update telemetry",
    },
    "outdated": {
        "Which versions are not the newest?": "reconciler outdated",
        "For programs": "reconciler outdated --application production --format json",
    },
    "set": {
        "Another version for a group": "reconciler set telemetry=v1.3.0 --group york --application production",
        "Only show the diff": "reconciler set telemetry=v1.3.0 manifests/production.yaml --group york --check",
    },
    "promote": {
        "From staging to production": (
            "reconciler promote --from manifests/staging.yaml --to manifests/production.yaml"
        ),
        "One flow, and only show the diff": (
            "reconciler promote --from manifests/staging.yaml --to manifests/production.yaml --flow telemetry --check"
        ),
    },
    "import": {
        "What runs today, as a manifest": f"reconciler import --application {_ID} --out pumps.yaml",
        "Grouped by one tag": f"reconciler import --application {_ID} --group-by tag:site",
    },
    "export": {
        "By e-mail": f"reconciler export --application {_ID} --device york-pump-0001 --email ops@example.com",
        "To this machine": f"reconciler export --application {_ID} --device york-pump-0001 --listen --out pump.zip",
    },
    "schema": {
        "For an editor": "reconciler schema > manifests/schema.json",
        "Of what commands write with --format json": "reconciler schema --output",
    },
    "applications": {
        "What are the manifests for?": "reconciler applications",
        "For programs": "reconciler applications manifests/production.yaml --format json",
    },
    "init": {
        "A skeleton, without a workflow": f"reconciler init --application {_ID} --no-workflow",
        "What runs today, with the pipeline for GitHub": (
            f"reconciler init --application {_ID} --import --provider github --install git+https://example.com/reconciler@{_COMMIT}"
        ),
    },
    "ci": {
        "Check a pull request": "reconciler ci check --diff diff.md",
        "Plan one application of it": (f"reconciler ci plan --application {_ID} --kind embedded --out report"),
    },
    "completion": {
        "In bash, now": "source <(reconciler completion bash)",
        "In zsh, always, if ~/.zfunc is in its fpath": "reconciler completion zsh > ~/.zfunc/_reconciler",
        "In fish, always": "reconciler completion fish > ~/.config/fish/completions/reconciler.fish",
    },
    "simulator": {
        "The fleet of the demo": "reconciler simulator",
        "A fleet of your own that is kept, an hour each minute": (
            "reconciler simulator --fleet fleet.yaml --db fleet.sqlite --speed 60"
        ),
    },
    "demo": {
        "See it all": "reconciler demo",
        "Keep what it shows": "reconciler demo --color never > demo.txt",
    },
}

_ONE = f"--application {_ID} --kind embedded"

STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "decide": {
        "What may this run do?": "reconciler ci decide --branch main",
        "No plan for a pull request that changes no manifest": "reconciler ci decide --only-related",
    },
    "check": {"Validate, and the diff of a pull request": "reconciler ci check --diff diff.md"},
    "fan-out": {
        "A job for each application": "reconciler ci fan-out",
        "For one alone, by hand": "reconciler ci fan-out --application production",
    },
    "apply": {
        "Apply, and wait for the devices": f"reconciler ci apply {_ONE} --result results/production/result.json",
    },
    "report": {"Tell of an apply on the summary": "reconciler ci report --result results/production/result.json"},
    "mark": {"Mark the commits that were applied": "reconciler ci mark --results results"},
    "marked": {"Was the tip applied before?": f"reconciler ci marked {_ONE} --wait 0"},
    "plan": {
        "For the comment on a pull request": f"reconciler ci plan {_ONE} --out reports/production",
        "At night, with the devices' health": f"reconciler ci plan {_ONE} --status --out nights/production",
    },
    "comment": {
        "Write the comment on a pull request": "reconciler ci comment --reports reports",
        "Where one job was to report": "reconciler ci comment --reports reports --applications 1",
    },
    "drift": {"Open, follow or close the issue": "reconciler ci drift --reports reports --applications 1"},
}
"""Those of the steps of a pipeline, which are commands of `ci`."""


def ending(examples: Mapping[str, str]) -> str:
    """The end of a command's help, for click."""
    lines = [f"  # {what}\n  {line}" for what, line in examples.items()]
    return "\n".join(["\b", "Examples:", *lines])
