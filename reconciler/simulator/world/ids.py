"""Ids, bundles and etags: hashes of what they name, so every run gives the same ones; and the forms of names."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

ID_PATTERN = r"^[A-Fa-f0-9]{24}$"
TAG_KEY_PATTERN = r"^[0-9a-zA-Z_-]{1,255}$"
RESERVED_VERSIONS = ("develop", "default")
NO_BUNDLE = "nullVersion"


def object_id(*parts: str) -> str:
    """24 hex digits for a thing, e.g. `object_id(application_id, "device", "pump-001")`."""
    return sha256("\0".join(parts).encode()).hexdigest()[:24]


def record_id(application_id: str, device_id: str, flow_id: str | None = None) -> str:
    """The id of an embedded record, or with a flow of an edge record."""
    if flow_id is None:
        return object_id(application_id, "embeddedDeployment", device_id)
    return object_id(application_id, "edgeDeployment", device_id, flow_id)


def bundle_id(device_id: str, contents: Sequence[tuple[str, str]], revision: int) -> str:
    """The opaque name of a compiled bundle: ten digits, as in the official example.

    Equal contents (sorted pairs of flow id and version) on the same device give the same bundle; `revision`
    stands for everything else that is compiled in, such as the application's globals.
    """
    text = "\0".join((device_id, str(revision), *(part for pair in contents for part in pair)))
    return str(int.from_bytes(sha256(text.encode()).digest()[:8]) % 9_000_000_000 + 1_000_000_000)


def version_etag(flow_id: str, version: str | None) -> str | None:
    """What stands for the content of a version of an edge workflow; None where there is no version."""
    return None if version is None else etag(flow_id, version)


def etag(*parts: str) -> str:
    """32 hex digits that stand for a content."""
    return sha256("\0".join(parts).encode()).hexdigest()[:32]
