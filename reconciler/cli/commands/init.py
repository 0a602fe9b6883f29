"""`reconciler init`: adds what a repository needs for GitOps, without changing existing files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options as opt
from reconciler.cli import values
from reconciler.cli.console import Console
from reconciler.errors import ExitCode, UsageError
from reconciler.operations.init.forges import written_for

if TYPE_CHECKING:
    from reconciler.operations.init.origin import Origin
    from reconciler.operations.init.writing import Written

# Values that are written to files are restricted to patterns without special characters.
_BRANCH = values.matching(
    # As `git check-ref-format --branch` has it, without what would need quotes.
    r"(?a)(?!HEAD$|[-/.]|.*(?:\.\.|//|/\.|\.lock/|\.lock$))[\w./-]*[\w-]",
    "is not a valid branch name",
)
_OWNER = values.matching(
    r"(?a)@[\w.-]+(/[\w.-]+)*|[\w.+-]+@[\w.-]+", "is not an owner: write @user, @org/team or an e-mail address"
)
_API_URL = values.matching(r"(?a)[\w.:/~%\[\]-]+", "cannot be written into a pipeline: it has special characters")
_PLACE = "Security > Application API Tokens > Add Application Token"


@click.command
@click.argument("folder", default=".", type=click.Path())
@opt.application_id(required=False)
@opt.kind
@click.option("--import", "from_live", is_flag=True, help="Write the live state instead of a skeleton. Needs a token.")
@click.option(
    "--provider",
    type=click.Choice(written_for()),
    help="Write the pipeline for this forge; by default that of the git remote, else github.",
)
@click.option(
    "--install",
    metavar="SPEC",
    help="What the pipeline installs: git+URL@COMMIT, URL#sha256=HASH or losant-reconciler==VERSION, of which pip is"
    " asked for the hash; by default where this version came from.",
)
@click.option("--no-workflow", is_flag=True, help="Write no pipeline.")
@click.option("--branch", type=_BRANCH, default="main", show_default=True, help="The branch whose merges are applied.")
@click.option("--owner", type=_OWNER, metavar="@ORG/TEAM", help="Reviewers of fleet changes, for CODEOWNERS.")
@click.option("--check", is_flag=True, help="Write nothing; say whether the repository is set up (exit 1 if not).")
@click.pass_obj
def command(
    console: Console,
    *,
    folder: str,
    application: str | None,
    kind: str,
    from_live: bool,
    provider: str | None,
    install: str | None,
    no_workflow: bool,
    branch: str,
    owner: str | None,
    check: bool,
) -> ExitCode:
    """Write a manifest, a whole pipeline and CODEOWNERS into the git repository FOLDER.

    The pipeline needs no other repository, and installs this very version. Existing files are not changed, so it is
    safe to run again: what it wrote earlier and would write otherwise now is shown as a diff, which `git apply` takes.
    Nothing is committed.
    """
    from reconciler.operations.init import repository
    from reconciler.operations.init.forges import chosen_for
    from reconciler.operations.init.writing import put

    if from_live and application is None:
        raise UsageError("--import needs an application to read", hint="pass --application ID")
    if no_workflow and (provider or install):
        raise UsageError("--no-workflow writes no pipeline, so it goes with neither --provider nor --install")
    root = Path(folder).resolve()
    if not (root / ".git").exists():
        hint = "pass the top folder, or create a repository with `git init`"
        raise UsageError(f"{folder} is not the top folder of a git repository", hint=hint)
    forge, why = (provider, "") if provider else chosen_for(root)
    owned, unknown = {}, None
    api_url = _api_url(console)
    if not no_workflow:
        origin, unknown = _origin(install, may_be_unknown=check)
        owned = repository.owned(forge, origin, branch=branch, api_url=api_url)
    schema = repository.schema()
    if check:
        from reconciler.cli.init_check import check as look

        return look(console, root, forge, branch, {repository.SCHEMA: schema, **owned}, unknown=unknown)
    written = [_manifest(console, root, application, kind, from_live=from_live)]
    written.append(put(root, repository.SCHEMA, schema.text, mark=schema.mark))
    written += [put(root, name, one.text, mark=one.mark) for name, one in owned.items()]
    owners = repository.code_owners(root, forge, owner, owned)
    told = [*map(_line, written), *(_hinted(*owners) if owners else ()), *_hinted(*repository.ignored(root))]
    if owner and owners is None:
        told.append(f"left   CODEOWNERS: {forge} knows no such file, so --owner has no effect; require reviewers there")
    if why and not no_workflow:
        told += ["", f"The pipeline is for {forge}, since {why}; --provider names another."]
    steps = _next_steps(application, kind, branch, None if no_workflow else forge, from_live=from_live)
    differ = [one.diff.rstrip("\n") for one in written if one.diff]
    end = [] if no_workflow else ["", *_promise(written, forge, branch)]
    console.write("\n".join([*told, "", *(line for diff in differ for line in (diff, "")), *steps, *end]))
    return ExitCode.DONE


def _origin(install: str | None, *, may_be_unknown: bool) -> tuple[Origin | None, UsageError | None]:
    """What the pipeline installs, or why that is not known."""
    from reconciler.operations.init.origin import given, installed_from

    if install:
        return given(install), None
    try:
        return installed_from(), None
    except UsageError as error:
        if may_be_unknown:
            return None, error
        raise


def _api_url(console: Console) -> str | None:
    """The API's address, if it is not Losant's own and can be written into a pipeline."""
    text = (console.api_url or os.environ.get("LOSANT_API_URL") or "").strip()
    if not text:
        return None
    from reconciler.api.http.address import api_url  # it takes long to load

    api_url(text)  # first, since it does not repeat a password
    return _API_URL(text)


def _manifest(console: Console, root: Path, application: str | None, kind: str, *, from_live: bool) -> Written:
    """Write the skeleton or the live state, unless manifests exist."""
    from reconciler.operations.init.repository import MANIFEST, SCHEMA_LINE, existing_manifest, skeleton
    from reconciler.operations.init.writing import State, Written, put

    if found := existing_manifest(root):
        return Written(found, State.KEPT)
    if application and from_live:
        from reconciler.cli.commands.import_ import live_manifest

        return put(root, MANIFEST, SCHEMA_LINE + live_manifest(console, application, kind))
    return put(root, MANIFEST, skeleton(application, kind))


def _line(written: Written) -> str:
    from reconciler.operations.init.writing import State

    word = "wrote" if written.state is State.WROTE else "kept "
    return f"{word}  {written.name}" + ("; it would be written otherwise now" if written.diff else "")


def _hinted(written: Written, lines: str) -> Iterator[str]:
    """A file to which the user may want to add lines."""
    yield _line(written) + ("; consider adding" if lines else "")
    yield from (f"         {line}" for line in lines.splitlines())


def _next_steps(application: str | None, kind: str, branch: str, forge: str | None, *, from_live: bool) -> list[str]:
    from reconciler.operations.init.forges import FORGES
    from reconciler.operations.init.scopes import to_apply, to_plan

    secret = f"LOSANT_API_TOKEN_{application or '<APPLICATION ID>'}"
    begin = "Declare in manifests/ what each device should run, and check it: reconciler validate"
    if from_live:
        begin = "Commit it all and push it: the manifest says what runs today, so nothing moves."
    steps = [
        begin,
        f"In Losant, make a token of the application ({_PLACE}) with the scopes {', '.join(to_plan(kind))}.",
        f"For an apply it needs besides: {', '.join(to_apply(kind))}.",
    ]
    if forge is None:
        steps.append(f"Set the token in the environment as {secret}, and run: reconciler plan")
    else:
        steps += [text.replace("SECRET", secret).replace("BRANCH", branch) for text in FORGES[forge].secrets]
        steps.append(f"Protect {branch}. {FORGES[forge].protect}.")
        steps += [text.replace("BRANCH", branch) for text in FORGES[forge].start]
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]


def _promise(written: Iterable[Written], forge: str, branch: str) -> list[str]:
    """What comes after the steps, or what has to come before it: a pipeline of somebody else shows no plan."""
    from reconciler.operations.init.forges import FORGES
    from reconciler.operations.init.writing import is_foreign

    found = [one.name for one in written if one.name in FORGES[forge].pipeline and is_foreign(one)]
    if not found:
        return [f"Then open a pull request: it shows the plan. Merging it to {branch} applies it."]
    return [
        f"{name} was there and is not of reconciler init, so no plan is shown yet: {FORGES[forge].taken}."
        for name in found
    ]
