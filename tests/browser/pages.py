"""`python -m tests.browser.pages` takes the README's pictures; `--measure` times the page of a large fleet."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from reconciler.render.html.status import status_html
from tests.browser.browser import Chromium
from tests.support.demo_pages import FOLDER, HASHES, demo_pages, hashes
from tests.support.hostile_documents import large_status

PAINTS = "performance.getEntriesByType('paint').map(one => [one.name, Math.round(one.startTime)])"

OF_ROLLOUTS = ("waves", "rollout")
TO_ROLLOUTS = (
    "[...document.querySelectorAll('h3')].find(one => one.textContent.startsWith('Rollouts')).scrollIntoView()"
)


def take_pictures() -> None:
    """Picture the demo's pages, and note what was pictured."""
    pages = demo_pages()
    with Chromium() as chromium:
        for name, html in pages.items():
            with chromium.page(width=1200, height=860) as tab:
                tab.show(html)
                if name in OF_ROLLOUTS:
                    tab.page.evaluate(TO_ROLLOUTS)
                tab.picture(FOLDER / f"{name}.png")
    HASHES.write_text(hashes(pages), encoding="utf-8")


def measure() -> None:
    """Print the size of the page of 100,000 devices that all lag, and when a browser painted it."""
    html = status_html([large_status(100_000)])
    with tempfile.TemporaryDirectory() as folder, Chromium() as chromium, chromium.page() as tab:
        file = Path(folder) / "large.html"
        file.write_text(html, encoding="utf-8")
        tab.open(file)
        tab.page.wait_for_function("performance.getEntriesByType('paint').length > 1")
        print(f"{len(html.encode()) / 1e6:.2f} MB", *tab.page.evaluate(PAINTS))


if __name__ == "__main__":
    measure() if "--measure" in sys.argv[1:] else take_pictures()
