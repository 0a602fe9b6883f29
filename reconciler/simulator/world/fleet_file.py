"""Reads fleet files: YAML to a checked `Fleet`, or one error that lists every problem with its place.

Scalars are strings, as in a manifest: `1.10` and `2026-01-15` are versions. Only `null`, `~` and empty values are null.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError
from yaml.events import CollectionEndEvent, CollectionStartEvent

from reconciler.nesting import MAX_DEPTH, TOO_DEEP, CuttingLoader
from reconciler.simulator.world.fleet import Fleet
from reconciler.simulator.world.fleet_check import Place, check_fleet, spell

Node: TypeAlias = yaml.Node
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOO_DEEP = 64  # with what aliases stand for


MOST_TOLD = 500  # problems
MAX_BYTES = 64 * 1024 * 1024


class FleetError(ValueError):
    """The fleet is invalid. `problems` has a line for each problem, with its place."""

    def __init__(self, problems: list[str]) -> None:
        left = len(problems) - MOST_TOLD
        self.problems = (*problems[:MOST_TOLD], *([f"{left:,} more problems are not shown"] if left > 0 else []))
        super().__init__("\n".join(self.problems))


def load_fleet(path: Path | str) -> Fleet:
    """Read a fleet file; raises FleetError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise FleetError([f"{path}: larger than {MAX_BYTES >> 20} MiB"])
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError([f"{path}: {getattr(error, 'strerror', None) or error}"]) from error
    return parse_fleet(text, source=str(path))


def parse_fleet(text: str, *, source: str = "fleet") -> Fleet:
    """Parse a fleet from YAML text; raises FleetError, whose lines begin with `source:line:column: `."""
    try:
        _check_depth(text, source, _Loader)  # before libyaml's composer, which recurses
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        with contextlib.suppress(yaml.YAMLError):
            _check_depth(text, source, CuttingLoader)
        raise FleetError([_syntax_problem(error, source)]) from error
    if root is None:
        raise FleetError([f"{source}: the file is empty; it needs at least `applications:`"])
    malformed = [f"{source}:{_mark(node)}: {message}" for node, message in _malformed(root, ())]
    if malformed:
        raise FleetError(malformed)
    return _checked(_plain(root), lambda place: f"{source}:{_mark(_at(root, place))}: {spell(place)}")


def build_fleet(data: Mapping[str, Any]) -> Fleet:
    """Make a fleet from plain data of the same shape; raises FleetError."""
    return _checked(data, spell)


def _checked(data: Any, where: Callable[[Place], str]) -> Fleet:
    try:
        fleet = Fleet.model_validate(data)
        findings = list(check_fleet(fleet))
    except ValidationError as error:
        findings = [(detail["loc"], _message(detail)) for detail in error.errors()]
    if findings:
        raise FleetError([f"{where(place)}: {message}" for place, message in findings])
    return fleet


_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "this is required",
    "model_type": "this should be a mapping",
    "dict_type": "this should be a mapping",
    "list_type": "this should be a list",
    "tuple_type": "this should be a list",
    "string_type": "this should be text",
    "int_parsing": "this should be a whole number",
    "bool_parsing": "this should be true or false",
}


def _message(detail: Any) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return _WORDS.get(detail["type"]) or f"{detail['msg'][0].lower()}{detail['msg'][1:]}"


def _syntax_problem(error: yaml.YAMLError, source: str) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
    return f"{source}{place}: this is not valid YAML: {getattr(error, 'problem', None) or error}"


def _check_depth(text: str, source: str, loader: Any) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise FleetError([f"{source}:{_mark(event)}: {TOO_DEEP}"])
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _malformed(node: Node, above: tuple[Node, ...]) -> Iterator[tuple[Node, str]]:
    """Duplicate keys, keys that are not text, and recursive aliases, each with its node."""
    if node in above or len(above) > _TOO_DEEP:
        yield above[-1], "an alias here refers to itself, or the file is nested too deeply"
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _malformed(item, (*above, node))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield key, "this key is not text"
                continue
            if key.value in seen:
                yield key, f'duplicate key "{key.value}"'
            seen.add(key.value)
            yield from _malformed(value, (*above, node))


def _plain(node: Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return None if node.tag == "tag:yaml.org,2002:null" else node.value


def _mark(node: Any) -> str:
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _at(root: Node, place: Place) -> Node:
    """The node at a place, or the nearest enclosing node in the file."""
    node = root
    for part in place:
        node = _child(node, part) or node
    return node


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(node, yaml.SequenceNode):
        return node.value[part] if isinstance(part, int) and part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        if isinstance(part, int):  # a list that the file gives as a mapping, e.g. flows by name
            return node.value[part][1] if part < len(node.value) else None
        return next((value for key, value in node.value if key.value == part), None)
    return None
