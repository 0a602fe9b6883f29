"""The flows of an application, read because rules give some by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.errors import PermissionDenied
from reconciler.model.state import Flow, FlowId
from reconciler.ports import Reader


async def flows_to_name(reader: Reader) -> tuple[Flow, ...]:
    """All flows of the application.

    Raises:
        PermissionDenied: the token may not list them; the hint says what to do.
        ApiError, IncompleteRead: reading failed.
    """
    try:
        return await reader.flows()
    except PermissionDenied as error:
        message = f"flows given by name cannot be looked up: {error.problems[0].message}"
        hint = "give the token the scope flows.get, or use flow ids"
        raise PermissionDenied(message, hint=hint, status=403) from None


def ids_by_name(flows: Iterable[Flow]) -> Mapping[str, tuple[FlowId, ...]]:
    """The ids of the flows with each name; several flows may have the same one."""
    found: dict[str, tuple[FlowId, ...]] = {}
    for flow in flows:
        if flow.name is not None:
            found[flow.name] = (*found.get(flow.name, ()), flow.id)
    return found
