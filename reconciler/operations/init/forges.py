"""What differs between the forges that a pipeline is written for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from reconciler.errors import ReconcilerError

_HERE = Path(__file__).parents[2] / "cli" / "init_files"


class ForgeFacts(NamedTuple):
    """A forge: its pipeline's files and their templates, where it looks for CODEOWNERS, and where to click.

    Attributes:
        owners: the places of CODEOWNERS, of which the forge uses the first that exists; none if it knows no such file.
        secrets: where a secret is kept, one line each.
        start: what else it takes until a pull request shows a plan, one line each.
        taken: what to do where its pipeline's file is somebody else's.
    """

    pipeline: Mapping[str, str]
    owners: tuple[str, ...]
    secrets: tuple[str, ...]
    protect: str
    start: tuple[str, ...]
    taken: str


FORGES: Mapping[str, ForgeFacts] = {
    "github": ForgeFacts(
        {
            ".github/workflows/reconcile.yml": "github.yml",
            ".github/workflows/reconcile-jobs.yml": "github-jobs.yml",
            ".github/workflows/reconcile-applications.yml": "github-applications.yml",
        },
        (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"),
        (
            "Add it on GitHub: Settings > Secrets and variables > Actions > New repository secret, named SECRET.",
            "Safer: there one with the first scopes; the one that may write in an environment of BRANCH (docs/ci.md).",
        ),
        "Settings > Rules > Rulesets: require a pull request and a review from code owners",
        (),
        "move it and run init again, or add what docs/ci.md has under GitHub",
    ),
    "gitlab": ForgeFacts(
        {".gitlab-ci.yml": "gitlab.yml"},
        ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"),
        (
            "Add it on GitLab: Settings > CI/CD > Variables, masked, protected, scope reconciler-fleet, as SECRET.",
            "Add one with the first scopes alone under the same name, masked, for the environment reconciler-fleet*.",
            "Add a project token (role Reporter, scope api), masked, for reconciler-forge, as RECONCILER_FORGE_TOKEN.",
            "Add one that may merge to BRANCH, masked, protected, for reconciler-forge, as RECONCILER_MARK_TOKEN.",
            'Turn off there: "Allow merge request pipelines to access protected variables and runners".',
        ),
        "Settings > Repository > Protected branches: nobody pushes, code owners approve",
        ("Add a schedule for BRANCH, such as 17 3 * * *, which looks for drift: Build > Pipeline schedules.",),
        "move it and run init again, or add what docs/ci.md has under GitLab CI",
    ),
    "azure": ForgeFacts(
        {"azure-pipelines.yml": "azure.yml"},
        (),
        (
            "Add it on Azure DevOps: Pipelines > Library > Variable group reconciler-fleet, as a secret named SECRET.",
            "Give that group the checks Branch control (refs/heads/BRANCH) and Exclusive Lock.",
            "Add one with the first scopes alone under the same name to a variable group reconciler-plan.",
            "Make a variable group reconciler-forge with RECONCILER_WORK_ITEM_TYPE, such as Task.",
        ),
        "Project settings > Repositories > Policies: require reviewers by name (docs/ci.md, Reviewers)",
        (
            "Make the pipeline of /azure-pipelines.yml, and permit it the three groups: Pipelines > New pipeline.",
            "Let PROJECT Build Service contribute to pull requests, edit build quality and edit work items.",
            "Make it a required build validation of BRANCH, path /manifests/*: Repos > Branches > Branch policies.",
        ),
        "move it and run init again, or add what docs/ci.md has under Azure Pipelines",
    ),
}


def template(name: str) -> str:
    """A template that comes with the package."""
    return (files("reconciler") / "cli" / "init_files" / name).read_text(encoding="utf-8")


def written_for() -> tuple[str, ...]:
    """The forges whose pipeline can be written."""
    return tuple(
        name for name, facts in FORGES.items() if all((_HERE / one).is_file() for one in facts.pipeline.values())
    )


def chosen_for(root: Path) -> tuple[str, str]:
    """The forge that a repository's remote leads to; GitHub where that cannot be told, and then why it cannot."""
    from reconciler.manifest.git.command import git  # noqa: PLC0415 - only where nobody says which

    try:
        url = git("-C", str(root), "config", "--get", "remote.origin.url").decode("utf-8", "replace").strip()
    except ReconcilerError:
        return "github", "the repository has no remote `origin`"
    host = _host(url)
    if found := forge_at(url):
        return (found, "") if found in written_for() else ("github", f"there is none for {found} yet")
    return "github", f"its remote is at {host}, which says no forge" if host else "its remote `origin` names no host"


def _host(url: str) -> str:
    """The host of a URL; of `git@host:path`, too."""
    scp = re.match(r"(?:[^@/]+@)?([^:/]+):(?!//)", url)
    try:
        return (scp[1] if scp else urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def forge_at(url: str) -> str:
    """The forge at a URL, by its host; empty where that does not tell."""
    host = _host(url)
    if host.endswith(("dev.azure.com", ".visualstudio.com")):
        return "azure"
    return next((one for one in ("gitlab", "github") if one in host.split(".")), "")


def pipeline(forge: str, *, branch: str, api_url: str | None) -> dict[str, str]:
    """The files of a forge's pipeline, for the branch whose merges are applied."""
    texts = {place: template(name) for place, name in FORGES[forge].pipeline.items()}
    if forge != "github":
        return {place: _pointed_at(api_url, re.sub(r"\bmain\b", branch, text)) for place, text in texts.items()}
    caller = next(iter(texts))
    if branch != "main":
        # The workflow applies the repository's default branch unless another is given.
        texts[caller] = texts[caller].replace('branches: ["main"]', f'branches: ["{branch}"]')
        texts[caller] += f'      branch: "{branch}"\n'
    if api_url:
        texts[caller] += f'      api-url: "{api_url}"\n'
    return texts


def _pointed_at(api_url: str | None, text: str) -> str:
    """A pipeline whose jobs use another API than Losant's own."""
    line = f'  LOSANT_API_URL: "{api_url}"\n' if api_url else ""
    return re.sub(r"^variables:\n", lambda match: match[0] + line, text, count=1, flags=re.MULTILINE)
