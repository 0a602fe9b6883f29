"""The JSON Schema of the documents that commands write with `--format json`."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from reconciler.documents import AnyDocument


def output_schema() -> dict[str, Any]:
    """A schema of draft 2020-12 that every document fits."""
    schema = TypeAdapter[Any](AnyDocument).json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:losant-reconciler:output:v1",
        "title": "A document written by reconciler --format json",
        **schema,
    }
