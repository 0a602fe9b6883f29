"""The JSON Schema of a manifest document, generated from the models that validate it.

It cannot express constraints across places (duplicates, conflicts, `extends`, groups without a selector), invalid
calendar dates, unknown time zones, shares that do not grow, or invalid JSON in text queries. Only the loader finds
those.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.manifest.scalars import NO_ROLLOUT, WHOLE_ID
from reconciler.manifest.schema import PICKING, SELECTING, Document

SCHEMA_ID = "urn:reconciler:manifest:v1"


class _Generator(GenerateJsonSchema):
    """pydantic's generator, except that optional keys must not be null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def manifest_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) for one document, whose scalars may be YAML 1.2 values or text."""
    schema = _without_titles(Document.model_json_schema(schema_generator=_Generator))
    definitions = schema["$defs"]
    application_id = definitions["ApplicationPart"]["properties"]["id"]
    application = schema["properties"]["application"]
    about = application.pop("description")
    schema["properties"]["application"] = {"anyOf": [application_id, application], "description": about}
    schema["properties"]["flows"]["propertyNames"] = {"minLength": 1, "maxLength": 255, "not": {"pattern": WHOLE_ID}}
    definitions["SelectPart"]["anyOf"] = [{"required": [key]} for key in sorted(SELECTING)]
    rollout = definitions["GroupPart"]["properties"]["rollout"]
    about = rollout.pop("description")
    policy = {key: part for key, part in definitions["RolloutPart"]["properties"]["policy"].items() if key != "not"}
    short = {key: part for key, part in policy.items() if key != "description"}
    definitions["GroupPart"]["properties"]["rollout"] = {"anyOf": [short, rollout], "description": about}
    definitions["RolloutPart"]["minProperties"] = 1
    named = {"minLength": 1, "maxLength": 255, "not": {"enum": [NO_ROLLOUT]}}
    schema["properties"]["rollouts"]["propertyNames"] = named
    definitions["WavePart"]["anyOf"] = [{"required": [key]} for key in sorted(PICKING)]
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
