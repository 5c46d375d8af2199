"""`mediagate setup`: make a deployment ready for its first upload."""

import asyncio
from typing import Annotated

import typer

from cli.output import Json, print_json, print_line


def setup(
    library: Annotated[
        str | None, typer.Argument(help="Name of the library: 1 to 63 of a-z, 0-9 and -; none: the services only.")
    ] = None,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Make no backup of a database that is to be migrated.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make what is missing in the services of MEDIAGATE_* and TEMPORAL_*, and issue an API key for a library, if named.

    Applies migrations (a database that holds something is backed up before), makes the bucket, registers Temporal's
    search attributes, makes the library, and prints a new key; it is shown once. Run it again for another library or
    another key. `mediagate dev` does this by itself.

    Without a library it is the step of a deploy that comes before the new processes: nothing but what is missing.

    Examples:

      mediagate setup photos

      mediagate setup
    """
    from cli.provision import library_and_key, prepare
    from mediagate.settings import Settings

    async def both() -> str | None:
        settings = Settings()
        await prepare(settings, backup=not no_backup)
        return await library_and_key(settings, library) if library else None

    key = asyncio.run(both())
    if as_json:
        print_json({"library": library, "api_key": key})
    elif key is None:
        print_line("Schema, buckets and search attributes are ready.")
    else:
        print_line(f"The library {library} is ready. Its API key, shown this once:")
        print_line(key)
