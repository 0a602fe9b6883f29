"""The system's Chromium, driven by Playwright: one browser, and pages with all that they asked for or said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
SETUP = "run .ci/browser, which installs what they need"


def missing() -> str | None:
    """What the tests in a browser lack on this machine."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return f"Playwright is not installed: {SETUP}"
    if executable() is None:
        return f"there is no Chromium on the PATH ({', '.join(NAMES)}): {SETUP}"
    return None if AXE.exists() else f"axe-core is not installed: {SETUP}"


def executable() -> str | None:
    """The system's Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """A page in the browser."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(10_000)
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, file: Path) -> None:
        """Open a file."""
        self.page.goto(file.as_uri())

    def show(self, html: str) -> None:
        """Show a page that is no file."""
        self.page.set_content(html)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Take a picture of what is in view, or of the whole page."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, full_page=whole, animations="disabled")


class Chromium:
    """A browser inside the block."""

    def __enter__(self) -> Chromium:
        from playwright.sync_api import sync_playwright

        self._driver: Any = sync_playwright().start()
        # A machine that is root has no sandbox; the pages are our own.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        self._browser = self._driver.chromium.launch(executable_path=executable(), args=arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._driver.stop()

    @contextmanager
    def page(
        self, *, width: int = 1280, height: int = 900, scheme: str = "light", script: bool = True, zone: str = "UTC"
    ) -> Iterator[Tab]:
        """A page of a fresh context. It is offline: whatever it asks for fails, and is noted."""
        options: dict[str, Any] = {
            "viewport": {"width": width, "height": height},
            "color_scheme": scheme,
            "java_script_enabled": script,
            "timezone_id": zone,
            "locale": "en-GB",
            "offline": True,
        }
        context = self._browser.new_context(**options)
        try:
            yield Tab(context.new_page())
        finally:
            context.close()
