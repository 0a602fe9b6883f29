"""All files that belong into a repository, but for its manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reconciler.operations.init.forges import FORGES, pipeline, template
from reconciler.operations.init.installing import installing
from reconciler.operations.init.origin import Origin
from reconciler.operations.init.writing import MARK, State, Written, marked, put, there

MANIFEST = "manifests/fleet.yaml"
SCHEMA = "manifests/schema.json"
SCHEMA_LINE = "# yaml-language-server: $schema=schema.json\n"
SCHEMA_ID = "urn:reconciler:manifest:v1"
IGNORE = ".gitignore"
_NO_ID = "put-the-application-id-here"  # not a valid id, so `validate` reports its place until it is replaced


class Owned(NamedTuple):
    """A file that is ours as long as it has the mark."""

    text: str
    mark: str


def owned(forge: str, origin: Origin | None, *, branch: str, api_url: str | None) -> dict[str, Owned]:
    """The pipeline, and what it installs if that is known."""
    texts = {**pipeline(forge, branch=branch, api_url=api_url), **(installing(origin) if origin else {})}
    return {name: Owned(marked(text), MARK) for name, text in texts.items()}


def schema() -> Owned:
    """The manifest's schema, for editors."""
    from reconciler.manifest.json_schema import manifest_schema  # noqa: PLC0415 - pydantic, only where it is written

    return Owned(json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n", SCHEMA_ID)


def existing_manifest(root: Path) -> str | None:
    """A manifest that is there already."""
    from reconciler.manifest.files import is_picked  # noqa: PLC0415

    names = (file.relative_to(root).as_posix() for file in sorted(root.glob("manifests/**/*.y*ml")))
    return next(filter(is_picked, names), None)


def skeleton(application: str | None, kind: str) -> str:
    """A manifest to begin with."""
    text = template("manifest.yaml").replace("APPLICATION", application or _NO_ID, 1)
    return SCHEMA_LINE + text.replace("KIND", kind, 1)


def code_owners(root: Path, forge: str, owner: str | None, guarded: Mapping[str, object]) -> tuple[Written, str] | None:
    """Who reviews what: written, or lines to add to what is there; None where the forge knows no such file."""
    places = FORGES[forge].owners
    if not places:
        return None
    tops = dict.fromkeys(f"/{name.split('/')[0]}/" if "/" in name else f"/{name}" for name in guarded)
    found = next((place for place in places if (root / place).exists()), None)
    place = found or places[0]
    # Also the file itself: else one request takes the owners away, and the next one changes the fleet.
    itself = [] if f"/{place.split('/')[0]}/" in tops else [f"/{place}"]
    rules = [f"{path} {owner or '@your-org/your-team'}\n" for path in ("/manifests/", *tops, *itself)]
    if found is None:
        # Without an owner the example stays a comment: the forge would reject a file with it.
        text = template("CODEOWNERS") + "".join(rules if owner else [f"# {rule}" for rule in rules])
        return put(root, place, text), ""
    lines = (line if owner else line.lstrip("# ") for line in there(root, found).splitlines())
    present = {line.split()[0] for line in lines if line.strip()}
    missing = [rule for rule in rules if rule.split()[0] not in present]
    return Written(found, State.KEPT), "".join(missing)


def ignored(root: Path) -> tuple[Written, str]:
    """Plans and results are no part of a repository: written, or lines to add to what is there."""
    text = template("gitignore")
    written = put(root, IGNORE, text)
    if written.state is State.WROTE:
        return written, ""
    present = there(root, IGNORE).split()
    return written, "".join(f"{line}\n" for line in text.splitlines() if line[:1] != "#" and line not in present)
