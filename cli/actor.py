"""Who gives a command: what the audit trail and others keep of it."""

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # heavy, and most commands that may be put on record only show something
    from db.repositories.audit import Actor

By = Annotated[str | None, typer.Option(help="Who asks for it; kept beside the log-in name, which is the default.")]
"""The `--by` option of every command that is put on record."""


def acting(name: str | None = None) -> "Actor":
    """Whoever is named, else the log-in name."""
    from db.repositories.audit import Actor

    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        login = f"uid-{os.getuid()}"
    return Actor((name or "").strip() or login, f"cli:{login}")
