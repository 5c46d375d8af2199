"""Options that several commands on runs have, and the completion of their values."""

from typing import Annotated

import typer

from workflows.operations.resetting import STEPS

NOTHING_TO_DO = 3
FOUND = 4
"""Exit code of commands that look for something that should not be there, where it is."""

ANY = "any"

Library = Annotated[str | None, typer.Option(help="Only this library.")]
Kind = Annotated[str | None, typer.Option(help="Only this failure kind, e.g. ObjectMissing.")]
WorkflowType = Annotated[str, typer.Option("--type", help="Workflow type; `any` for all.")]
Query = Annotated[str | None, typer.Option(help="A further condition in Temporal's list filter language.")]
ClosedSince = Annotated[str | None, typer.Option("--since", help="Closed since: 30m, 2h, 7d or a time (UTC).")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would happen is shown.")]


def steps_of(incomplete: str) -> list[str]:
    """Names of steps that begin so, for the shell."""
    return [name for name in STEPS if name.startswith(incomplete)]


def type_of(given: str) -> str | None:
    """None for `any`."""
    return None if given == ANY else given
