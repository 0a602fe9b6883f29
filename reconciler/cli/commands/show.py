"""`reconciler show`: print a saved plan again."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@click.argument("file", metavar="FILE", type=click.Path())
@opt.formats("text", "json", "markdown")
@opt.max_bytes
@opt.commit
@click.pass_obj
def command(console: Console, file: str, *, fmt: str, max_bytes: int, commit: str | None) -> int:
    """Print what `plan --out` or `apply --result` saved. Touches no network."""
    from reconciler.cli.files import load_saved
    from reconciler.cli.output import results_document, write_plans, write_results
    from reconciler.errors import ExitCode

    saved = load_saved(file)
    if saved.plans is not None:
        write_plans(console, "show", saved.plans, fmt=fmt, max_bytes=max_bytes, commit=commit)
    elif fmt == "json":
        code = ExitCode(saved.code)
        console.write_document(results_document("show", saved.results, code=code, problems=saved.problems))
    else:
        # The other codes are explained by the results themselves.
        problems = saved.problems if saved.code in (ExitCode.ERROR, ExitCode.REFUSED, ExitCode.STALE) else ()
        write_results(
            console,
            saved.results,
            code=saved.code,
            problems=problems,
            fmt=fmt,
            max_bytes=max_bytes,
            commit=commit,
        )
    return console.exit(ExitCode.DONE)
