"""`mediagate db`: the schema's migrations."""

from typing import Annotated

import typer

from cli.local_stack import adopt_local_stack
from cli.output import Json, mark, print_json, print_line, print_table
from db import migrate
from mediagate.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the database's schema up or down, and see where it stands.\n\n"
    "The database is MEDIAGATE_DATABASE_URL, else that of the local stack on MEDIAGATE_STATE_DIR; `mediagate dev` "
    "migrates its own.",
)


def _url() -> str:
    adopt_local_stack()
    return Settings().database_url.get_secret_value()


@app.command()
def status(as_json: Json = False) -> None:
    """List every migration and whether it is applied. Exit code 1 if one is missing.

    Example: `mediagate db status --json`
    """
    revisions = migrate.status(_url())
    if as_json:
        print_json([{"id": r.id, "title": r.title, "applied": r.applied} for r in revisions])
    else:
        rows = [(r.id, r.title, mark("ok") if r.applied else mark("warn")) for r in revisions]
        print_table(["revision", "what it does", "applied"], rows)
    raise typer.Exit(0 if all(r.applied for r in revisions) else 1)


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="A revision, or head.")] = "head") -> None:
    """Apply migrations up to a revision; does nothing where they are applied already.

    Example: `mediagate db upgrade`
    """
    migrate.upgrade(_url(), revision)
    print_line(f"The schema stands at {revision}.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, -1 for one step, base for an empty schema.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this, only what would be undone is shown.")
    ] = False,
) -> None:
    """Undo migrations down to a revision. What their tables hold is lost, so it only shows what it would do.

    Example: `mediagate db downgrade -1 --yes`
    """
    if not yes:
        applied = [r for r in migrate.status(_url()) if r.applied]
        print_table(["revision", "what it does"], [(r.id, r.title) for r in reversed(applied)], title="Applied now")
        print_line(f"Nothing was changed. Add --yes to go down to {revision}; data in dropped tables is lost.")
        return
    migrate.downgrade(_url(), revision)
    print_line(f"The schema was taken down to {revision}.")
