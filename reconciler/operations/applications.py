"""Loads the rules of files and folders, and checks them as far as possible without the API."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import BinaryIO, NamedTuple

from reconciler.errors import ManifestError
from reconciler.manifest import load as manifests
from reconciler.manifest.files import DiskFiles, Files
from reconciler.manifest.lock.reading import with_locks
from reconciler.model.plan import Warning
from reconciler.model.rules import Rules
from reconciler.planner.resolution.rule_warnings import expired_pins, idle_policies, skipped_files
from reconciler.runtime import utc_today

DEFAULT_PATHS = ("manifests",)


def load(
    *paths: str | PathLike[str],
    application: str | None = None,
    kind: str | None = None,
    stdin: BinaryIO | None = None,
) -> tuple[Rules, ...]:
    """Load the rules in files and folders, one per application and kind. Works offline.

    Args:
        paths: files, folders, or `-` for `stdin`; by default the folder `manifests`.
        application: only the application with this id, or with this name in its manifest.
        kind: only this kind, `embedded` or `edge`.
        stdin: the stream to read for `-`.

    Raises:
        ManifestError: every problem of every file.
        UsageError: nothing is for that application and kind.
    """
    rules = manifests.load_manifests(paths or DEFAULT_PATHS, stdin=stdin)
    return manifests.pick(rules, application=application, kind=kind) if application or kind else rules


class Validated(NamedTuple):
    """The rules of valid manifests, their warnings, and the number of files."""

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
    """Check files and folders; `application` and `kind` select what is reported.

    Raises:
        ManifestError: every problem of every file and of the locks beside them, including conflicts between groups.
        UsageError: nothing is for that application and kind.
    """
    loaded = load_sound(tuple(paths) or DEFAULT_PATHS, DiskFiles(stdin))
    rules, problems = with_locks(loaded.rules)
    if problems:
        raise ManifestError(problems)
    chosen = manifests.pick(rules, application=application, kind=kind) if application or kind else rules
    skipped = dict.fromkeys(warning for one in chosen for warning in skipped_files(one))
    paths = {path for one in chosen for path in one.paths}
    seen = [one for one in loaded.warnings if chosen == rules or (one.place and one.place.path in paths)]
    pins = [warning for one in chosen for warning in expired_pins(one, utc_today())]
    idle = [warning for one in chosen for warning in idle_policies(one)]
    warnings = [*skipped, *seen, *pins, *idle]
    return Validated(chosen, tuple(sorted(warnings, key=lambda warning: warning.sort_key)), loaded.files)


def load_sound(paths: Iterable[str | PathLike[str]], files: Files) -> manifests.Loaded:
    """Load the rules of paths; fails if there is any problem.

    Raises:
        ManifestError: every problem, including conflicts that can be found without the API.
    """
    from reconciler.manifest.comparing.symbolic import resolve_symbolically  # noqa: PLC0415 - a plan does without it

    loaded = manifests.load(paths, files)
    conflicts = [problem for rules in loaded.rules for problem in resolve_symbolically(rules).resolution.problems]
    if problems := dict.fromkeys([*loaded.problems, *conflicts]):
        raise ManifestError(problems)
    return loaded
