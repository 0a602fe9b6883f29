"""Write the text that `plan` shows into every plan case: `python -m tests.planner.rewrite_cases`, then read the diff.

`text` and `verbose` are the last keys of a case; everything above them is left as it is. A case has `verbose`, the
text under `-v`, if it says so: an empty `verbose:` is filled in.
"""

from __future__ import annotations

import re
from textwrap import indent

from tests.support.cases import FOLDER, load, shown

_GOLDEN = re.compile(r"^(text|verbose):.*\Z", re.DOTALL | re.MULTILINE)


def main() -> None:
    """Rewrite each case."""
    for case in load():
        path = FOLDER / f"{case.name}.yaml"
        head = _GOLDEN.sub("", path.read_text("utf-8")).rstrip("\n") + "\n"
        texts = shown(case.plan(), verbose="verbose" in case.data)
        path.write_text(head + "".join(f"{key}: |\n{indent(text, '  ')}" for key, text in texts.items()), "utf-8")


if __name__ == "__main__":
    main()
