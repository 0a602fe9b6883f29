"""Makes a page from a template: every text that is put in is inert and escaped, whatever the template says.

The page may load nothing, and run no script and apply no style but its own: its Content-Security-Policy names both by
their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reconciler import __version__
from reconciler.model.changes import Op
from reconciler.render.inert import inert, words

LONGEST: Final = 1_000  # characters of one text; a name of the API has at most 255
_SIGNS = {Op.ADD: "+", Op.UPDATE: "~", Op.REMOVE: "−"}
_VERBS = {Op.ADD: "add", Op.UPDATE: "change", Op.REMOVE: "destroy"}


class Moment(NamedTuple):
    """A time: `iso` for programs, if it is one, and `text` for readers."""

    iso: str | None
    text: str


def page(template: str, /, **parts: Any) -> str:
    """The page of a template, as the text of a file."""
    environment = _environment()
    style, script = (_source(name) for name in ("page.css", "page.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return environment.get_template(template).render(
        policy=Markup(policy),  # noqa: S704 - made of constants and hashes
        style=style,
        script=script,
        version=__version__,
        **parts,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reconciler.render.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_inert,
    )
    environment.filters |= {
        "number": _number,
        "moment": moment,
        "words": words,
        "sign": _sign,
        "verb": _verb,
        "columns": _columns,
        "lines": _lines,
    }
    return environment


def _inert(value: Any) -> Any:
    """What a template puts into the page: text becomes inert; autoescape follows."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else inert(value, limit=LONGEST)


@cache
def _source(name: str) -> Markup:
    environment = _environment()
    assert environment.loader is not None  # noqa: S101 - for the types
    return Markup(environment.loader.get_source(environment, name)[0])  # noqa: S704 - a file of this package


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _number(value: int) -> str:
    return f"{value:,}"


def _sign(op: Op) -> str:
    return _SIGNS.get(op, "?")


def _verb(op: Op) -> str:
    return _VERBS.get(op, str(op))


def _columns(states: Iterable[str]) -> list[tuple[str, str]]:
    """Columns of numbers, one for each state."""
    return [(words(state), "n") for state in states]


def _lines(texts: Iterable[str]) -> Markup:
    """Lines that must stay whole, since somebody will copy them; each is inert."""
    return Markup("\n").join(escape(inert(text)) for text in texts)


def moment(value: str | datetime) -> Moment:
    """A time in UTC; text that is none is shown as it is. Without a zone it is taken for UTC."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return Moment(None, str(value))
    return Moment(f"{at:%Y-%m-%dT%H:%M:%S}Z", f"{at:%Y-%m-%d %H:%M:%S} UTC")
