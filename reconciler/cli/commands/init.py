"""`reconciler init`: what a repository needs for GitOps, without touching what it has."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console
from reconciler.errors import UsageError

MANIFEST = "manifests/fleet.yaml"
WORKFLOW = ".github/workflows/reconcile.yml"
CODEOWNERS = ".github/CODEOWNERS"
_CODEOWNERS_PLACES = (CODEOWNERS, "CODEOWNERS", "docs/CODEOWNERS")  # GitHub takes the first that is there
_NO_ID = "put-the-application-id-here"  # not a valid id, so `validate` names its place until it is replaced

# What ends up in a file has a shape that cannot break out of its place there.
_USES = opt.matching(
    r"(?a)(?!OWNER/REPO)[\w.-]+/[\w.-]+@[\w./-]+",
    "does not name a repository and a commit, such as your-org/reconciler@<40 hex digits>",
)
_BRANCH = opt.matching(r"(?a)[\w./-]+", "is not the name of one branch")
_OWNER = opt.matching(
    r"(?a)@[\w.-]+(/[\w.-]+)?|[\w.+-]+@[\w.-]+", "is not an owner: write @user, @org/team or an e-mail address"
)


@click.command
@click.argument("folder", default=".", type=click.Path())
@opt.application_id(required=False)
@opt.kind
@click.option("--import", "from_live", is_flag=True, help="Write what is live instead of a skeleton. Needs a token.")
@click.option(
    "--uses",
    type=_USES,
    metavar="OWNER/REPO@REF",
    help="Where the reusable workflow comes from: a repository with this project, and a commit or tag of it.",
)
@click.option("--no-workflow", is_flag=True, help="Write no GitHub workflow.")
@click.option("--branch", type=_BRANCH, default="main", show_default=True, help="The branch whose merges are applied.")
@click.option("--owner", type=_OWNER, metavar="@ORG/TEAM", help="Who reviews changes of the fleet, for CODEOWNERS.")
@click.pass_obj
def command(
    console: Console,
    *,
    folder: str,
    application: str | None,
    kind: str,
    from_live: bool,
    uses: str | None,
    no_workflow: bool,
    branch: str,
    owner: str | None,
) -> None:
    """Write a manifest, the GitHub workflow and a CODEOWNERS hint into the git repository FOLDER.

    What exists is left as it is, so it does no harm to run it again. Nothing is committed.
    """
    if from_live and application is None:
        raise UsageError("--import needs to know what to read", hint="name it with --application ID")
    if uses is None and not no_workflow:
        raise UsageError(
            "the workflow needs to know where the reusable one is",
            hint="name it with --uses OWNER/REPO@REF, or leave the workflow out with --no-workflow",
        )
    root = Path(folder).resolve()
    if not (root / ".git").exists():
        hint = "name it, or make one with `git init`"
        raise UsageError(f"{folder} is not the top folder of a git repository", hint=hint)
    written = [_manifest(console, root, application, kind, from_live=from_live)]
    if uses and not no_workflow:
        written.append(_write(root, WORKFLOW, _workflow(uses, branch)))
    written.append(_codeowners(root, owner))
    console.write("\n".join([*written, "", *_next_steps(application, branch, workflow=not no_workflow)]))


def _manifest(console: Console, root: Path, application: str | None, kind: str, *, from_live: bool) -> str:
    """The skeleton or what is live, unless there are manifests."""
    found = next((file for file in sorted(root.glob("manifests/**/*.y*ml"))), None)
    if found is not None:
        return f"kept   {found.relative_to(root)}"
    if application and from_live:
        from reconciler.cli.commands.import_ import live_manifest

        return _write(root, MANIFEST, live_manifest(console, application, kind))
    text = _template("manifest.yaml").replace("APPLICATION", application or _NO_ID, 1)
    return _write(root, MANIFEST, text.replace("KIND", kind, 1))


def _workflow(uses: str, branch: str) -> str:
    repository, _, ref = uses.partition("@")
    text = _template("workflow.yml").replace("OWNER/REPO", repository).replace("@REF", f"@{ref}")
    if branch == "main":
        return text
    # The workflow applies the repository's default branch unless another is named.
    return text.replace('branches: ["main"]', f'branches: ["{branch}"]') + f'      branch: "{branch}"\n'


def _codeowners(root: Path, owner: str | None) -> str:
    text = _template("CODEOWNERS").replace("OWNER", owner or "@your-org/your-team")
    if not owner:  # the example stays a comment: GitHub would call a file with it broken
        text = "".join(f"# {line}" if line.startswith("/") else line for line in text.splitlines(keepends=True))
    found = next((place for place in _CODEOWNERS_PLACES if (root / place).exists()), None)
    if found is None:
        return _write(root, CODEOWNERS, text)
    if "/manifests/" in (root / found).read_text(encoding="utf-8", errors="replace"):
        return f"kept   {found}"
    hint = "\n".join(f"         {line.removeprefix('# ')}" for line in text.splitlines() if "/manifests/" in line)
    return f"kept   {found}; consider adding\n{hint}"


def _write(root: Path, name: str, text: str) -> str:
    """Create a file, unless there is one; no link leads it out of the repository."""
    target = root / name
    if not target.parent.resolve().is_relative_to(root):
        raise UsageError(f"{name} would be written outside of the repository, through a link")
    if target.exists() or target.is_symlink():
        return f"kept   {name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from None
    return f"wrote  {name}"


def _template(name: str) -> str:
    return files("reconciler.cli").joinpath("init_files", name).read_text(encoding="utf-8")


def _next_steps(application: str | None, branch: str, *, workflow: bool) -> list[str]:
    secret = f"LOSANT_API_TOKEN_{application or '<APPLICATION ID>'}"
    steps = ["Say in manifests/ what shall run where, and check it: reconciler validate"]
    if workflow:
        steps.append(f"Add the application's token to the secrets of the repository: {secret}")
        steps.append(f"Open a pull request: it shows the plan. Merging it to {branch} applies it.")
    else:
        steps.append(f"Put the application's token into the environment as {secret}, and look: reconciler plan")
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
