"""What paths hold, as `applications` and `validate` write it."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from reconciler.documents.parts import Document, KindWord, ProblemPart
from reconciler.model.rules import Rules


class HeldPart(TypedDict):
    """An application and kind that the paths hold."""

    application: str
    name: str | None
    kind: KindWord
    paths: list[str]


class ApplicationsDocument(Document):
    """What `applications` and `validate` write."""

    command: Literal["applications", "validate"]
    warnings: NotRequired[Annotated[list[ProblemPart], Field(json_schema_extra={"default": []})]]
    applications: list[HeldPart]


def held_part(rules: Rules) -> HeldPart:
    """One element of the document's `applications`."""
    return {
        "application": rules.application.id,
        "name": rules.application.name,
        "kind": rules.kind,
        "paths": [source.path for source in rules.sources],
    }
