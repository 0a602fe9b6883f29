"""What the manifests are read from, and whether a pull request changes any of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from posixpath import dirname, join

from reconciler.ci.command import git
from reconciler.errors import ManifestError
from reconciler.manifest.git.files import GitFiles
from reconciler.manifest.git.revision import commit_of
from reconciler.model.rules import Rules
from reconciler.model.state import Place
from reconciler.model.versions import LOCK_NAME
from reconciler.operations.applications import load, load_sound

PIPELINES = (".github/workflows", ".gitlab-ci.yml", "azure-pipelines.yml", ".reconciler")
"""Where a pipeline says which manifests it reads, and with which version."""
_EXTENDS = re.compile(r"""extends:\s+["']?([^"'#]*[^"'#\s])""")


def read_from(path: str, before: Iterable[str] = ()) -> Sequence[str]:
    """The path of the manifests, and all files that they are read from, wherever these are, with the links to them.

    `before`: the files of an earlier revision, which count, too.
    """
    files = {source.path for one in load(path) for source in one.manifests}.union(before)
    files |= {join(dirname(file), LOCK_NAME) for file in files}
    return sorted({one for file in (path, *files) for one in _links(file)})


def outside(path: str, rules: Iterable[Rules]) -> Iterator[tuple[str, Place]]:
    """What the manifests are read from beyond the path, which a filter for it does not see; each where it is named."""
    files = sorted({source.path for one in rules for source in one.manifests})
    places = [*(named for file in files for named in _extended(file)), *((file, Place(file, 1, 1)) for file in files)]
    found: dict[str, Place] = {}
    for name, place in places:
        *_, real = _links(name)
        if not Path(real).is_relative_to(Path(path)):
            found.setdefault(real, place)
    yield from found.items()


def _extended(file: str) -> Iterator[tuple[str, Place]]:
    """The bases that a manifest names, with their lines."""
    for number, line in enumerate(Path(file).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if match := _EXTENDS.match(line):
            yield join(dirname(file), match[1]), Place(file, number, 1)


def _links(path: str, most: int = 40) -> Iterator[str]:
    """The links on the way to a file, what each leads to, and where the file is; git itself follows none."""
    parts, at = Path(path).parts, Path()
    for number, part in enumerate(parts, 1):
        at = at.parent if part == ".." and at.name not in ("", "..") else at / part
        if at.is_symlink() and most:
            target = join(at.parent.as_posix(), at.readlink())
            yield at.as_posix()
            yield from _links(target, most - 1)  # a folder as a whole, since files may be gone from it
            yield from _links(join(target, *parts[number:]), most - 1)
            return
    yield at.as_posix()


def is_related(path: str, base: str) -> bool:
    """Whether anything that the manifests are read from differs from the base, or what the pipeline is.

    Also where that cannot be told.

    Raises:
        UsageError: this clone does not have the base.
    """
    commit = commit_of(base)
    try:
        before = load_sound([path], GitFiles(commit)).rules
        files = [source.path.removeprefix(f"{commit}:") for one in before for source in one.manifests]
        paths = read_from(path, files)
    except ManifestError:
        return True  # the check tells of the mistakes
    differs = ("--literal-pathspecs", "diff", "--name-only", "--no-renames", commit, "HEAD")
    return bool(git(*differs, "--", *paths, *PIPELINES))
