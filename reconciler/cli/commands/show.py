"""`reconciler show`: prints a saved plan, result or status again."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console


@click.command
@click.argument("file", metavar="FILE", type=click.Path())
@opt.formats("text", "json", "markdown", "html")
@opt.max_bytes
@opt.commit
@click.pass_obj
def command(console: Console, file: str) -> None:
    """Print what `plan --out`, `apply --result` or `status --format json` saved. Works offline."""
    from reconciler.cli.output import write_plans, write_results, write_status
    from reconciler.documents.result import Ended, result_document
    from reconciler.documents.saved_plan import load_saved
    from reconciler.documents.status import Stood

    saved = load_saved(file)
    if isinstance(saved, Stood):
        write_status(console, saved.reports)
    elif not isinstance(saved, Ended):
        write_plans(console, "show", saved)
    elif console.wants_json:
        console.write_document(result_document(saved.results, "show", code=saved.code, problems=saved.problems))
    else:
        write_results(console, saved.results, saved.code, saved.unexplained)
