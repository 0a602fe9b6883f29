"""What the README shows is what the product does. `python -m tests.test_docs` writes the shown output anew."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.commands.ci import command as ci
from reconciler.cli.commands.demo import demo_fleet, demo_manifest
from reconciler.cli.registry import COMMANDS
from reconciler.errors import ExitCode
from reconciler.simulator import serve
from tests.support.cli import run_installed
from tests.support.demo_pages import FOLDER, HASHES, demo_pages, hashes

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
OUTPUT = re.compile(r"(<!-- output of: reconciler ([^\n]+) -->\n```(?:text|yaml)\n)(.*?)(```)", re.DOTALL)
FILE = re.compile(r"(<!-- file: ([^\n]+) -->\n```yaml\n)(.*?)(```)", re.DOTALL)


def outputs() -> Iterator[tuple[str, str, str]]:
    """Command line, text shown, text produced, for each output that the README shows."""
    with serve(demo_fleet()) as server:
        env = {**os.environ, "LOSANT_API_URL": server.url, "LOSANT_API_TOKEN": server.token}
        for match in OUTPUT.finditer(README.read_text(encoding="utf-8")):
            ended = run_installed(*match[2].split(), cwd=ROOT, env=env)
            assert ended.code == 0, ended.err
            yield match[2], match[3], ended.out


def test_readme_shows_real_output() -> None:
    seen = 0
    for command, shown, produced in outputs():
        assert shown == produced, command
        seen += 1
    assert seen


def test_readme_shows_real_files() -> None:
    shown = FILE.findall(README.read_text(encoding="utf-8"))
    assert shown
    for _, path, text, _ in shown:
        assert text == (ROOT / path).read_text(encoding="utf-8"), path


def test_the_demo_has_the_repositorys_manifest() -> None:
    assert demo_manifest() == (ROOT / "manifests/demo.yaml").read_text(encoding="utf-8")


def test_the_readmes_pictures_are_of_todays_pages() -> None:
    """If not: `.ci/browser --pictures`."""
    assert HASHES.read_text(encoding="utf-8") == hashes(demo_pages())
    shown = set(re.findall(r"\(docs/pages/([a-z]+\.png)\)", README.read_text(encoding="utf-8")))
    assert shown == {path.name for path in FOLDER.glob("*.png")}


def test_readme_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `reconciler ([a-z]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == set(COMMANDS)


def test_readme_lists_every_exit_code() -> None:
    listed = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [str(int(code)) for code in ExitCode]


PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LINKS = {(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(("page", "link"), sorted(LINKS), ids=str)
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert link.startswith("https://") or (page.parent / link).exists()


def test_the_guide_to_ci_lists_every_step() -> None:
    listed = re.findall(
        r"^\| `([a-z-]+)` \| [a-z]+s[ ;,]", (ROOT / "docs/ci.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(ci.commands)


def write_anew() -> None:
    """Put today's output and files into the README."""
    text = README.read_text(encoding="utf-8")
    for command, _, produced in list(outputs()):
        pattern = re.compile(
            rf"(<!-- output of: reconciler {re.escape(command)} -->\n```(?:text|yaml)\n)(.*?)(```)", re.DOTALL
        )
        text = pattern.sub(lambda match, new=produced: match[1] + new + match[3], text)  # type: ignore[misc]
    text = FILE.sub(lambda match: match[1] + (ROOT / match[2]).read_text(encoding="utf-8") + match[4], text)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_anew()
