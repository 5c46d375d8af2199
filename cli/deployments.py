"""`mediagate deployments`: versions of the workers, and which of them uploads go to."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer

from cli.actor import By, acting
from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import operations
from db.repositories.audit import Actor
from db.session import Database
from mediagate import builds
from mediagate.errors import Conflict, InvalidRequest
from mediagate.settings import Settings
from workflows.operations.deployments import Deployments, Version, VersionDetails

T = TypeVar("T")

NOT_DRAINED = 3
"""Exit code of `drained`: the workers of this version are still needed."""

app = typer.Typer(
    no_args_is_help=True,
    help="Versions of the workers (docs/runbooks/worker-versions.md): which there are, which one uploads go to, which "
    "may be stopped.\n\nOf the deployment MEDIAGATE_DEPLOYMENT. Workers without MEDIAGATE_BUILD_ID are not among them.",
)

BuildId = Annotated[str | None, typer.Argument(help="Build id; default: that of this installation.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for it.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every version, newest first.

    Example: `mediagate deployments list --json | jq -r '.versions[] | select(.status == "current").build_id'`
    """
    name, found = asyncio.run(_with(lambda known: _named(known, known.versions())))
    if as_json:
        print_json({"deployment": name, "versions": [version.facts() for version in found]})
    elif not found:
        print_line(f"No versioned worker has run in the deployment {name}: see docs/runbooks/worker-versions.md.")
    else:
        rows = [(one.build_id, _status(one), _when(one.since), _when(one.created)) for one in found]
        print_table(["build id", "status", "since", "first seen"], rows)


@app.command()
def show(build: BuildId = None, as_json: Json = False) -> None:
    """Show one version: its task queues with their backlog, and the runs that took their last step on it.

    Runs that wait go on with the current version by themselves; only pinned ones stay.

    Example: `mediagate deployments show 1.4.0`
    """
    details = asyncio.run(_with(lambda known: known.describe(_given(build))))
    if as_json:
        print_json(details.facts())
        return
    version = details.version
    print_line(f"{version.build_id}: {_status(version)}, first seen {_when(version.created)}", style="bold")
    print_line(f"{details.open_runs} open runs took their last step here, {details.pinned} of them are pinned.")
    print_table(["task queue", "kind", "backlog"], [(q.name, q.kind, q.backlog) for q in details.queues])
    _print_missing(details)


@app.command()
def promote(
    build: BuildId = None,
    wait: Wait = 60,
    force: Annotated[
        bool, typer.Option("--force", help="Though its workers do not serve every task queue, or none runs.")
    ] = False,
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make a version the current one: new runs go to it, and those that wait go on with it. Also the way back.

    Waits until its workers serve every task queue; exit code 1, and nothing is changed, if they do not. Going back to
    an older version: read docs/runbooks/worker-versions.md first.

    Examples:

      mediagate deployments promote

      mediagate deployments promote 1.4.0 --yes --by ada
    """
    wanted, actor = _given(build), acting(by)

    async def act(known: Deployments) -> dict[str, Any]:
        details = await known.watch(wanted, lambda found: not found.missing, patience=wait if yes else 0)
        current = await known.current()
        facts = {"build_id": wanted, "previous": current, "missing": list(details.missing)}
        if yes and current != wanted:
            if details.missing and not force:
                raise Conflict(
                    f"No worker of {wanted} serves {', '.join(details.missing)}: start them, or add --force."
                )
            await _note(known, "deployment.promoted", actor, facts | {"forced": force})
            await known.promote(wanted, force=force)
        return {"done": yes, **facts}

    facts = asyncio.run(_with(act))
    if as_json:
        print_json(facts)
    elif yes:
        print_line(f"{wanted} is the current version. Before: {facts['previous'] or 'unversioned workers'}.")
    else:
        print_line(f"{wanted} would take over from {facts['previous'] or 'unversioned workers'}.")
        if facts["missing"]:
            print_line(f"No worker of it has served {', '.join(facts['missing'])} yet.", style="yellow")
        print_line("Nothing changed; add --yes.")


@app.command()
def ramp(
    percent: Annotated[float, typer.Argument(min=0, max=100, help="Share of the runs; 0 ends the ramp.")],
    build: BuildId = None,
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send a share of the runs to a version that is not the current one; a run stays on its side while it grows.

    Examples:

      mediagate deployments ramp 10 1.4.0 --yes

      mediagate deployments ramp 0 --yes
    """
    wanted, actor = _given(build), acting(by)

    async def act(known: Deployments) -> None:
        if percent:
            await known.describe(wanted)
        if percent and await known.current() == wanted:
            raise InvalidRequest(f"{wanted} is the current version, which has all that no other one is given.")
        if yes:
            await _note(known, "deployment.ramped", actor, {"build_id": wanted, "percent": percent})
            await known.ramp(wanted, percent)

    asyncio.run(_with(act))
    if as_json:
        print_json({"done": yes, "build_id": wanted, "percent": percent})
    elif yes:
        print_line(f"{wanted} gets {percent:g} % of the runs.")
    else:
        print_line(f"{wanted} would get {percent:g} % of the runs. Nothing changed; add --yes.")


@app.command()
def drained(build: BuildId = None, wait: Wait = 0, as_json: Json = False) -> None:
    """Say whether the workers of a version may be stopped: exit code 0 if so, 3 if they are still needed.

    The service looks some minutes after a version lost its place (3 by default) for the first time.

    Example: `mediagate deployments drained 1.3.0 --wait 600 && systemctl stop mediagate-worker@1.3.0`
    """
    wanted = _given(build)

    async def act(known: Deployments) -> VersionDetails:
        details = await known.describe(wanted)
        return await known.watch(wanted, lambda found: found.drained, patience=wait) if wait else details

    details = asyncio.run(_with(act))
    if as_json:
        print_json(details.facts())
    elif details.drained:
        print_line(f"{wanted} is drained: its workers may be stopped.")
    else:
        print_line(f"{wanted} is {_status(details.version)}; {details.pinned} pinned runs. Its workers are needed.")
    raise typer.Exit(0 if details.drained else NOT_DRAINED)


async def _with(act: Callable[[Deployments], Awaitable[T]]) -> T:
    client = (await operations()).client
    return await act(Deployments(client, Settings().deployment))


async def _named(known: Deployments, found: Awaitable[list[Version]]) -> tuple[str, list[Version]]:
    return known.name, await found


async def _note(known: Deployments, action: str, actor: Actor, data: dict[str, Any]) -> None:
    """Put it on record; before the act, which is in another system."""
    db = Database(Settings().database_url.get_secret_value(), pool_size=1)
    try:
        async with db.transaction() as tx:
            await tx.audit.note(action, f"deployment:{known.name}", actor, data=data)
    finally:
        await db.close()


def _given(build: str | None) -> str:
    found = build or builds.build_id(Settings())
    if found is None:
        raise typer.BadParameter("name a build id, or set MEDIAGATE_BUILD_ID")
    return found


def _print_missing(details: VersionDetails) -> None:
    if details.missing:
        print_line(f"No worker of it has served {', '.join(details.missing)} yet.", style="yellow")


def _status(version: Version) -> str:
    return f"{version.status} at {version.percent:g} %" if version.percent else version.status


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
