"""Release information: the version, its consistency, and the release notes.

python .ci/release.py version       the version of this checkout
python .ci/release.py check TAG     fail unless tag, version and newest changelog section agree
python .ci/release.py notes         that section, as release notes
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SECTION = re.compile(r"^## (\S+)[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def version() -> str:
    """The version of the package."""
    text = (ROOT / "reconciler/__init__.py").read_text(encoding="utf-8")
    return str(re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0])


def newest_section() -> tuple[str, str]:
    """The title and text of the first section of the changelog."""
    title, text = _SECTION.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))[0]
    return title, text.strip()


def problems(tag: str, repository: str) -> list[str]:
    """Everything that prevents a release of this checkout with this tag from this repository."""
    found = []
    if tag != f"v{version()}":
        found.append(f"reconciler/__init__.py: the tag is {tag}, the version {version()}")
    title, text = newest_section()
    if title != version():
        found.append(f"CHANGELOG.md: the version is {version()}, the newest section is {title}")
    if not text:
        found.append(f"CHANGELOG.md: the section {title} is empty")
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    home = f"https://github.com/{repository}"
    mismatched = [name for name, url in urls.items() if not re.match(rf"{re.escape(home)}(?![\w.-])", url)]
    if mismatched:
        found.append(f"pyproject.toml: the release is from {home}, but {', '.join(mismatched)} point elsewhere")
    return found


def main(command: str, *arguments: str) -> int:
    """Run one command. Returns the exit code."""
    match command, arguments:
        case "version", ():
            print(version())
        case "notes", ():
            print(newest_section()[1])
        case "check", (tag,):
            found = problems(tag, os.environ["GITHUB_REPOSITORY"])
            print("\n".join(found) or f"{tag} can be released")
            return int(bool(found))
        case _:
            print(__doc__)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
