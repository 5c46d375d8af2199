"""`mediagate variants`: which pictures were made otherwise than they would be now, and making them anew."""

import asyncio
from typing import Annotated

import typer
from temporalio.client import WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.renditions import stale_page
from cli.local_stack import adopt_local_stack
from cli.output import Json, console, print_json, print_line, print_table
from cli.runs.access import operations
from db.session import Database
from mediagate.settings import Settings
from workflows.client import Flows
from workflows.rendition_client import start_rebuild
from workflows.rendition_messages import RebuildInput, RebuildResult, StaleInput

LOOK_EVERY = 0.5
LISTED = 20

app = typer.Typer(
    no_args_is_help=True,
    help="Pictures of approved items that are not what the library's settings and this engine would make "
    "now.\n\nOnly approved items have public pictures; others are rendered anew when they are decided anew.",
)

Library = Annotated[str, typer.Argument(help="Name of the library.")]


@app.command()
def stale(library: Library, as_json: Json = False) -> None:
    """List the approved items that have stale pictures. Reads only.

    Example: `mediagate variants stale photos`
    """
    looked_at, found = _find(library)
    if as_json:
        print_json({"library": library, "looked_at": looked_at, "stale": found})
        return
    if found:
        print_table(["media id"], [(media_id,) for media_id in found[:LISTED]])
    more = f", the first {LISTED} are listed" if len(found) > LISTED else ""
    print_line(f"{len(found)} of {looked_at} approved items have stale pictures{more}.")


@app.command()
def rebuild(
    library: Library,
    at_once: Annotated[int, typer.Option(min=1, max=50, help="Items worked on at the same time.")] = 2,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and do not wait for its end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Make stale pictures anew from the clean masters, as a workflow; uploads go first, old pictures stay until then.

    Stopping this command does not stop the workflow: `mediagate runs list` and the Web UI show it. Exit code 1 if an
    item could not be rebuilt.

    Examples:

      mediagate variants rebuild photos

      mediagate variants rebuild photos --yes --at-once 4
    """
    if not yes:
        looked_at, found = _find(library)
        if as_json:
            print_json({"done": False, "library": library, "looked_at": looked_at, "stale": len(found)})
        else:
            print_line(
                f"{len(found)} of {looked_at} approved items would get new pictures. Nothing changed; add --yes."
            )
        return
    result = asyncio.run(_rebuild(RebuildInput(library=library, at_once=at_once), detach=detach, quiet=as_json))
    if as_json:
        print_json({"done": result is not None, "library": library, **(result or RebuildResult()).model_dump()})
    elif result is None:
        print_line(f"Started. `mediagate runs show rebuild-{library}` tells how far it is.")
    else:
        print_line(f"{result.rebuilt} of {result.looked_at} items have new pictures, {len(result.failed)} failed.")
    raise typer.Exit(1 if result and result.failed else 0)


def _find(library: str) -> tuple[int, list[str]]:
    adopt_local_stack()
    settings = Settings()

    async def every_page() -> tuple[int, list[str]]:
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        looked_at, found, job = 0, list[str](), StaleInput(library=library)
        try:
            while True:
                page = await stale_page(db, job)
                looked_at, found = looked_at + page.looked_at, [*found, *page.stale]
                if page.after_time is None:
                    return looked_at, found
                job = job.model_copy(update={"after_time": page.after_time, "after_id": page.after_id})
        finally:
            await db.close()

    return asyncio.run(every_page())


async def _rebuild(job: RebuildInput, *, detach: bool, quiet: bool) -> RebuildResult | None:
    flows = Flows((await operations()).client)
    handle = await start_rebuild(flows, job)
    if detach:
        return None
    end = asyncio.create_task(handle.result())
    with console(stderr=True).status("starting") as shown:
        while not (await asyncio.wait([end], timeout=LOOK_EVERY))[0]:
            if not quiet and (so_far := await _progress(handle)):
                shown.update(f"{so_far.looked_at} items looked at, {so_far.rebuilt} made anew")
    return end.result()


async def _progress(handle: WorkflowHandle[object, RebuildResult]) -> RebuildResult | None:
    """How far it is; None while no worker answers."""
    try:
        found: RebuildResult = await handle.query("progress", result_type=RebuildResult)
    except (RPCError, WorkflowQueryFailedError):
        return None
    return found
