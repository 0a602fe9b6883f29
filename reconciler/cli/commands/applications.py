"""`reconciler applications`: what the paths hold."""

from __future__ import annotations

import click

from reconciler.cli import options as opt
from reconciler.cli.console import Console

GITHUB_JOBS = 256  # as many as GitHub makes of one matrix


@click.command
@opt.paths
@opt.formats("text", "json", "github-matrix")
@click.pass_obj
def command(console: Console, paths: tuple[str, ...], *, fmt: str) -> int:
    """List the applications and kinds that the paths hold, with their files. Touches no network.

    `github-matrix` prints one line for a workflow's `strategy.matrix`: rows with application, name, kind and paths.
    GitHub makes at most 256 jobs of a matrix.
    """
    import json

    from reconciler.cli.output import application_line
    from reconciler.documents.applications import held_part
    from reconciler.errors import ExitCode
    from reconciler.operations.applications import load

    held = load(*paths, stdin=opt.standard_input(paths))
    rows = [held_part(rules) for rules in held]
    match fmt:
        case "json":
            console.write_json("applications", applications=rows)
        case "github-matrix":
            if len(rows) > GITHUB_JOBS:
                console.note(
                    f"Warning: {len(rows)} rows, but GitHub makes at most {GITHUB_JOBS} jobs of a matrix; "
                    "name fewer paths in each workflow"
                )
            console.write(json.dumps({"include": rows}, separators=(",", ":")))
        case _:
            console.write("\n".join(map(application_line, held)))
    return console.exit(ExitCode.DONE)
