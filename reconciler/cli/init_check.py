"""`reconciler init --check`: prints whether a repository is set up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from reconciler.ci.provider import Forge, Gone, Unsettled
from reconciler.ci.providers import adapter
from reconciler.cli.connect import connect
from reconciler.cli.console import Console
from reconciler.cli.signals import run_async
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model.rules import Rules
from reconciler.operations.applications import load
from reconciler.operations.init.check import Finding, of_branch, of_files, of_settings, of_token, why_of
from reconciler.operations.init.installing import FOLDER
from reconciler.operations.init.repository import Owned
from reconciler.render.inert import inert

T = TypeVar("T")
_PUBLIC = {"GITHUB_API_URL": "https://api.github.com"}
_WORDS = {True: "ok            ", False: "wrong         ", None: "not verified  "}


def check(
    console: Console,
    root: Path,
    forge: str,
    branch: str,
    owned: Mapping[str, Owned],
    *,
    unknown: ReconcilerError | None = None,
) -> ExitCode:
    """Look at files, tokens and the branch; an error if something is known to be wrong.

    `unknown`: why it is not known what the pipeline should install.
    """
    tokens, applications = _tokens(console, root)
    kept = of_settings(lambda: _ask(forge, lambda one: one.settings(applications)))
    protected = of_branch(branch, lambda name: _ask(forge, lambda one: one.protected(name)))
    installed = [Finding(f"{FOLDER}/", right=None, why=why_of(unknown))] if unknown else []
    found = [*of_files(root, owned), *installed, *tokens, *kept, protected]
    console.write("\n".join(inert(_line(one)) for one in found))
    return ExitCode.ERROR if any(one.right is False for one in found) else ExitCode.DONE


def _line(found: Finding) -> str:
    return f"{_WORDS[found.right]}{found.what}" + (f": {found.why}" if found.why else "")


def _tokens(console: Console, root: Path) -> tuple[list[Finding], list[str]]:
    """What the token of each application may do, and the ids of the applications."""
    try:
        declared = load(root / "manifests")
    except ReconcilerError as error:
        return [Finding("manifests", right=False, why=why_of(error))], []
    found = [one for rules in declared for one in _token(console, rules)]
    return found, [*dict.fromkeys(rules.application.id for rules in declared)]


def _token(console: Console, rules: Rules) -> list[Finding]:
    what = f"token of {rules.application.id}"
    try:
        gateway = connect(console, [rules.application.id], parallelism=4)
    except ReconcilerError as error:
        return [Finding(what, right=False, why=why_of(error))]
    return [Finding(what, right=True), *run_async(of_token(rules, gateway))]


def _ask(name: str, question: Callable[[Forge], T]) -> T:
    try:
        return question(adapter(name, {**_PUBLIC, **os.environ}, lambda _: None).forge())
    except (Gone, Unsettled) as error:
        raise ReconcilerError(f"the forge does not tell: {error}") from None
