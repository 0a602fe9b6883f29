"""Converts pydantic's errors about a document to problems with place, cause and remedy."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from reconciler.errors import Problem
from reconciler.manifest import scalars, schema
from reconciler.manifest.tree import EMPTY, REFUSED, Map, Mark, Node, Seq, place_of, shown
from reconciler.model.characters import named
from reconciler.model.text import nearest

Loc: TypeAlias = tuple[int | str, ...]


def problems_of(error: ValidationError, tree: Node, path: str) -> list[Problem]:
    """Every problem of one document, with places. Problems found while parsing are not repeated."""
    found: dict[Problem, None] = {}
    for item in error.errors(include_url=False):
        if item["input"] is REFUSED:
            continue
        of_key = item["loc"][-1:] == ("[key]",)
        loc = item["loc"][:-1] if of_key else item["loc"]
        # The two YAML parsers disagree on the position of an empty value.
        at_key = of_key or item["type"] == "extra_forbidden" or item["input"] is EMPTY
        known, mark = _found(tree, loc, at_key=at_key)
        message, hint = _words(item, loc if item["type"] == "missing" else known)
        found[place_of(path, mark).problem(message, hint)] = None
    return list(found)


def salvage(error: ValidationError, tree: Map) -> bool:
    """Drop the invalid items, so that the others can still be checked against other files.

    An item is a group, a device, a pin, an alias and the like, or a whole top-level key without items. Returns whether
    anything is left to check.
    """
    locs = {tuple(item["loc"])[:2] for item in error.errors(include_url=False)}
    for loc in sorted(locs, key=lambda loc: [(isinstance(part, str), part) for part in loc], reverse=True):
        if not loc or loc[0] not in tree:
            continue
        inner = tree[str(loc[0])]
        if len(loc) == 2 and isinstance(inner, Map) and loc[1] in inner:
            inner.drop(str(loc[1]))
        elif len(loc) == 2 and isinstance(inner, Seq) and isinstance(loc[1], int):
            inner.drop(loc[1])
        else:
            tree.drop(str(loc[0]))
    return "apiVersion" in tree


def _found(node: Any, loc: Loc, *, at_key: bool) -> tuple[Loc, Mark]:
    """The part of a location that exists in the tree (short forms lack some levels), and its position."""
    mark: Mark = node.mark
    for index, part in enumerate(loc):
        if isinstance(node, Map) and part in node:
            mark = (node.key_marks if at_key and index == len(loc) - 1 else node.value_marks)[str(part)]
        elif isinstance(node, Seq) and isinstance(part, int) and part < len(node):
            mark = node.marks[part]
        else:
            return loc[:index], mark
        node = node[part]
    return loc, mark


def _words(item: Mapping[str, Any], loc: Loc) -> tuple[str, str | None]:
    """Message and hint for one of pydantic's errors."""
    given, context = item["input"], item.get("ctx", {})
    name = _name(loc)
    if item["type"] == scalars.OWN:
        return f"{name}: {context['message']}", context["hint"]
    if item["type"] == "missing":
        return f"{name} is missing", f"add `{loc[-1]}: …`" if loc else None
    if item["type"] == "extra_forbidden":
        return _unknown_key(str(loc[-1]), loc[:-1])
    if given is EMPTY or given == "":
        return _empty(loc, name)
    if item["type"] == "string_pattern_mismatch":
        control = next(char for char in given if unicodedata.category(char) == "Cc")
        return f"{name}: the control character {named(control)} is not allowed in a name or version", "remove it"
    return f"{name}: {_expectation(item['type'], context, given)}", None


def _name(loc: Loc) -> str:
    match loc:
        case (*_, list_name, int(index)):
            return f"item {index + 1} of {shown(str(list_name))}"
        case (*_, key):
            return shown(str(key))
    return "the document"


def _empty(loc: Loc, name: str) -> tuple[str, str]:
    match loc:
        case ("devices", _, str()) | ("groups", _, "flows", str()) | ("pins", _, "flows", str()):
            return f"{name} has no version", "write `absent` if this flow must not run here"
        case ("groups", _, "rollout"):
            return f"{name} is empty", "name a policy, or write `none` to lift what a base names"
    return f"{name} is empty", "give it a value or remove the key"


_MAP = "expected a map (key: value), found {noun}"
_EXPECTATIONS = {
    "string_type": "expected text, found {noun}",
    "dict_type": _MAP,
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "list_type": "expected a list (- item), found {noun}",
    "literal_error": "expected {expected}, found {noun}",
    "string_too_long": "longer than {max_length} characters",
    "too_short": "needs at least one entry",
    "too_long": "has {actual_length} entries, {max_length} at most",
}


def _expectation(kind: str, context: Mapping[str, Any], given: object) -> str:
    words = {key: str(value).replace("'", '"') for key, value in context.items()}
    return _EXPECTATIONS.get(kind, f"not as expected ({kind})").format_map({**words, "noun": _noun(given)})


def _noun(given: object) -> str:
    match given:
        case str():
            return shown(given)
        case Mapping():
            return "a map"
        case Sequence():
            return "a list"
    return "nothing" if given is EMPTY else shown(str(given))


def _unknown_key(key: str, parent: Loc) -> tuple[str, str]:
    if key in ("salt", "may_be_empty") and parent[-1:] in (("select",), ("exclude",)):
        return f"unknown key {shown(key)}", "it belongs in the group, next to `select`"
    if parent[:1] == ("rollouts",) and parent[2:3] == ("waves",) and key in _NO_WAVE:
        return f"unknown key {shown(key)}", _NO_WAVE[key]
    pattern = tuple("*" if index == 1 else part for index, part in enumerate(parent[:3]))
    model = _MODELS.get(pattern, schema.Document)
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = nearest(key, known)
    return f"unknown key {shown(key)}", f"did you mean {near}?" if near else f"known keys: {', '.join(known)}"


# Keys of a selector that a wave does not have.
_NO_WAVE = {
    "query": "a query may answer otherwise at the next reading; pick the devices by a tag",
    "all": "leave the wave out: all that is left is the last wave",
}

# The model at a location; `*` matches any key or index. Any other location is the document itself.
_MODELS: dict[Loc, type[BaseModel]] = {
    ("application",): schema.ApplicationPart,
    ("groups", "*"): schema.GroupPart,
    ("groups", "*", "select"): schema.SelectPart,
    ("pins", "*"): schema.PinPart,
    ("protect", "*"): schema.ProtectPart,
    ("limits",): schema.LimitsPart,
    ("limits", "*"): schema.LimitPart,
    ("groups", "*", "rollout"): schema.RolloutPart,
    ("rollouts", "*"): schema.PolicyPart,
    ("rollouts", "*", "waves"): schema.WavePart,
    ("rollouts", "*", "gate"): schema.GatePart,
    ("rollouts", "*", "budget"): schema.BudgetPart,
    ("rollouts", "*", "window"): schema.WindowPart,
}
