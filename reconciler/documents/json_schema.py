"""The documents that are only written, never read back, and the JSON Schema of everything `--format json` writes."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.documents.json import Document
from reconciler.documents.plan import PlanDocument
from reconciler.documents.result import ResultDocument
from reconciler.documents.shape import shape
from reconciler.documents.status import StatusDocument
from reconciler.model.export import Export
from reconciler.model.plan import Warning
from reconciler.model.rules import Difference, Rules
from reconciler.model.versions import DeclaredVersion


class DifferenceDocument(Document):
    """The output of `diff`."""

    command: Literal["diff"]
    differences: tuple[Difference, ...]


class ExportDocument(Document):
    """The output of `export`. `exports` is empty if Losant accepted none, or if that is unknown."""

    command: Literal["export"]
    exports: tuple[Export, ...]


class ApplicationsDocument(Document):
    """The output of `applications` and `validate`."""

    command: Literal["applications", "validate"]
    warnings: NotRequired[tuple[Warning, ...]]
    applications: tuple[Rules, ...]


class OutdatedDocument(Document):
    """The output of `outdated`."""

    command: Literal["outdated"]
    versions: tuple[DeclaredVersion, ...]


_DOCUMENTS = (
    PlanDocument,
    ResultDocument,
    StatusDocument,
    DifferenceDocument,
    ExportDocument,
    ApplicationsDocument,
    OutdatedDocument,
)


class _Published(GenerateJsonSchema):
    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Publish less than is checked, so that later versions may relax the checks."""
        return {"type": "string", **schema.get("metadata", {})}

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """Add the description, and allow no other keys."""
        return {**super().typed_dict_schema(schema), **schema.get("metadata", {}), "additionalProperties": False}


def output_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) that every document conforms to."""
    documents = core_schema.union_schema([shape(document) for document in _DOCUMENTS])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:losant-reconciler:output:v1",
        "title": "A document written by reconciler --format json",
        **_Published().generate(documents),
    }
