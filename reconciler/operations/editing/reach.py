"""Which documents reach a base: those of the whole work tree, since whoever edits it moves them all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import Problem
from reconciler.manifest.document import Layer
from reconciler.manifest.files import DiskFiles, File, work_tree, working_directory
from reconciler.manifest.load import load

_WORD = "extends"
_SPELLED = (_WORD.encode(), _WORD.encode("utf-16-le")[:-1])  # the latter is in either order of bytes


class Reach(NamedTuple):
    """The documents that reach a base, their files, and the paths of which that cannot be told."""

    documents: tuple[Layer, ...]
    files: tuple[str, ...]
    unknown: tuple[str, ...]


def reaching(base: str, files: DiskFiles, known: Sequence[Layer]) -> Reach:
    """Look for the documents in a base's git work tree, outside git in the working directory, and among `known`."""
    real = os.path.realpath(base)
    folder = Path(real).parent
    root = work_tree(folder) or working_directory() or folder
    if root == root.parent:  # nobody wants the whole disk read
        return Reach(_on(known, real), (), (str(root),))
    found, problems = files.expand(str(root))
    data = dict(_extending(found, files))
    loaded = load([file.shown for file in data], files)
    documents = _on((*loaded.documents, *known), real)
    reached = {document.place.path for document in documents}
    broken = {problem.path for problem in loaded.problems} - reached
    name = Path(real).name.encode()
    unknown = [file.shown for file, text in data.items() if file.shown in broken and name in text.replace(b"\0", b"")]
    unknown += [problem.path or str(root) for problem in problems]
    return Reach(documents, tuple(sorted(reached)), tuple(sorted(unknown)))


def _extending(found: list[File], files: DiskFiles) -> Iterator[tuple[File, bytes]]:
    for file in found:
        data = files.read(file)
        if isinstance(data, Problem) or any(word in data for word in _SPELLED):
            yield file, b"" if isinstance(data, Problem) else data


def _on(documents: Iterable[Layer], real: str) -> tuple[Layer, ...]:
    """Those on a base, each once."""
    on_it = {one.place: one for one in documents if any(os.path.realpath(of.path) == real for of in one.manifests)}
    return tuple(on_it.values())
