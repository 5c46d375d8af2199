"""The `mediagate` program: mounts the commands and turns errors into one clear line.

Commands are imported when they are called; `--help` shows the texts below without importing any of them.
"""

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from cli.output import print_error, turn_colour_off
from mediagate.errors import InvalidRequest, MediagateError
from mediagate.processes import leave


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a command lives: `attribute` is a `typer.Typer()` (a group of commands) or a function (one command)."""

    module: str
    attribute: str
    help: str
    local: bool = False
    """It needs the packages of the local stack, which a production install leaves out."""


MOUNTS = {
    "dev": Mount("cli.dev", "dev", "Run the whole local stack.", local=True),
    "demo": Mount("cli.demo", "demo", "Send files through the whole system and show what became of them.", local=True),
    "doctor": Mount("cli.doctor", "doctor", "Check this machine and the running stack.", local=True),
    "setup": Mount("cli.setup", "setup", "Make a deployment ready: schema, bucket, library, API key."),
    "db": Mount("cli.db", "app", "Migrations, backup, restore and reset of the database."),
    "backup": Mount("cli.recovery", "app", "Database and objects together: back up, verify, restore a deployment."),
    "validate": Mount("cli.validate", "validate", "Walk a live deployment and say what passes and what fails."),
    "backups": Mount("cli.backups", "app", "Compare masters with their backups, and restore."),
    "imports": Mount("cli.imports", "app", "Import many objects from a source, and follow, pause or cancel that."),
    "banks": Mount("cli.banks", "app", "Hash banks: what is known to be bad or good, and what it hit."),
    "policy": Mount("cli.policy", "app", "Policies: store, try, activate, and hold against what is decided."),
    "stores": Mount("cli.stores", "app", "Object stores: list, check, and move libraries between them."),
    "storage": Mount("cli.storage", "app", "What is stored: statistics, scrubs with repair, retention and trash."),
    "schedules": Mount("cli.schedules", "app", "What runs by itself: list, trigger, pause."),
    "report": Mount("cli.report", "report", "What happened and how fast: uploads, times, vendors, what waits."),
    "variants": Mount("cli.variants", "app", "Find and rebuild pictures that a change of settings made stale."),
    "evidence": Mount("cli.evidence", "app", "Sealed evidence: list, open, verify, hold, and rotate its keys."),
    "vendors": Mount("cli.vendors", "app", "Moderation vendors: circuit breakers, calls and costs."),
    "flags": Mount("cli.flags", "app", "Feature flags and kill switches: list, change, explain, count."),
    "inbox": Mount("cli.inbox", "app", "Events of vendors that reached no run, and delivering them again."),
    "logs": Mount("cli.logs", "logs", "Log lines that are kept in the database: by item, request, or trouble."),
    "runs": Mount("cli.runs.commands", "app", "Find, inspect and repair workflow runs."),
    "audit": Mount("cli.audit", "app", "Who did what to the gate: list, verify, export."),
    "preflight": Mount("cli.preflight", "preflight", "Is everything fit for this release, before anything is changed?"),
    "deploy": Mount("cli.deploy.commands", "deploy", "Bring a release out by a plan, and back if it is not well."),
    "deployments": Mount("cli.deployments", "app", "Versions of the workers: list, promote, ramp, drain."),
}


class LazyGroup(TyperGroup):
    """Loads a command when it is called; lists them from `MOUNTS`."""

    listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Those whose module is there, in the order of `MOUNTS`."""
        del ctx
        return [name for name, mount in MOUNTS.items() if importlib.util.find_spec(mount.module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; while the help page is made, only its name and text."""
        if cmd_name not in self.list_commands(ctx):
            return None
        mount = MOUNTS[cmd_name]
        if self.listing:
            return TyperCommand(cmd_name, help=mount.help)
        if mount.local and not importlib.util.find_spec("aiosmtpd"):
            raise InvalidRequest(
                f"`mediagate {cmd_name}` needs the local stack, which this install leaves out. In a checkout: "
                "`uv sync --group stack`. `mediagate preflight` and `mediagate validate URL` check a deployment."
            )
        target = getattr(importlib.import_module(mount.module), mount.attribute)
        if isinstance(target, typer.Typer):
            command: Any = get_group(target)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
            single.command(name=cmd_name)(target)
            command = get_command(single)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Make the help page without importing the commands."""
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the name of a command without importing the commands."""
        self.listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.listing = False


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def options(
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours, as NO_COLOR=1 does.")] = False,
) -> None:
    """Mediagate: a durable gate between an upload and the public."""
    if no_color:
        turn_colour_off()


def main() -> NoReturn:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; commands may add their own."""
    try:
        app()
        code = 0
    except MediagateError as error:
        print_error(error.code, error.message, as_json="--json" in sys.argv)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    leave(code)


if __name__ == "__main__":
    main()
