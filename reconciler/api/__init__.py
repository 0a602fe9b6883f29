"""The client for the Losant REST API."""

import sys

# Where click, pygments and rich are installed, `import httpx` also imports httpx's command line and all three of them:
# a sixth of a plan's start-up time. None makes that module look uninstalled, which httpx handles;
# `tests/test_architecture.py` checks that it still does, and that the rest of httpx works.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
