"""`reconciler schema`: prints the JSON Schema of the manifest, or of the JSON documents that commands write."""

from __future__ import annotations

import json

import click

from reconciler.cli.console import Console


@click.command
@click.option("--output", is_flag=True, help="Print the schema of commands' JSON output instead.")
@click.pass_obj
def command(console: Console, *, output: bool) -> None:
    """Print a JSON Schema, for editors and for tools that read or write the files.

    An editor with the YAML language server uses it if the file starts with a line such as
    `# yaml-language-server: $schema=manifest.schema.json`.
    """
    if output:
        from reconciler.documents.json_schema import output_schema as schema
    else:
        from reconciler.manifest.json_schema import manifest_schema as schema
    console.write(json.dumps(schema(), indent=2, ensure_ascii=False), is_document=True)
