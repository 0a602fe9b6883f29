"""The entry point of `python -m reconciler` and of the installed command."""

import contextlib
import gc
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line and end the process with its exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for them in all that is installed
    gc.set_threshold(500_000)  # importing makes much and no garbage: at the default, looking for it is a sixth of that
    from reconciler.cli.app import run  # noqa: PLC0415 - keeps `import reconciler.__main__` free of effects

    _end(run(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """End the process at once.

    Python would first tear down every module, which takes a tenth of a second; and if an interrupt arrived during an
    `exec`, as in the making of a dataclass, it would end with that signal whatever the code.
    """
    with contextlib.suppress(OSError, ValueError):  # messages cannot change what was done
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # its reader is gone, or it is closed
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
