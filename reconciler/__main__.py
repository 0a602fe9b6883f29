"""`python -m reconciler`, and what the installed command runs."""

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from reconciler.cli.app import run  # noqa: PLC0415 - keeps `import reconciler.__main__` free of effects

    code = run(sys.argv[1:])
    if code == INTERRUPTED:
        _end_now(code)
    sys.exit(code)


def _end_now(code: int) -> None:
    """Python itself would end by the signal if the interrupt arrived in an `exec`, as of a dataclass being made."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, or it is closed
            continue
    os._exit(code)


if __name__ == "__main__":
    main()
