"""What Azure does with a pipeline's file before it runs: the template expressions, as far as ours has them.

From Azure's reference: an item `${{ each NAME in … }}` of a list is replaced by the items under it, once for each
value, and `${{ NAME }}` stands for the value there. Parameters and the file's own variables can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_EACH = re.compile(r"\$\{\{ each (\w+) in split\(variables\.(\w+), '(.)'\) \}\}")
_HOLE = re.compile(r"\$\{\{ ([\w.]+) \}\}")

Names = Mapping[str, str]


def compiled(pipeline: Any, *, parameters: Names, variables: Names) -> Any:
    """The pipeline without template expressions."""
    known = {f"parameters.{name}": text for name, text in parameters.items()}
    known |= {f"variables.{name}": text for name, text in variables.items()}
    return _filled(pipeline, known)


def _filled(value: Any, known: Names) -> Any:
    if isinstance(value, str):
        text = _HOLE.sub(lambda match: known[match[1]], value)
        assert "${{" not in text, f"{text} is not understood"
        return text
    if isinstance(value, list):
        return [item for one in value for item in _items(one, known)]
    return {key: _filled(one, known) for key, one in value.items()} if isinstance(value, dict) else value


def _items(item: Any, known: Names) -> Iterator[Any]:
    """What stands in a list for one of its items."""
    if isinstance(item, dict) and len(item) == 1 and (each := _EACH.fullmatch(next(iter(item)))):
        for text in known[f"variables.{each[2]}"].split(each[3]):
            yield from _filled(next(iter(item.values())), {**known, each[1]: text})
    else:
        yield _filled(item, known)
