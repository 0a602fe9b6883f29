"""`python -m reconciler`, and what the installed command runs."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from reconciler.cli.app import run  # noqa: PLC0415 - keeps `import reconciler.__main__` free of effects

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
