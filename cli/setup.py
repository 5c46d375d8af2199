"""`mediagate setup`: make a deployment ready for its first upload."""

import asyncio
from typing import Annotated

import typer

from cli.output import Json, print_json, print_line


def setup(
    library: Annotated[str, typer.Argument(help="Name of the library: 1 to 63 of a-z, 0-9 and -.")],
    as_json: Json = False,
) -> None:
    """Make what is missing in the services of MEDIAGATE_* and TEMPORAL_*, and issue an API key for a library.

    Applies migrations, makes the bucket, registers Temporal's search attributes, makes the library, and prints a new
    key; it is shown once. Run it again for another library or another key. `mediagate dev` does this by itself.

    Example: `mediagate setup photos`
    """
    from cli.provision import library_and_key, prepare
    from mediagate.settings import Settings

    async def both() -> str:
        settings = Settings()
        await prepare(settings)
        return await library_and_key(settings, library)

    key = asyncio.run(both())
    if as_json:
        print_json({"library": library, "api_key": key})
    else:
        print_line(f"The library {library} is ready. Its API key, shown this once:")
        print_line(key)
