"""Compares the desired state of two revisions or two folders, without the API.

A side that looks empty, or smaller than it is, would be shown as rows that come or go. So all that can make it look so
(a clone that is not whole, a submodule, a sparse checkout, a folder that was moved) is an error.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ManifestError, Problem, UsageError
from reconciler.manifest.comparing.rollouts import stale_approvals
from reconciler.manifest.comparing.symbolic import compare, gone
from reconciler.manifest.files import DiskFiles, Files, NothingThere
from reconciler.manifest.git import revision
from reconciler.manifest.git.checkout import not_checked_out, places_of
from reconciler.manifest.git.command import NoRepository
from reconciler.manifest.git.files import GitFiles
from reconciler.model.plan import Gone, Warning
from reconciler.model.rules import Difference, Rules
from reconciler.operations.applications import load_sound
from reconciler.planner.resolution.rule_warnings import skipped_files


class Diff(NamedTuple):
    """The differences, by application and kind.

    `missing`: a side without manifests, if there is one. `approvals`: of the warnings, those of changed targets that
    are approved for waves already. `gone`: applications, kinds and files that only the base has.
    """

    differences: tuple[Difference, ...]
    missing: Problem | None = None
    warnings: tuple[Warning, ...] = ()
    approvals: tuple[Warning, ...] = ()
    gone: tuple[Gone, ...] = ()


class _Side(NamedTuple):
    """One side: its manifests' path, and the files that it is read from."""

    where: str
    files: Files
    nothing: Problem | None
    rules: tuple[Rules, ...] = ()

    def relative(self, shown: str) -> str:
        """A path as shown, from the side's own path, so that those of two sides compare."""
        revision = f"{self.files.revision}:" if isinstance(self.files, GitFiles) else ""
        return posixpath.relpath(shown.removeprefix(revision), Path(self.where).as_posix())


def diff(base: str, head: str | None, *, path: str) -> Diff:
    """Compare two sides, each a git revision or a folder.

    Args:
        base: a folder, a revision, or `REV:PATH`; without `head` also `A..B`, or `A...B` for what B did since it
            left A.
        head: likewise; None for `path` on disk.
        path: the path of the manifests in a revision that has none of its own.

    Raises:
        ManifestError: the problems of both sides, or neither side has manifests, or they are elsewhere on one side.
        UsageError: there is no such revision, the name has two meanings, or git cannot read it.
    """
    base, head = _ends(base, head)
    sides = [_opened(name, path) for name in (base, head)]
    missing = [side.nothing for side in sides if side.nothing]
    if len(missing) == len(sides):
        raise ManifestError(missing)
    in_git = any(isinstance(side.files, GitFiles) for side in sides)
    absent = [not_checked_out(side.where) for side in sides if in_git and isinstance(side.files, DiskFiles)]
    if problems := [one for one in absent if one]:
        raise ManifestError(problems)
    before, after = (side if side.nothing else side._replace(rules=_rules(side)) for side in sides)
    for side, other in ((before, after), (after, before)) if in_git else ():
        _refuse_if_moved(side, {one.application.id for one in other.rules} - {one.application.id for one in side.rules})
    skipped = dict.fromkeys(warning for one in (*before.rules, *after.rules) for warning in skipped_files(one))
    approvals = tuple(sorted(stale_approvals(before.rules, after.rules), key=lambda warning: warning.sort_key))
    lost = gone(before.rules, after.rules, revision=base, sides=(before.relative, after.relative))
    found = compare(before.rules, after.rules)
    return Diff(found, missing[0] if missing else None, (*skipped, *approvals), approvals, lost)


def _ends(base: str, head: str | None) -> tuple[str, str | None]:
    """Both sides, where BASE may be a range."""
    ends = None if _is_written_as_path(base) else revision.ends_of(base)
    if ends is None:
        return base, head
    if os.path.exists(base):  # noqa: PTH110
        raise UsageError(f"{base} is both two git revisions and a folder", hint=f"write ./{base} for the folder")
    if head is not None:
        raise UsageError(f"{base} are two sides already", hint=f"leave out {head}, or give two revisions")
    return ends


def _opened(name: str | None, path: str) -> _Side:
    where, files = (path, DiskFiles()) if name is None else _source(name, path)
    _, problems = files.expand(where)
    return _Side(where, files, next((one for one in problems if isinstance(one, NothingThere)), None))


def _source(name: str, path: str) -> tuple[str, Files]:
    """Where the manifests of a side are: on disk or in a revision, but never in either by chance."""
    exists = os.path.exists(name)  # noqa: PTH110 - that of Path fails for a name that is too long
    if _is_written_as_path(name):
        if not exists:
            raise UsageError(f"there is no folder {name}", hint="give an existing folder, or a git revision")
        return name, DiskFiles()
    of_revision, own_path = revision.with_path(name)
    if own_path is not None and own_path.startswith("/"):
        raise UsageError(f"{name}: a path in a revision does not begin with a /", hint="it counts from the root")
    try:
        files = GitFiles(of_revision)
    except (revision.NoRevision, NoRepository) as error:
        if exists and not revision.is_only_revision(name):
            return name, DiskFiles()
        if exists:
            raise UsageError(f"{error.problems[0].text}; the folder is written ./{name}") from None
        if "/" in name and not revision.is_only_revision(name) and not name.startswith("-"):
            raise UsageError(f"{name} is neither a folder nor a git revision", hint=error.problems[0].hint) from None
        raise
    if exists and not revision.is_full_id(of_revision):
        spelled = name.replace(of_revision, files.commit, 1)
        hint = f"write {spelled} for the revision, ./{name} for the folder"
        raise UsageError(f"{name} is both a git revision and a file or folder", hint=hint)
    return (path if own_path is None else files.from_root(own_path)), files


def _is_written_as_path(name: str) -> bool:
    ends = name.endswith("/") and ":" not in name
    return name in (".", "..") or name.startswith(("./", "../")) or ends or Path(name).is_absolute()


def _rules(side: _Side) -> tuple[Rules, ...]:
    return load_sound([side.where], side.files).rules


def _refuse_if_moved(side: _Side, applications: Collection[str]) -> None:
    """Refuse a side that has the manifests of applications, which it lacks at its path, at another one."""
    commit = side.files.commit if isinstance(side.files, GitFiles) else None
    for application in sorted(applications):
        if places := places_of([application], commit):
            lacks = side.nothing.message if side.nothing else f"{side.where} has nothing of application {application}"
            message = f"{lacks}, but the application is declared in {places[0]}"
            hint = "if it was moved, give each side its own path: `reconciler diff REV:PATH ./PATH`"
            raise ManifestError([Problem(message, side.nothing.path if side.nothing else None, hint=hint)])
