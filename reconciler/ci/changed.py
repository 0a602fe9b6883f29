"""Which rollouts a pull request changes: those whose group, policy or priority over others it writes anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.ci.command import Application
from reconciler.ci.stopped import Stopped
from reconciler.errors import ManifestError, UsageError
from reconciler.manifest.git.files import GitFiles
from reconciler.model.rules import Rules
from reconciler.model.state import Place
from reconciler.operations.applications import load, load_sound


def changed(application: Application, found: Iterable[Stopped], base: str) -> Iterator[Stopped]:
    """Those of them that are not the same in the base; all, if that cannot be read."""
    try:
        before = _of(application, load_sound([application.path], GitFiles(base)).rules)
    except (ManifestError, UsageError):
        before = None
    after = _of(application, load(application.path))
    for one in found:
        if before is None or after is None or _meaning(before, one) != _meaning(after, one):
            yield one


def _of(application: Application, rules: Iterable[Rules]) -> Rules | None:
    return next((one for one in rules if (one.application.id, one.kind) == (application.id, application.kind)), None)


def _meaning(rules: Rules, rollout: Stopped) -> object:
    """The group and the policy, and what the group's aliases stand for, without their places."""
    group = next((one for one in rules.groups if one.name == rollout.group), None)
    flows = [rules.aliases.get(rule.flow.text, rule.flow).text for rule in group.flows] if group else None
    return _bare((group, rules.policies.get(rollout.policy), flows))


def _bare(value: object) -> object:
    if isinstance(value, Place):
        return None
    if isinstance(value, tuple):
        return tuple(map(_bare, value))
    return {key: _bare(one) for key, one in value.items()} if isinstance(value, dict) else value
