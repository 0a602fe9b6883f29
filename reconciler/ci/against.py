"""The revision that each application is compared with, to see what leaves management.

On a pull request that is what it is merged into. Otherwise it is the newest commit of the branch whose apply ended, as
its mark tells, so that the next push does not forget a loss that was refused. Without a mark it is the former tip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from reconciler.ci.command import git
from reconciler.ci.provider import Provider, Run, Trigger, say
from reconciler.ci.related import read_from
from reconciler.errors import UsageError
from reconciler.manifest.files import NothingThere
from reconciler.manifest.git.checkout import places_of
from reconciler.manifest.git.files import GitFiles
from reconciler.manifest.git.revision import NoRevision, commit_of, is_shallow
from reconciler.manifest.load import load
from reconciler.model.rules import Rules

_WHOLE = "fetch the history: fetch-depth: 0 on GitHub, GIT_DEPTH: 0 on GitLab, fetchDepth: 0 on Azure"
_COMMITS = 100  # that are asked for a mark, and as many that changed the manifests; each is a request at most


def mark_of(application: str, kind: str) -> str:
    """The name of the commit status of a commit whose apply ended."""
    return f"reconciler/applied: {application} {kind}"


def revisions(provider: Provider, rules: Sequence[Rules], *, path: str) -> list[str]:
    """For each application the full id of the commit to compare with; empty if there is none."""
    run = provider.run()
    if run.trigger is Trigger.REVIEW:
        return [_usable(provider, run.base, rules, path)] * len(rules)
    marks = [mark_of(one.application.id, one.kind) for one in rules]
    newest = _commits()
    # Those that changed the manifests may be further back, where many changed something else.
    commits = list(dict.fromkeys([*newest, *_commits(*read_from(path))]))
    applied = provider.forge().applied(commits, marks)
    if len(applied.keys() & set(marks)) < len(set(marks)) and len(newest) < _COMMITS and is_shallow():
        raise UsageError("which commit was applied last cannot be told, since this clone is shallow", hint=_WHOLE)
    former = "" if applied.keys() >= set(marks) else _former_tip(provider, run)
    return [_usable(provider, applied.get(mark, former), rules, path) for mark in marks]


def _commits(*paths: str) -> list[str]:
    """The newest commits, or those that changed one of the paths."""
    which = ("--", *paths) if paths else ()
    listing = ("rev-list", "--first-parent", f"--max-count={_COMMITS}", "HEAD", *which)
    return git("--literal-pathspecs", *listing).splitlines()


def _former_tip(provider: Provider, run: Run) -> str:
    """The tip before the push; after a forced one, which this clone may not have, the parent. Empty: there is none."""
    if run.before:
        try:
            return commit_of(run.before)
        except NoRevision:
            if is_shallow():
                raise
    if "parent " in git("cat-file", "commit", "HEAD").partition("\n\n")[0]:
        return commit_of("HEAD^1")  # an error where the clone is cut off
    provider.log("This is the first commit, so there is none to compare with.")
    return ""


def _usable(provider: Provider, revision: str, rules: Sequence[Rules], path: str) -> str:
    """The commit's id, if it has manifests there; where it has them elsewhere, that is said.

    Raises:
        UsageError: git cannot tell what the revision is, or this clone does not have it.
    """
    if not revision:
        return ""
    files = GitFiles(revision)
    if not any(isinstance(one, NothingThere) for one in files.expand(path)[1]):
        return files.commit if _tells(files.commit, path) else ""
    if places := places_of([one.application.id for one in rules], files.commit):
        message = f"not verified: whether rows leave management; {revision} has the manifests in {places[0]}"
        say(provider, "warning", message)
    return ""


@cache
def _tells(commit: str, path: str) -> bool:
    """Whether the manifests say anything of an application, if only that they have mistakes; bases alone do not."""
    loaded = load([path], GitFiles(commit))
    return bool(loaded.rules or loaded.problems)
