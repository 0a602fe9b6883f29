"""The rules of files and folders, checked as far as is possible without the API."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import BinaryIO, NamedTuple

from reconciler.errors import ManifestError
from reconciler.manifest import load as manifests
from reconciler.manifest.files import DiskFiles, Files
from reconciler.manifest.offline import resolve_offline
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.planner.resolution.resolve import expired_pins
from reconciler.runtime import utc_today

DEFAULT_PATHS = ("manifests",)


def load(
    *paths: str | PathLike[str],
    application: str | None = None,
    kind: str | None = None,
    stdin: BinaryIO | None = None,
) -> tuple[Rules, ...]:
    """The rules in files and folders, one per application and kind. Touches no network.

    Args:
        paths: files, folders, or `-` for `stdin`; the folder `manifests` if there is none.
        application: only the application with this id, or with this name in its manifest.
        kind: only this kind, `embedded` or `edge`.
        stdin: what `-` means.

    Raises:
        ManifestError: every problem of every file.
        UsageError: nothing is for that application and kind.
    """
    rules = manifests.load_manifests(paths or DEFAULT_PATHS, stdin=stdin)
    return manifests.pick(rules, application=application, kind=kind) if application or kind else rules


class Validated(NamedTuple):
    """The rules of sound manifests, what a reviewer should know of them, and how many files there are."""

    rules: tuple[Rules, ...]
    warnings: tuple[Warning, ...]
    files: int


def validate(
    paths: Iterable[str | PathLike[str]],
    *,
    application: str | None = None,
    kind: str | None = None,
    stdin: BinaryIO | None = None,
) -> Validated:
    """Check files and folders; `application` and `kind` pick what is reported of them.

    Raises:
        ManifestError: every problem of every file, conflicts between groups included.
        UsageError: nothing is for that application and kind.
    """
    loaded = load_sound(tuple(paths) or DEFAULT_PATHS, DiskFiles(stdin))
    rules = loaded.rules
    chosen = manifests.pick(rules, application=application, kind=kind) if application or kind else rules
    warnings = tuple(warning for one in chosen for warning in expired_pins(one, utc_today()))
    return Validated(chosen, warnings, loaded.files)


def load_sound(paths: Iterable[str | PathLike[str]], files: Files) -> manifests.Loaded:
    """The rules of paths, if they have no problem.

    Raises:
        ManifestError: every problem, conflicts that show without the API included.
    """
    loaded = manifests.load(paths, files)
    conflicts = [problem for rules in loaded.rules for problem in resolve_offline(rules).resolution.problems]
    if problems := dict.fromkeys([*loaded.problems, *conflicts]):
        raise ManifestError(problems)
    return loaded
