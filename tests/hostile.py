"""Names that want to be more than text, and a look at Markdown pages with the eyes of three kinds of renderer.

GitHub and GitLab read HTML in Markdown and fold `<details>`; Bitbucket shows every tag as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

NAMES = [
    "a | b | c",
    "`tick` ``two`` ```three```",
    "~~~~\n~~~~",
    "````````````",
    "<script>alert(1)</script><img src=x onerror=y>",
    "<!-- --> </details>",
    "</summary><details>",
    "@team/everyone #1 GH-2 c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
    "[link](https://evil.example) ![image](https://evil.example/x.png) https://evil.example",
    "line\n::error::not ours\n::set-output name=apply::true",
    "##[command]rm ##vso[task.setvariable variable=x]y",
    "%0A::warning::not ours %25 %2C",
    "bell\x07 esc\x1b[31m bidi\u202eevil\u2066 zero\u200bwidth",
    "🚀" * 255,
    '$(touch pwned) ${{ secrets.OTHER }} `id` "; exit 0 #',
    "\\",
    "\\| back \\` slash \\",
    "   # heading",
    "\t- item\n\n1. item\n> quote",
    "$math$ $`x`$ :tada: **bold** _it_ ~~gone~~ &lt;b&gt; [^1] <https://evil.example>",
    "    ",
]

GITHUB = MarkdownIt("gfm-like", {"linkify": False})  # and GitLab
BITBUCKET = MarkdownIt("gfm-like", {"linkify": False, "html": False})
OURS = re.compile(r"</?details>|<summary>[^<>]*</summary>|<!-- reconciler .* -->")


def check_page(text: str, max_bytes: int) -> None:
    """A page that keeps its size, that no name breaks out of, and that reads the same with and without HTML."""
    assert len(text.encode("utf-8", "surrogatepass")) <= max_bytes
    assert text.endswith("\n")
    depth = 0
    for before, line, after in zip(lines := text.split("\n"), lines[1:], lines[2:], strict=False):
        opens, closes = line.startswith("<details><summary>"), line == "</details>"
        if opens or closes:
            assert before == after == "", "GitHub and GitLab want empty lines around the tags of a folded part"
        depth += opens - closes
        assert depth in (0, 1, 2)
    assert depth == 0, "a folded part is not closed"
    harmless(text)
    read, plain = GITHUB.parse(text), BITBUCKET.parse(text)
    assert shape(read) == shape(plain), "without HTML the page falls into other pieces"
    assert not [token for token in plain if token.type == "html_block"]
    for cells in tables(text):
        assert len(set(cells)) == 1, f"rows of one table have {cells} cells"


def harmless(markdown: str) -> str:
    """No link, image, HTML but our own folding, nor block that swallows the rest; the text of all code spans."""
    tokens = GITHUB.parse(markdown)
    inline = [child for token in tokens for child in token.children or []]
    assert not [child for child in inline if child.type in ("link_open", "image")]
    html = [token.content for token in tokens if token.type == "html_block"]
    html += [child.content for child in inline if child.type == "html_inline"]
    for piece in html:
        left = OURS.sub("", piece)
        assert "<" not in left, left
    plain = "".join(child.content for child in inline if child.type == "text")
    for sign in ("@team", "GH-2", "https://evil", "c0ffee", "secrets.", "tada", "🚀"):
        assert sign not in plain, f"{sign} outside of code in {plain!r}"
    return "\n".join(child.content for child in inline if child.type == "code_inline")


def shape(tokens: list[Token]) -> list[str]:
    """Headings, tables, lists and blocks of code in order, with all code in them."""
    kinds = ("heading_open", "tr_open", "list_item_open", "code_block", "fence")
    found = []
    for token in tokens:
        if token.type in kinds:
            found.append(token.type)
        found += [child.content for child in token.children or [] if child.type == "code_inline"]
    return found


def tables(text: str) -> Iterator[list[int]]:
    """The number of cells of each row, for each table."""
    for is_row, lines in groupby(text.split("\n"), key=lambda line: line.startswith("| ")):
        if is_row:
            yield [line.count("|") - 1 for line in lines]


def cells(markdown: str, column: int) -> list[str]:
    """The code in one column of the first table, row by row."""
    tokens = GITHUB.parse(markdown)
    inside = [token for before, token in pairwise(tokens) if before.type == "td_open"]
    width = next(tables(markdown))[0]
    return [
        "".join(child.content for child in token.children or [] if child.type == "code_inline")
        for token in inside[column::width]
    ]
