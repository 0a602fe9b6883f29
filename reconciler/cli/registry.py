"""The commands, each described once."""

from __future__ import annotations

from typing import Final, NamedTuple


class CommandInfo(NamedTuple):
    """One command. `listed`: the key of the list in its JSON document; None if it writes no document."""

    name: str
    summary: str
    listed: str | None = None

    @property
    def module(self) -> str:
        """The module with its click command, imported only when the command is used."""
        suffix = "_" if self.name == "import" else ""  # a keyword
        return f"reconciler.cli.commands.{self.name.replace('-', '_')}{suffix}"


# In the order of the help text.
COMMANDS: Final = {
    command.name: command
    for command in (
        CommandInfo("validate", "Check manifests offline.", "applications"),
        CommandInfo("plan", "Show what would change.", "plans"),
        CommandInfo("show", "Print a saved plan or result again.", "plans"),
        CommandInfo("apply", "Carry out a plan.", "results"),
        CommandInfo("status", "Show sync and health of the fleet.", "status"),
        CommandInfo("diff", "Compare two revisions of the manifests in meaning.", "differences"),
        CommandInfo("lock", "Lock what the declared versions are."),
        CommandInfo("outdated", "Show which declared versions are not the newest.", "versions"),
        CommandInfo("set", "Edit the version of a flow in a manifest."),
        CommandInfo("promote", "Carry versions from one environment to another."),
        CommandInfo("import", "Write a manifest from live state."),
        CommandInfo("export", "Request the compiled WASM of a device or deployment.", "exports"),
        CommandInfo("schema", "Print the JSON Schema of the manifest."),
        CommandInfo("applications", "List the applications that manifests are for.", "applications"),
        CommandInfo("init", "Write manifests and the CI workflow into a repository."),
        CommandInfo("ci", "Run a step of a CI pipeline."),
        CommandInfo("completion", "Print the completion script of a shell."),
        CommandInfo("simulator", "Run a local simulator of the API."),
        CommandInfo("demo", "Demonstrate everything on a simulated fleet."),
    )
}
