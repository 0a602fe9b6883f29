"""Whether a repository is set up: what can be seen without writing anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import PermissionDenied, ReconcilerError, told
from reconciler.model.rules import Rules
from reconciler.operations.gateway import Gateway
from reconciler.operations.init.repository import Owned
from reconciler.operations.init.scopes import to_apply
from reconciler.operations.init.writing import look
from reconciler.ports import Reader

KEPT_APART = "tokens are kept apart"


class Finding(NamedTuple):
    """What was looked at. `right` is None where it could not be seen, which `why` explains."""

    what: str
    right: bool | None
    why: str = ""


def of_files(root: Path, owned: Mapping[str, Owned]) -> list[Finding]:
    """Whether each file is there, and as it would be written now."""
    found = []
    for name, one in owned.items():
        written = look(root, name, one.text, mark=one.mark)
        if written is None:
            found.append(Finding(name, right=False, why="missing; run reconciler init"))
        elif written.diff:
            found.append(Finding(name, right=False, why="not as it would be written now; run reconciler init"))
        elif not written.same:
            found.append(Finding(name, right=None, why="not written by reconciler init"))
        else:
            found.append(Finding(name, right=True))
    return found


async def of_token(rules: Rules, gateway: Gateway) -> list[Finding]:
    """Whether the token of an application may read what a plan reads. What only a write shows is not verified."""
    kind, own = rules.kind, rules.application.id
    async with gateway.open() as api_of:
        api = api_of(own, kind)
        reads: dict[str, Callable[[], Awaitable[object]]] = {
            f"{kind.value}Deployments.get": api.live,
            "devices.get": api.device_count,
            "flows.get": api.flows,
            "application.get": api.application,
        }
        found = [await _read(f"scope {scope} of {own}", read) for scope, read in reads.items()]
        found.append(await _of_versions(f"scope flowVersions.get of {own}", api))
    why = "shown only by a write"
    return [*found, *(Finding(f"scope {scope} of {own}", right=None, why=why) for scope in to_apply(kind.value))]


def of_branch(branch: str, protected: Callable[[str], bool]) -> Finding:
    """Whether the branch whose merges are applied is protected, as far as the forge tells."""
    what = f"branch {branch} is protected"
    try:
        is_protected = protected(branch)
    except ReconcilerError as error:
        return Finding(what, right=None, why=why_of(error))
    return Finding(what, right=is_protected, why="" if is_protected else "everybody can push to it, and so apply")


def of_settings(settings: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Whether each token is kept where only its jobs get it, as far as the forge tells."""
    try:
        return [*settings()]
    except ReconcilerError as error:
        return [Finding(KEPT_APART, right=None, why=why_of(error))]


def why_of(error: ReconcilerError) -> str:
    """The problems of an error on one line."""
    return "; ".join(one.text if one.place is None else str(one) for one in told(error.problems))


async def _of_versions(what: str, api: Reader) -> Finding:
    """Versions are read of a flow: without one that may be read there is nothing to ask for."""
    try:
        flow = next(iter(await api.flows()), None)
    except ReconcilerError:
        return Finding(what, right=None, why="it is asked of a flow, and the flows cannot be read")
    if flow is None:
        return Finding(what, right=None, why="it is asked of a flow, and the application has none")
    return await _read(what, lambda: api.versions(flow.id))


async def _read(what: str, read: Callable[[], Awaitable[object]]) -> Finding:
    try:
        await read()
    except PermissionDenied as error:
        return Finding(what, right=False, why=why_of(error))
    except ReconcilerError as error:
        return Finding(what, right=False, why=f"cannot be read: {why_of(error)}")
    return Finding(what, right=True)
