"""The border to the Losant REST API."""

import sys

# `import httpx` also imports httpx's own command line wherever click, pygments and rich are, and these with it: a
# sixth of what a plan takes to start. None stands for a module that is not there, which httpx is prepared for; that it
# still is, and that nothing else of httpx is missing then, is tested in `tests/test_architecture.py`.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
