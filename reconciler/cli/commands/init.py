"""`reconciler init`: adds what a repository needs for GitOps, without changing existing files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import UsageError
from reconciler.files import TooLarge, read_bounded

MANIFEST = "manifests/fleet.yaml"
WORKFLOW = ".github/workflows/reconcile.yml"
CODEOWNERS = ".github/CODEOWNERS"
_CODEOWNERS_PLACES = (CODEOWNERS, "CODEOWNERS", "docs/CODEOWNERS")  # GitHub uses the first that exists
_MAX_BYTES = 3 * 1024 * 1024  # GitHub reads no larger CODEOWNERS
_NO_ID = "put-the-application-id-here"  # not a valid id, so `validate` reports its place until it is replaced

# Values that are written to files are restricted to patterns without special characters.
_USES = values.matching(
    r"(?a)(?!OWNER/REPO)[\w.-]+/[\w.-]+@[\w./-]+",
    "is not a repository and a commit, such as your-org/reconciler@<40 hex digits>",
)
_BRANCH = values.matching(r"(?a)[\w./-]+", "is not a valid branch name")
_OWNER = values.matching(
    r"(?a)@[\w.-]+(/[\w.-]+)?|[\w.+-]+@[\w.-]+", "is not an owner: write @user, @org/team or an e-mail address"
)


@click.command
@click.argument("folder", default=".", type=click.Path())
@opt.application_id(required=False)
@opt.kind
@click.option("--import", "from_live", is_flag=True, help="Write the live state instead of a skeleton. Needs a token.")
@click.option(
    "--uses",
    type=_USES,
    metavar="OWNER/REPO@REF",
    help="Source of the reusable workflow: a repository with this project, and a commit or tag of it.",
)
@click.option("--no-workflow", is_flag=True, help="Write no GitHub workflow.")
@click.option("--branch", type=_BRANCH, default="main", show_default=True, help="The branch whose merges are applied.")
@click.option("--owner", type=_OWNER, metavar="@ORG/TEAM", help="Reviewers of fleet changes, for CODEOWNERS.")
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
    """Write a manifest, the GitHub workflow and CODEOWNERS into the git repository FOLDER.

    Existing files are not changed, so it is safe to run again. Nothing is committed.
    """
    if from_live and application is None:
        raise UsageError("--import needs an application to read", hint="pass --application ID")
    if uses is None and not no_workflow:
        raise UsageError(
            "the workflow needs the source of the reusable workflow",
            hint="pass --uses OWNER/REPO@REF, or --no-workflow to write no workflow",
        )
    root = Path(folder).resolve()
    if not (root / ".git").exists():
        hint = "pass the top folder, or create a repository with `git init`"
        raise UsageError(f"{folder} is not the top folder of a git repository", hint=hint)
    written = [_manifest(console, root, application, kind, from_live=from_live)]
    if uses and not no_workflow:
        written.append(_write(root, WORKFLOW, _workflow(uses, branch)))
    written.append(_codeowners(root, owner))
    console.write("\n".join([*written, "", *_next_steps(application, branch, workflow=not no_workflow)]))


def _manifest(console: Console, root: Path, application: str | None, kind: str, *, from_live: bool) -> str:
    """Write the skeleton or the live state, unless manifests exist."""
    from reconciler.manifest.files import is_picked

    names = (file.relative_to(root).as_posix() for file in sorted(root.glob("manifests/**/*.y*ml")))
    found = next(filter(is_picked, names), None)
    if found is not None:
        return f"kept   {found}"
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
    # The workflow applies the repository's default branch unless another is given.
    return text.replace('branches: ["main"]', f'branches: ["{branch}"]') + f'      branch: "{branch}"\n'


def _codeowners(root: Path, owner: str | None) -> str:
    text = _template("CODEOWNERS").replace("OWNER", owner or "@your-org/your-team")
    if not owner:  # the example stays a comment: GitHub would reject a file with it
        text = "".join(f"# {line}" if line.startswith("/") else line for line in text.splitlines(keepends=True))
    found = next((place for place in _CODEOWNERS_PLACES if (root / place).exists()), None)
    if found is None:
        return _write(root, CODEOWNERS, text)
    try:
        owners = read_bounded(root / found, _MAX_BYTES).decode("utf-8", errors="replace")
    except (OSError, TooLarge) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{found} cannot be read: {reason or error}", hint="check where it leads to") from None
    if "/manifests/" in owners:
        return f"kept   {found}"
    hint = "\n".join(f"         {line.removeprefix('# ')}" for line in text.splitlines() if "/manifests/" in line)
    return f"kept   {found}; consider adding\n{hint}"


def _write(root: Path, name: str, text: str) -> str:
    """Create a file, unless it exists; refuses paths that leave the repository through a symlink."""
    target = root / name
    if not target.parent.resolve().is_relative_to(root):
        raise UsageError(f"{name} would be written outside the repository, through a symlink")
    if target.exists() or target.is_symlink():
        return f"kept   {name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            try:
                file.write(text.encode())
                file.flush()
            except OSError:
                target.unlink()  # whole or not at all
                raise
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from None
    return f"wrote  {name}"


def _template(name: str) -> str:
    return files("reconciler.cli").joinpath("init_files", name).read_text(encoding="utf-8")


def _next_steps(application: str | None, branch: str, *, workflow: bool) -> list[str]:
    secret = f"LOSANT_API_TOKEN_{application or '<APPLICATION ID>'}"
    steps = ["Declare in manifests/ what each device should run, and check it: reconciler validate"]
    if workflow:
        steps.append(f"Add the application's token to the secrets of the repository: {secret}")
        steps.append(f"Open a pull request: it shows the plan. Merging it to {branch} applies it.")
    else:
        steps.append(f"Set the application's token in the environment as {secret}, and run: reconciler plan")
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
