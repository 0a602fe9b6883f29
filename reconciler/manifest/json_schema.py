"""The JSON Schema of a manifest document, made from the same models that check it.

It cannot say what needs two places at once: duplicates, conflicts, what `extends` adds, groups without a selector,
days that no calendar has, queries in text that are no JSON. Those the loader finds alone.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.manifest.schema import SELECTING, WHOLE_ID, Document

SCHEMA_ID = "urn:losant-reconciler:manifest:v1"


class _Generator(GenerateJsonSchema):
    """pydantic's, but a key that may be missing may not be null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def manifest_schema() -> dict[str, Any]:
    """A schema of draft 2020-12 for one document, as YAML 1.2 or as plain text."""
    schema = _without_titles(Document.model_json_schema(schema_generator=_Generator))
    definitions = schema["$defs"]
    application_id = definitions["ApplicationPart"]["properties"]["id"]
    application = schema["properties"]["application"]
    about = application.pop("description")
    schema["properties"]["application"] = {"anyOf": [application_id, application], "description": about}
    schema["properties"]["flows"]["propertyNames"] = {"minLength": 1, "maxLength": 255, "not": {"pattern": WHOLE_ID}}
    definitions["SelectPart"]["anyOf"] = [{"required": [key]} for key in sorted(SELECTING)]
    definitions["ProtectPart"]["anyOf"] = [{"required": ["device"]}, {"required": ["flow"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "reconciler manifest",
        **schema,
    }


def _without_titles(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: _without_titles(part) for key, part in value.items() if key != "title" or not isinstance(part, str)
            }
        case list():
            return [_without_titles(part) for part in value]
    return value
