"""The browser that these tests share, and the pages that they look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.model.digest import digests
from reconciler.render.html.plan import plan_html
from reconciler.render.html.result import result_html
from reconciler.render.html.status import status_html
from tests.browser.browser import Chromium, missing
from tests.support import hostile_documents as documents
from tests.support.demo_pages import demo_pages

IN_CI = bool(os.environ.get("CI"))  # tests run without it
LACKS = missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where there is no browser, but never in CI."""
    for item in items:
        if LACKS and Path(__file__).parent in item.path.parents:
            if IN_CI:
                raise pytest.UsageError(f"tests/browser cannot be skipped in CI: {LACKS}")
            item.add_marker(pytest.mark.skip(reason=LACKS))


def pages_of(*texts: str) -> dict[str, str]:
    """A page of each document. It has a part for each text, in which all that somebody else wrote is that one."""
    plans = [documents.plan(text) for text in texts]
    results = [documents.result(text) for text in texts]
    problems = [documents.problem(text) for text in texts]
    return {
        "status": status_html([documents.status(text) for text in texts], commit=texts[0]),
        "plan": plan_html(plans, digests(plans), commit=texts[0]),
        "result": result_html(results, exit_code=6, problems=problems, commit=texts[0]),
    }


@pytest.fixture(scope="session")
def demo() -> Mapping[str, str]:
    """The demo's pages. They are made before the browser starts, whose event loop would be in the way."""
    return demo_pages()


@pytest.fixture(scope="session")
def chromium(demo: Mapping[str, str]) -> Iterator[Chromium]:
    """The browser."""
    with Chromium() as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """What writes a page to a file."""

    def write(html: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return path

    return write
