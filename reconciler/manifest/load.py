"""From files to rules in three steps: read (bytes), parse (YAML with positions), validate (shape, then meaning).

One run finds every problem of every file: an error in one item does not hide those in others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import BinaryIO, NamedTuple, NoReturn

from pydantic import ValidationError

from reconciler.errors import ManifestError, Problem, UsageError
from reconciler.manifest.document import Layer, layer_of
from reconciler.manifest.files import DiskFiles, File, Files
from reconciler.manifest.lock.reading import with_locks
from reconciler.manifest.merge import extend, merge
from reconciler.manifest.problems import problems_of, salvage
from reconciler.manifest.schema import Document
from reconciler.manifest.syntax import deception, parse
from reconciler.manifest.tree import EMPTY, Map, Node
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules, Source
from reconciler.model.state import Kind, Place
from reconciler.runtime import gc_paused

MAX_BASES = 50  # per chain of `extends`


class Loaded(NamedTuple):
    """The contents of paths. `files`: the number of files read. `rules`: sorted by application and kind.

    `documents`: each document with an application, merged with its bases.
    """

    rules: tuple[Rules, ...]
    problems: tuple[Problem, ...]
    files: int
    warnings: tuple[Warning, ...] = ()
    documents: tuple[Layer, ...] = ()


def load_manifests(paths: Iterable[str | PathLike[str]], *, stdin: BinaryIO | None = None) -> tuple[Rules, ...]:
    """The rules of every application in the paths, sorted by application id and kind.

    A path is a file, a directory (every `*.yaml` and `*.yml` below it) or `-` for `stdin`.

    Raises:
        ManifestError: all problems of all files and of the locks beside them, or no document has an application.
    """
    named = [str(path) for path in paths]
    loaded = load(named, DiskFiles(stdin))
    rules, of_locks = with_locks(loaded.rules)
    if problems := [*loaded.problems, *of_locks]:
        raise ManifestError(problems)
    return rules or nothing_in(named)


def nothing_in(paths: Iterable[str]) -> NoReturn:
    """Raise the error for paths in which no document has an application."""
    names = ", ".join(paths)
    raise ManifestError(f"no document in {names} has an application", hint="add `application: <id>` to one")


def load(paths: Iterable[str | PathLike[str]], files: Files) -> Loaded:
    """Like `load_manifests`, but from any source of files, and with problems returned instead of raised."""
    with gc_paused():
        return _Loader(files).load([str(path) for path in paths])


def validate(tree: Node, path: str, source: Source) -> tuple[Layer | None, list[Problem]]:
    """Validate one parsed document: its typed values, and its problems. Invalid items are dropped from the tree."""
    if not isinstance(tree, Map):
        hint = "a manifest begins with `apiVersion: reconciler/v1`"
        return None, [Problem("a manifest is a map (key: value)", path, 1, 1, hint)]
    problems: list[Problem] = []
    rollouts = tree.get("rollouts", {})
    written = frozenset(rollouts) if isinstance(rollouts, dict) else None
    for _ in range(3):  # dropping invalid items leaves a valid document, except for items shared by an alias
        try:
            document = Document.model_validate(tree)
        except ValidationError as error:
            problems += problems_of(error, tree, path)
            if not salvage(error, tree):
                return None, problems
        else:
            layer = layer_of(document, tree, path, source, problems)
            refused = None if written is None else written - layer.policies.keys()
            return layer._replace(refused_policies=refused), problems
    return None, problems


@dataclass(slots=True)
class _Content:
    """A file: its documents (None if unusable), or why it could not be read."""

    file: File
    unreadable: Problem | None = None
    layers: list[Layer | None] = field(default_factory=list)


class _Loader:
    """Reads each file once, however many documents extend it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._contents: dict[str, _Content] = {}
        self._problems: dict[Problem, None] = {}
        self._cycles: set[frozenset[str]] = set()
        self._warnings: list[Warning] = []
        self._complete = True  # no document was refused as a whole

    def load(self, paths: Sequence[str]) -> Loaded:
        layers: dict[tuple[str, Kind], list[Layer]] = {}
        for file in self._listed(paths):
            content = self._read(file)
            if content.unreadable:
                self._problems[content.unreadable] = None
                self._complete = False
            for layer in content.layers:
                whole = layer and self._based(layer, content.file, (content.file.real,))
                self._complete &= whole is not None
                if whole and whole.application:
                    key = (whole.application.id, whole.kind or Kind.EMBEDDED)
                    layers.setdefault(key, []).append(whole)
        merging: list[Problem] = []
        skipped = tuple(sorted(self._files.skipped))
        rules = tuple(
            merge(layers[key], merging, complete=self._complete)._replace(skipped=skipped) for key in sorted(layers)
        )
        problems = dict.fromkeys([*self._problems, *merging])
        warnings = tuple(sorted(self._warnings, key=lambda warning: warning.sort_key))
        ordered = tuple(sorted(problems, key=lambda problem: problem.sort_key))
        documents = tuple(layer for key in sorted(layers) for layer in layers[key])
        return Loaded(rules, ordered, len(self._contents), warnings, documents)

    def _listed(self, paths: Sequence[str]) -> list[File]:
        """Every file once, with the first of its paths."""
        found: list[File] = []
        for path in paths:
            files, problems = self._files.expand(path)
            found += files
            self._problems.update(dict.fromkeys(problems))
            self._complete &= not problems
        by_real: dict[str, File] = {}
        for file in sorted(found):
            by_real.setdefault(file.real, file)
        return list(by_real.values())

    def _read(self, file: File) -> _Content:
        if file.real in self._contents:
            return self._contents[file.real]
        content = self._contents[file.real] = _Content(file)
        data = self._files.read(file)
        if isinstance(data, Problem):
            content.unreadable = data
            return content
        trees, problems = parse(data, file.shown)
        self._complete &= not problems
        if not data.isascii():
            self._warnings += deception(data, file.shown)
        self._problems.update(dict.fromkeys(problems))
        source = Source(file.shown, hashlib.sha256(data).hexdigest())
        documents = [tree for tree in trees if tree is not EMPTY]
        if not documents and not problems:
            self._problem(Place(file.shown, 1), "the file is empty", "begin with `apiVersion: reconciler/v1`")
        for tree in documents:
            layer, problems = validate(tree, file.shown, source)
            self._problems.update(dict.fromkeys(problems))
            content.layers.append(layer)
        return content

    def _based(self, layer: Layer, file: File, chain: tuple[str, ...]) -> Layer | None:
        """A document merged with its base, recursively."""
        if layer.extends is None:
            return layer
        base_file = self._files.beside(file, layer.extends.text)
        if isinstance(base_file, Problem):
            self._problem(layer.extends.place, base_file.message, base_file.hint)
            return None
        if base_file.real in chain or len(chain) > MAX_BASES:
            self._endless(layer.extends.place, chain, base_file.real)
            return None
        content = self._read(base_file)
        base = content.layers[0] if len(content.layers) == 1 else None
        what, place = f"base {base_file.shown}", layer.extends.place
        if content.unreadable:
            self._problem(place, f"{what}: {content.unreadable.message}", "check the path")
        elif len(content.layers) > 1:
            self._problem(place, f"{what} contains {len(content.layers)} documents", "move the base to its own file")
        elif base and base.application:
            hint = "a base must not have an `application`; move the shared parts to a base"
            self._problem(place, f"{what} has an application", hint)
        if base is None or base.application:
            return None
        whole = self._based(base, content.file, (*chain, base_file.real))
        return whole and extend(whole, layer)

    def _endless(self, place: Place, chain: tuple[str, ...], base: str) -> None:
        """Report a cycle (only once), or a chain that is too long."""
        if base not in chain:
            self._problem(place, f"more than {MAX_BASES} bases in a chain", "a fleet needs two or three")
            return
        cycle = (*chain[chain.index(base) :], base)
        if frozenset(cycle) not in self._cycles:
            self._cycles.add(frozenset(cycle))
            names = " -> ".join(self._contents[real].file.shown for real in cycle)
            self._problem(place, f"extends forms a cycle: {names}", "break the cycle in one of them")

    def _problem(self, place: Place, message: str, hint: str | None) -> None:
        self._problems[place.problem(message, hint)] = None


def pick(rules: Sequence[Rules], *, application: str | None = None, kind: str | None = None) -> tuple[Rules, ...]:
    """The rules for an application, given by id or by its name in a manifest, and a kind.

    Raises:
        UsageError: nothing matches, or several applications have the name.
    """
    chosen = tuple(one for one in rules if _is_for(one, application) and kind in (None, str(one.kind)))
    if not chosen:
        named = {f"{one.application.name or ''} {one.application.id} ({one.kind})".lstrip() for one in rules}
        hint = f"available: {', '.join(sorted(named)) or 'none'}"
        raise UsageError("no manifest here is for that application and kind", hint=hint)
    ids = sorted({one.application.id for one in chosen})
    if application is not None and len(ids) > 1:
        hint = f"pass an id: {', '.join(ids)}"
        raise UsageError(f"{application!r} is the name of several applications", hint=hint)
    return chosen


def _is_for(rules: Rules, application: str | None) -> bool:
    return application is None or application.lower() == rules.application.id or application == rules.application.name
