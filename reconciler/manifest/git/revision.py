"""Which commit a name means. A name that means two is an error: git itself takes one of them and warns."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from reconciler.errors import UsageError
from reconciler.manifest.git.command import GitFailed, Incomplete, git, run

_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_FULL_ID = re.compile("[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_SHORT_ID = re.compile("[0-9a-fA-F]{4,63}")
_OPERATOR = re.compile(r"[\^~:]|@\{")  # none of these may be in the name of a branch or a tag
_HEADS = re.compile("@|HEAD|[A-Z]+(?:_[A-Z]+)*_HEAD")
_REFS = ("refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")  # git's order
_RANGE = re.compile(r"(?P<before>|[^:]*[^:./])(?P<dots>\.{2,3})(?P<after>|[^:./][^:]*)")
_WITH_PATH = re.compile(r"(?P<revision>(?:[^:{]|\{[^}]*\})+):(?P<path>.*)", re.DOTALL)


class NoRevision(UsageError):
    """Git has no such commit."""


def commit_of(name: str) -> str:
    """The id of the commit that a name means.

    Raises:
        NoRevision: there is none.
        GitFailed: there is no repository, or git cannot read it.
        UsageError: the name means several commits.
    """
    if name.startswith(("-", "^", ":")) or "\0" in name:
        raise NoRevision(f"{name!r} is not a revision", hint="a revision starts with a branch, a tag or a commit's id")
    found = _look_up(name)
    if found is None:
        raise _missing(name)
    commit, ambiguous = found
    if ambiguous and not is_full_id(name):
        _check_unique(name)
    return commit


def is_full_id(name: str) -> bool:
    """Whether a name is the full id of an object. It means that object, even if something else is named so."""
    return _FULL_ID.fullmatch(name) is not None


def is_only_revision(name: str) -> bool:
    """Whether a name is written as a revision, so that it is never taken for a folder that git does not know."""
    return bool(is_full_id(name) or _HEADS.fullmatch(name) or _OPERATOR.search(name))


def with_path(name: str) -> tuple[str, str | None]:
    """`REV:PATH` as revision and path, anything else as a revision alone."""
    found = _WITH_PATH.fullmatch(name)
    return (found["revision"], found["path"]) if found else (name, None)


def ends_of(name: str) -> tuple[str, str] | None:
    """The two revisions of `A..B`, or of `A...B` (what B did since it left A); None if it is not a range.

    Raises:
        UsageError: the two have no commit in common, or several.
    """
    found = _RANGE.fullmatch(name)
    if not found or not (found["before"] or found["after"]):
        return None
    before, after = found["before"] or "HEAD", found["after"] or "HEAD"
    return (_fork_point(before, after) if found["dots"] == "..." else before, after)


def is_shallow() -> bool:
    """Whether this clone lacks a part of the history."""
    return git("rev-parse", "--is-shallow-repository").strip() == b"true"


def _look_up(name: str) -> tuple[str, bool] | None:
    """The commit, and whether git found the name ambiguous."""
    try:
        done = run("rev-parse", "--verify", f"{name}^{{commit}}")
    except Incomplete:
        return None
    except GitFailed as error:
        if "is ambiguous" in error.said:
            hint = "give more digits of the commit's id"
            raise UsageError(f"{name} is the beginning of several commits' ids", hint=hint) from None
        if "Needed a single revision" in error.said:
            return None
        raise
    commit = done.stdout.decode("ascii", "replace").strip()
    return (commit, b"is ambiguous" in done.stderr) if _ID.fullmatch(commit) else None


def _check_unique(name: str) -> None:
    """Refuse a name that is, for example, a branch's and a tag's, unless both mean the same commit."""
    end = _OPERATOR.search(name)
    stem, rest = (name[: end.start()], name[end.start() :]) if end else (name, "")
    meant = {spelled: found[0] for spelled in _spellings(stem) if (found := _look_up(spelled + rest))}
    if len(set(meant.values())) > 1:
        listed = " and ".join(f"{spelled}{rest} ({commit[:12]})" for spelled, commit in meant.items())
        raise UsageError(f"{name} means several revisions: {listed}", hint="write one of these in full")


def _spellings(stem: str) -> Iterator[str]:
    yield from (pattern.format(stem) for pattern in _REFS)
    if _SHORT_ID.fullmatch(stem):
        yield from git("rev-parse", f"--disambiguate={stem}").decode().split()


def _missing(name: str) -> UsageError:
    if not is_shallow():
        remote = f"origin/{name}"
        hint = f"did you mean {remote}?" if _look_up(remote) else "give a commit, branch or tag, or a folder with a /"
        return NoRevision(f"git has no revision {name!r}", hint=hint)
    one = f"git fetch --depth=1 origin {name}" if is_full_id(name) else "git fetch --unshallow"
    hint = f"fetch it: `{one}`; in a pipeline, check out the whole history (fetch-depth: 0, GIT_DEPTH: 0)"
    return NoRevision(f"git has no revision {name!r} in this clone, which is shallow", hint=hint)


def _fork_point(before: str, after: str) -> str:
    name = f"{before}...{after}"
    if is_shallow():  # what is cut off may hold a later common commit than the one that is found
        hint = "fetch the history: `git fetch --unshallow`; in a pipeline fetch-depth: 0, GIT_DEPTH: 0"
        raise UsageError(f"{name} needs the whole history, and this clone is shallow", hint=hint)
    commits = (commit_of(before), commit_of(after))
    try:
        bases = os.fsdecode(git("merge-base", "--all", *commits)).split()
    except GitFailed as error:
        if error.said:
            raise
        bases = []
    if len(bases) != 1:
        how = f"have several common commits: {', '.join(bases)}" if bases else "have no commit in common"
        raise UsageError(f"{name}: {before} and {after} {how}", hint="give the commit to compare with")
    return bases[0]
