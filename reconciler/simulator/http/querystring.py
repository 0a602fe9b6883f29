"""Query strings as the framework reads them: repeated names make lists, brackets make lists and objects."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_DEEPEST, _MOST = 5, 1000


def read_query(text: str) -> dict[str, Any]:
    """`a=1&a=2&b[0][key]=x` becomes `{"a": ["1", "2"], "b": [{"key": "x"}]}`. Values are text."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True)[:_MOST]:
        head, *keys = re.split(r"[\[\]]+", name.rstrip("]"))[:_DEEPEST]
        _put(root, [head, *keys], value)
    return {key: _lists(value) for key, value in root.items()}


def _put(node: dict[str, Any], keys: list[str], value: str) -> None:
    *above, last = keys
    for key in above:
        inner = node.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        node = inner
    if last == "":
        node[str(len(node))] = value
    elif last not in node:
        node[last] = value
    elif isinstance(node[last], list):
        node[last].append(value)
    else:
        node[last] = [node[last], value]


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() for key in node):
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}
