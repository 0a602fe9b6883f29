"""An earlier revision of the manifests: what it managed, and the present one does not, leaves management."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike

from reconciler.errors import ReconcilerError, UsageError
from reconciler.manifest.comparing.symbolic import gone
from reconciler.manifest.files import NothingThere
from reconciler.manifest.git import revision as git_revision
from reconciler.manifest.git.files import GitFiles
from reconciler.manifest.load import Loaded
from reconciler.manifest.load import load as load_rules
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.model.world import Earlier
from reconciler.operations.applications import DEFAULT_PATHS

_NONE = "its manifests have mistakes, and nothing of it could be compared"


class NothingEarlier(UsageError):
    """The revision has no manifests there."""


def earlier(
    revision: str,
    paths: Iterable[str | PathLike[str]],
    present: Sequence[Rules],
    *,
    application: str | None = None,
    kind: str | None = None,
) -> Earlier:
    """Read an earlier revision, leniently: whatever is wrong in its manifests is a warning, the rest is compared.

    Args:
        revision: a git revision, or `REV:PATH` where its manifests are elsewhere.
        paths: the paths of the present manifests.
        present: the present rules.
        application: the application that the present rules were picked by, if they were: no other is said to be gone.
        kind: likewise their kind.

    Raises:
        NothingEarlier: the revision has no manifests there, or none has an application.
        UsageError: there is no such revision, or git cannot read it.
    """
    where = [str(path) for path in paths] or list(DEFAULT_PATHS)
    name, own_path = git_revision.with_path(revision)
    files = GitFiles(name)
    if own_path is not None:
        where = [files.from_root(own_path)]
    loaded = _loaded(name, where, files)
    ids = {one.application.id for one in present}
    asked = [
        one for one in loaded.rules if (application is None or one.application.id in ids) and kind in (None, one.kind)
    ]
    return Earlier(name, loaded.rules, gone(asked, present, revision=name), _unread(name, loaded))


def all_gone(revision: str, paths: Iterable[str | PathLike[str]]) -> tuple[Warning, ...]:
    """What an earlier revision managed, where the present manifests cannot be loaded, or are all gone."""
    try:
        return earlier(revision, paths, ()).gone
    except ReconcilerError:
        return ()


def _loaded(name: str, where: Sequence[str], files: GitFiles) -> Loaded:
    """What the revision has at the paths; a path that it lacks is allowed as long as it has another."""
    there = [path for path in where if not _lacks(path, files)]
    if not there:
        problem = next(one for path in where for one in files.expand(path)[1])
        hint = f"if they were elsewhere then, write --against {name}:PATH; if there were none, leave --against out"
        raise NothingEarlier([problem._replace(message=f"{problem.message}: {name} has no manifests here", hint=hint)])
    loaded = load_rules(there, files)
    if not loaded.rules and not loaded.problems:
        hint = "give a revision whose manifests have one, or leave --against out"
        raise NothingEarlier(f"no document in {name} has an application", hint=hint)
    return loaded


def _lacks(path: str, files: GitFiles) -> bool:
    return any(isinstance(one, NothingThere) for one in files.expand(path)[1])


def _unread(name: str, loaded: Loaded) -> tuple[Warning, ...]:
    if not loaded.problems:
        return ()
    if not loaded.rules:
        return (Warning(f"not verified: what {name} managed: {loaded.problems[0]}", hint=_NONE),)
    message = f"not verified: a part of what {name} managed: {loaded.problems[0]}"
    return (Warning(message, hint="its manifests have mistakes; the rest of it was compared"),)
