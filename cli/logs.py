"""`mediagate logs`: what the processes said, where `MEDIAGATE_LOG_DATABASE` keeps it."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from cli.local_stack import adopt_local_stack
from cli.output import Json, console, print_json, print_line
from cli.runs.times import since
from db.session import Database
from db.tables import LogLine
from mediagate.settings import Settings

POLL = 1.0
SHOWN = frozenset({"event", "level", "timestamp", "process", "logger"})


class Level(StrEnum):
    """The least that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def logs(
    level: Annotated[Level, typer.Option(help="Only lines of this level and above.")] = Level.DEBUG,
    tracking_id: Annotated[str, typer.Option(help="Only lines of this request and what came of it.")] = "",
    media_id: Annotated[str, typer.Option(help="Only lines about this item.")] = "",
    since_: Annotated[str | None, typer.Option("--since", help="30m, 2h, 7d or a time (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")] = False,
    as_json: Json = False,
) -> None:
    """Show log lines, oldest first, of all processes together. Needs MEDIAGATE_LOG_DATABASE=true where they run.

    Examples:

      mediagate logs --level warning --since 1h

      mediagate logs --media-id 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b

      mediagate logs --follow --json | jq -r .event
    """
    adopt_local_stack()
    asyncio.run(_show(level, tracking_id, media_id, since(since_), limit, follow, as_json))


async def _show(
    level: Level, tracking_id: str, media_id: str, start: datetime | None, limit: int, follow: bool, as_json: bool
) -> None:
    settings = Settings()
    db = Database(settings.database_url.get_secret_value(), pool_size=1)
    least = logging.getLevelNamesMapping()[level.value.upper()]
    try:
        async with db.transaction() as tx:
            found = await tx.logs.page(
                level=least, tracking_id=tracking_id, media_id=media_id, since=start, limit=limit
            )
        last = found[0].id if found else 0
        _print(found[::-1], as_json)
        if not found and not follow and not as_json:
            print_line("No lines. They are kept where MEDIAGATE_LOG_DATABASE is true.", stderr=True)
        while follow:
            await asyncio.sleep(POLL)
            async with db.transaction() as tx:
                found = await tx.logs.page(
                    level=least, tracking_id=tracking_id, media_id=media_id, after=last, limit=limit
                )
            last = found[-1].id if found else last
            _print(found, as_json)
    finally:
        await db.close()


def _print(lines: Sequence[LogLine], as_json: bool) -> None:
    for line in lines:
        if as_json:
            print_json(line.data)
            continue
        trouble = {30: "yellow", 40: "red", 50: "red"}.get(line.level, "")
        said = Text(f"{line.at:%H:%M:%S} {line.process:<12} ")
        said.append(line.event, style=trouble or "bold")
        for name, value in line.data.items():
            if name not in SHOWN:
                said.append(f" {name}=", style="dim")
                said.append(str(value))
        console().print(said)
