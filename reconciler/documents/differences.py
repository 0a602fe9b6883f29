"""What `diff` found, as it writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

from reconciler.documents.parts import Document

if TYPE_CHECKING:
    from reconciler.manifest.offline import Difference


class _RowPart(TypedDict):
    application: str
    kind: Literal["embedded", "edge"]
    what: str
    subject: str | None
    flow: str | None


_Values = TypedDict("_Values", {"from": Any, "to": Any})


class DifferencePart(_RowPart, _Values):
    """One difference in the desired state between two sides."""

    source: str | None


class DifferenceDocument(Document):
    """What `diff` writes."""

    command: Literal["diff"]
    differences: list[DifferencePart]


def difference_part(one: Difference) -> DifferencePart:
    """One element of the document's `differences`."""
    return {
        "application": one.application,
        "kind": one.kind,  # type: ignore[typeddict-item]
        "what": one.what,
        "subject": one.subject,
        "flow": one.flow,
        "from": one.before,
        "to": one.after,
        "source": str(one.source) if one.source else None,
    }
