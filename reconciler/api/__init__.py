"""The border to the Losant REST API."""

import sys

# `import httpx` imports httpx's own command line wherever click, pygments and rich are, and so all of these: more than
# half of its time. None stands for a module that is not there, which httpx is prepared for.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
