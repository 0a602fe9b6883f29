"""Advanced queries: what narrows a listing of devices or versions, in pieces that fit the API's limits."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote

from reconciler.errors import UsageError

MAX_IN = 100  # values of one `$in`: the API's limit
MAX_QUERY = 4000  # encoded characters of values in one URL: servers commonly accept 8,000 in all


def narrowings(
    *, ids: Collection[str] | None, names: Collection[str] | None, query: str | None
) -> list[dict[str, object] | None]:
    """The queries of a listing, to be sent concurrently; None means no query."""
    base = parse_query(query) if query is not None else None
    if ids is None and names is None:
        return [base]
    chunks = queries("id", ids) if ids is not None else queries("name", names or ())
    return [{"$and": [chunk, base]} if base else chunk for chunk in chunks]


def queries(field: str, values: Collection[str]) -> Iterator[dict[str, object]]:
    """`{field: {"$in": […]}}` for all values, in chunks short enough for the API and proxies."""
    chunk: list[str] = []
    size = 0
    for value in sorted(set(values)):
        cost = len(quote(json.dumps(value), safe="")) + 3
        if chunk and (len(chunk) == MAX_IN or size + cost > MAX_QUERY):
            yield {field: {"$in": chunk}}
            chunk, size = [], 0
        chunk.append(value)
        size += cost
    if chunk:
        yield {field: {"$in": chunk}}


def parse_query(text: str) -> dict[str, object]:
    """Parse an advanced device query written by the user.

    Raises:
        UsageError: it is not a JSON object.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UsageError(
            "an advanced device query must be a JSON object", hint='such as {"name": {"$startsWith": "pump-"}}'
        )
    return data


def of_class(query: Mapping[str, object] | None, device_class: str | None) -> str:
    """The query as text, restricted to a class: the API ignores `deviceClass` when a query is given."""
    parts: list[Mapping[str, object]] = [{"deviceClass": device_class}] if device_class else []
    if query:
        parts.append(query)
    whole = parts[0] if len(parts) == 1 else {"$and": parts} if parts else {}
    return json.dumps(whole, separators=(",", ":"), sort_keys=True)
