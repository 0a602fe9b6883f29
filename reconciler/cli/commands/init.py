"""`reconciler init`: what a repository needs for GitOps, without touching what it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli.console import Console
from reconciler.cli.options import object_id

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifests/fleet.yaml"
WORKFLOW = ".github/workflows/reconcile.yml"
CODEOWNERS = ".github/CODEOWNERS"
_CODEOWNERS_PLACES = (CODEOWNERS, "CODEOWNERS", "docs/CODEOWNERS")  # GitHub takes the first that is there
_NO_ID = "put-the-application-id-here"  # no id, so `validate` names its place until somebody does


@click.command
@click.argument("folder", default=".", type=click.Path())
@click.option("--application", metavar="ID", help="Id of the application.")
@click.option(
    "--kind",
    type=click.Choice(["embedded", "edge"]),
    default="embedded",
    show_default=True,
    help="Kind of deployments.",
)
@click.option("--import", "from_live", is_flag=True, help="Write what is live instead of a skeleton. Needs a token.")
@click.option(
    "--uses",
    metavar="OWNER/REPO@REF",
    help="Where the reusable workflow comes from: a repository with this project, and a commit or tag of it.",
)
@click.option("--no-workflow", is_flag=True, help="Write no GitHub workflow.")
@click.option("--branch", default="main", show_default=True, help="The branch whose merges are applied.")
@click.option("--owner", metavar="@ORG/TEAM", help="Who reviews changes of the fleet, for CODEOWNERS.")
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
) -> int:
    """Write a manifest, the GitHub workflow and a CODEOWNERS hint into the git repository FOLDER.

    What exists is left as it is, so it does no harm to run it again. Nothing is committed.
    """
    from reconciler.errors import ExitCode

    _check(application=application, from_live=from_live, uses=uses, no_workflow=no_workflow, branch=branch, owner=owner)
    root = _root(folder)
    written = [_manifest(root, application=application, kind=kind, from_live=from_live)]
    if uses and not no_workflow:
        written.append(_write(root, WORKFLOW, _workflow(uses, branch)))
    written.append(_codeowners(root, owner))
    console.write("\n".join([*written, "", *_next_steps(application, branch, workflow=not no_workflow)]))
    return console.exit(ExitCode.DONE)


def _check(
    *, application: str | None, from_live: bool, uses: str | None, no_workflow: bool, branch: str, owner: str | None
) -> None:
    """Everything that ends up in a file has a shape that can not break out of its place there."""
    from reconciler.errors import UsageError

    if application is not None:
        object_id("--application", application)
    if from_live and application is None:
        raise UsageError("--import needs to know what to read", hint="name it with --application ID")
    if uses is None and not no_workflow:
        raise UsageError(
            "the workflow needs to know where the reusable one is",
            hint="name it with --uses OWNER/REPO@REF, or leave the workflow out with --no-workflow",
        )
    if uses is not None and (not re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", uses, re.ASCII) or "OWNER/REPO" in uses):
        raise UsageError(
            f"--uses {uses!r} names no repository and commit", hint="such as your-org/reconciler@<40 hex digits>"
        )
    if not re.fullmatch(r"[\w./-]+", branch, re.ASCII):
        raise UsageError(f"--branch {branch!r} is no name of one branch")
    if owner is not None and not re.fullmatch(r"@[\w.-]+(/[\w.-]+)?|[\w.+-]+@[\w.-]+", owner, re.ASCII):
        raise UsageError(f"--owner {owner!r} is nobody", hint="write @user, @org/team or a mail address")


def _root(folder: str) -> Path:
    from pathlib import Path

    from reconciler.errors import UsageError

    root = Path(folder)
    if not (root / ".git").exists():
        raise UsageError(
            f"{folder} is not the top folder of a git repository", hint="name it, or make one with `git init`"
        )
    return root.resolve()


def _manifest(root: Path, *, application: str | None, kind: str, from_live: bool) -> str:
    """The skeleton or what is live, unless there are manifests."""
    there = next((file for file in sorted(root.glob("manifests/**/*.y*ml"))), None)
    if there is not None:
        return f"kept   {there.relative_to(root)}"
    if not from_live:
        text = _template("manifest.yaml").replace("APPLICATION", (application or _NO_ID).lower(), 1)
        return _write(root, MANIFEST, text.replace("KIND", kind, 1))
    from reconciler.cli.commands.import_ import command as import_command

    target = _place(root, MANIFEST)
    click.get_current_context().invoke(import_command, application=application, kind=kind, out=str(target))
    return f"wrote  {MANIFEST}"


def _workflow(uses: str, branch: str) -> str:
    repository, _, ref = uses.partition("@")
    text = _template("workflow.yml").replace("OWNER/REPO", repository).replace("@REF", f"@{ref}")
    if branch == "main":
        return text
    # The workflow applies the repository's default branch unless it is told of another.
    return text.replace('branches: ["main"]', f'branches: ["{branch}"]') + f'      branch: "{branch}"\n'


def _codeowners(root: Path, owner: str | None) -> str:
    text = _template("CODEOWNERS")
    if owner:
        text = text.replace("OWNER", owner)
    else:  # without a name it stays a comment: GitHub would call the file broken
        text = "".join(f"# {line}\n" if line.startswith("/") else f"{line}\n" for line in text.splitlines())
        text = text.replace("OWNER", "@your-org/your-team")
    there = next((place for place in _CODEOWNERS_PLACES if (root / place).exists()), None)
    if there is None:
        return _write(root, CODEOWNERS, text)
    if "/manifests/" in (root / there).read_text(encoding="utf-8", errors="replace"):
        return f"kept   {there}"
    hint = "\n".join(f"         {line.removeprefix('# ')}" for line in text.splitlines() if "/manifests/" in line)
    return f"kept   {there}; consider adding\n{hint}"


def _write(root: Path, name: str, text: str) -> str:
    """Create a file, unless there is one."""
    from reconciler.errors import UsageError

    target = _place(root, name)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"kept   {name}"
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from None
    return f"wrote  {name}"


def _place(root: Path, name: str) -> Path:
    """The path of a file in a folder that is there from now on, and that no link leads out of the repository."""
    from reconciler.errors import UsageError

    target = root / name
    if not target.parent.resolve().is_relative_to(root):
        raise UsageError(f"{name} would be written outside of the repository, through a link")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from None
    return target


def _template(name: str) -> str:
    from importlib.resources import files

    return files("reconciler.cli").joinpath("init_files", name).read_text(encoding="utf-8")


def _next_steps(application: str | None, branch: str, *, workflow: bool) -> list[str]:
    secret = f"LOSANT_API_TOKEN_{application or '<APPLICATION ID>'}"
    steps = ["Say in manifests/ what shall run where, and check it: reconciler validate"]
    if workflow:
        steps += [
            f"Add the application's token to the secrets of the repository: {secret}",
            f"Open a pull request: it shows the plan. Merging it to {branch} applies it.",
        ]
    else:
        steps += [f"Put the application's token into the environment as {secret}, and look: reconciler plan"]
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
