"""Make `schemas.json` out of the JSON schemas that Losant publishes with its JavaScript client.

    python -m tests.vendor.extract FOLDER --origin "losant-rest 4.2.0, lib/schemas" --date 2026-06-05

Kept are facts: types, patterns, lengths, bounds, enums, required and additional properties. Left out are titles,
descriptions and what the simulator leaves empty (`OPAQUE`); a keyword that is neither stops the script. An item of a
collection becomes a reference to its own schema.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = (
    *("embeddedDeployment", "embeddedDeployments", "edgeDeployment", "edgeDeployments"),
    *("embeddedDeploymentRelease", "embeddedDeploymentReplace", "embeddedDeploymentRemove"),
    *("edgeDeploymentRelease", "edgeDeploymentReplace", "edgeDeploymentRemove", "embeddedDeploymentExport"),
    *("device", "devices", "deviceClassFilter", "deviceTagFilter", "advancedDeviceQuery"),
    *("flow", "flows", "flowVersion", "flowVersions", "jobEnqueuedResult", "success", "error"),
)
FACTS = {
    *("type", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "required", "additionalProperties", "$ref"),
}
PROSE = {"$schema", "title", "description"}
OPAQUE = {"attributes", "triggers", "nodes", "globals", "customNodeConfig", "stats"}
DIALECT = "http://json-schema.org/draft-07/schema#"


def facts(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without its prose.

    Raises:
        ValueError: it has a keyword of which nobody has thought.
    """
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties" | "patternProperties":
                kept[keyword] = {name: property_facts(name, one) for name, one in value.items()}
            case "items":
                kept[keyword] = facts(value)
            case "oneOf":
                kept[keyword] = [facts(one) for one in value]
            case "$ref":
                kept[keyword] = "#/definitions/" + value.rpartition("/")[2]
            case _ if keyword in FACTS:
                kept[keyword] = value
            case _ if keyword not in PROSE:
                raise ValueError(f"an unknown keyword: {keyword}")
    return kept


def property_facts(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a property; of an opaque one only its type."""
    return {"type": schema["type"]} if name in OPAQUE and "type" in schema else facts(schema)


def extract(folder: Path) -> dict[str, Any]:
    """The facts of all schemas of the folder that are wanted."""
    found = {name: facts(json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))) for name in NAMES}
    for name in NAMES:
        items = found[name].get("properties", {}).get("items", {})
        if items.get("items") == found.get(name.removesuffix("s")):
            items["items"] = {"$ref": f"#/definitions/{name.removesuffix('s')}"}
    return found


def lines(node: Any, depth: int) -> str:
    """JSON whose objects are broken into lines down to a depth."""
    if depth == 0 or not isinstance(node, dict) or not node:
        return json.dumps(node, ensure_ascii=False)
    inner = ",\n".join(f"{json.dumps(key)}: {lines(value, depth - 1)}" for key, value in node.items())
    return "{\n" + inner + "\n}"


def main() -> None:
    """Print the data file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--date", required=True)
    given = parser.parse_args()
    head = {"$schema": DIALECT, "origin": given.origin, "date": given.date}
    print(lines({**head, "definitions": extract(given.folder)}, 4))


if __name__ == "__main__":
    main()
