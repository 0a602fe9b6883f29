"""The unified diff of edited manifests."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from reconciler.model.text import encoding_of
from reconciler.operations.editing.drafts import Edited
from reconciler.render.inert import inert

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_NO_END = "\\ No newline at end of file"


def edits_text(files: Iterable[Edited]) -> str:
    """The diff of all files; line ends are not shown, since none is changed."""
    return "\n".join(line for one in files for line in _diff(one))


def _diff(edited: Edited) -> Iterator[str]:
    before, after = (_LINE.findall(data.decode(encoding_of(data))) for data in (edited.before, edited.after))
    for line in difflib.unified_diff(before, after, edited.path, edited.path):
        text = line.rstrip("\r\n")
        yield (
            f"{text[0]}{inert(text[1:])}" if text[:1] in "+- " and not text.startswith(("---", "+++")) else inert(text)
        )
        if text == line:
            yield _NO_END
