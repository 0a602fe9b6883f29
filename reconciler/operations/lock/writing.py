"""Writes what versions are now into the locks beside manifests. Sends GET only.

Entries are added for versions that are newly declared, and removed where nothing declares them any more. What a
declared version was is never replaced, unless that is asked for: that is the point of a lock.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ManifestError, PermissionDenied, Problem, Refused, UsageError
from reconciler.manifest.files import SUFFIXES, DiskFiles
from reconciler.manifest.load import Loaded, load, nothing_in, pick
from reconciler.manifest.lock.reading import lock_path, read_lock
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.model.state import FlowId
from reconciler.model.text import is_id
from reconciler.model.versions import Content
from reconciler.operations.declared import Declared, declared, placed
from reconciler.operations.gateway import Gateway
from reconciler.operations.lock.judging import contents
from reconciler.operations.lock.merge import Differing, Folder, Found, Merge, NewLock
from reconciler.planner.resolution.names import Spelling
from reconciler.ports import Reader
from reconciler.runtime import gather

EVERY_FLOW = ""  # as the value of `update`


@dataclass(frozen=True, slots=True)
class Locking:
    """The locks to be written, and what is to be known beside."""

    locks: tuple[NewLock, ...]
    differing: tuple[Differing, ...]
    warnings: tuple[Warning, ...]
    notes: tuple[str, ...]

    @property
    def refused(self) -> Refused | None:
        """The error for versions that are not what was locked."""
        return Refused([one.problem for one in self.differing]) if self.differing else None


def rules_of(paths: Sequence[str], *, application: str | None = None, kind: str | None = None) -> tuple[Rules, ...]:
    """The rules to be locked. Unlike elsewhere, a lock for other applications is not an error: it gets their section.

    Raises:
        ManifestError, UsageError: as for `operations.applications.load`.
    """
    loaded = load(paths, DiskFiles())
    if loaded.problems:
        raise ManifestError(loaded.problems)
    rules = loaded.rules or nothing_in(paths)
    return pick(rules, application=application, kind=kind) if application or kind else rules


async def lock(rules: Sequence[Rules], gateway: Gateway, *, update: Collection[str] = ()) -> Locking:
    """What the locks beside the manifests are to say.

    Args:
        rules: what to lock.
        gateway: the gateway to the API.
        update: flows whose versions are locked as they are now, by alias, id or name; `EVERY_FLOW` for all.

    Raises:
        ManifestError: a lock is damaged, or flows do not exist.
        UsageError: a flow to be updated is not declared.
        ApiError, IncompleteRead: reading failed.
    """
    folders = _folders(rules)
    if problems := [problem for folder in folders for problem in folder.file.problems]:
        raise ManifestError(problems)
    words = {one.lower() if is_id(one) else one for one in update}
    unknown = words - {EVERY_FLOW}
    known: set[str] = set()
    locks: list[NewLock] = []
    differing: list[Differing] = []
    warnings: list[Warning] = []
    notes: list[str] = []
    async with gateway.open() as api_of:
        for folder in folders:
            found = {}
            for one in rules:
                if folder.path in map(lock_path, one.roots):
                    section = (one.application.id, one.kind)
                    found[section] = await _found(_beside(one, folder), words, api_of(*section))
            for part in found.values():
                known |= part.declared.names.keys() | part.declared.ids.keys()
                unknown -= part.called
            made = Merge(folder, found)
            locks.append(made.lock())
            differing += made.differing
            warnings += [warning for part in found.values() for warning in part.warnings]
            notes += made.notes
    if unknown:
        spelling, last = Spelling(known), "to update all flows, write --update last"
        raise UsageError(
            [Problem(f'no flow "{one}" is declared here', hint=spelling.hint(one) or last) for one in sorted(unknown)]
        )
    return Locking(tuple(locks), tuple(differing), tuple(dict.fromkeys(warnings)), tuple(notes))


def _folders(rules: Sequence[Rules]) -> list[Folder]:
    roots: dict[str, list[str]] = {}
    for root in sorted({root for one in rules for root in one.roots}):
        path = lock_path(root)
        if path is None:
            raise UsageError("standard input has no folder for a lock", hint="give a file or a directory")
        roots.setdefault(path, []).append(root)
    return [Folder(path, tuple(given), read_lock(path), _whole(path, given)) for path, given in roots.items()]


def _whole(path: str, given: Sequence[str]) -> Loaded | None:
    """What all manifests beside a lock say; None if there are other files, or files with mistakes."""
    folder = Path(path).parent
    names = [one for one in os.listdir(folder) if one.endswith(SUFFIXES) and not one.startswith(".")]  # noqa: PTH208
    loaded = load(sorted({*given, *(str(folder / one) for one in names)}), DiskFiles())
    return None if loaded.problems else loaded


def _beside(rules: Rules, folder: Folder) -> Rules:
    """What the manifests of one folder say of an application and kind; their aliases may be in another folder."""
    loaded = folder.loaded or load(folder.roots, DiskFiles())
    for one in loaded.rules:
        if (one.application.id, one.kind) == (rules.application.id, rules.kind):
            return one._replace(aliases={**rules.aliases, **one.aliases})
    return rules


async def _found(rules: Rules, update: Set[str], reader: Reader) -> Found:
    found = await declared(rules, reader)
    ids = await _ids(found, update, reader)
    read = await gather(*(_contents(rules, found, flow_id, reader) for flow_id in found.versions))
    contents = {one.key: one for of_flow in read for one in of_flow}
    warnings = [
        Warning(
            f"{found.flow(flow_id)} has no version {version}: it is not locked",
            declarations[0].place,
            "create it in Losant, or declare one that exists",
        )
        for flow_id, versions in found.versions.items()
        for version, declarations in versions.items()
        if (flow_id, version) not in contents
    ]
    updated = frozenset(found.versions if EVERY_FLOW in update else ids.values())
    return Found(found, contents, updated, frozenset(ids), tuple(warnings))


async def _ids(found: Declared, update: Set[str], reader: Reader) -> dict[str, FlowId]:
    """The declared flows that are to be updated. Only a word that no manifest has is looked up as a Losant name."""
    ids = {word: found.ids[word] for word in update if word in found.ids}
    if update - ids.keys() - {EVERY_FLOW}:
        with suppress(PermissionDenied):  # then it stays unknown
            for flow in await reader.flows():
                if flow.name is not None and flow.name in update and flow.id in found.versions:
                    ids.setdefault(flow.name, flow.id)
    return ids


async def _contents(rules: Rules, found: Declared, flow_id: FlowId, reader: Reader) -> list[Content]:
    with placed(rules, found, flow_id):
        return await contents(reader, flow_id, found.versions[flow_id].keys())
