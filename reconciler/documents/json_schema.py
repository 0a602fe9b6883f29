"""The JSON Schema of the documents that commands write with `--format json`."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import ConfigDict, TypeAdapter

from reconciler.documents.applications import ApplicationsDocument
from reconciler.documents.differences import DifferenceDocument
from reconciler.documents.export import ExportDocument
from reconciler.documents.plan import PlanDocument
from reconciler.documents.result import ResultDocument
from reconciler.documents.status import StatusDocument

AnyDocument: TypeAlias = (
    PlanDocument | ResultDocument | StatusDocument | DifferenceDocument | ExportDocument | ApplicationsDocument
)


def output_schema() -> dict[str, Any]:
    """A schema of draft 2020-12 that every document fits."""
    schema = TypeAdapter[Any](AnyDocument, config=ConfigDict(extra="forbid")).json_schema()
    for part in schema["$defs"].values():
        part.setdefault("additionalProperties", False)  # which pydantic 2.10 leaves out
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:losant-reconciler:output:v1",
        "title": "A document written by reconciler --format json",
        **schema,
    }
