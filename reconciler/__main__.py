"""`python -m reconciler`, and what the installed command runs."""

import gc
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line and end the process with its exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for them in all that is installed
    gc.set_threshold(100_000)  # importing makes much and no garbage: at the default, looking for it is a sixth of that
    from reconciler.cli.app import run  # noqa: PLC0415 - keeps `import reconciler.__main__` free of effects

    _end(run(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """End at once.

    Python would first take down every module, which is a tenth of a second; and where an interrupt arrived in an
    `exec`, as of a dataclass being made, it would end by that signal whatever the code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, or it is closed
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
