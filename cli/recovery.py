"""`mediagate backup`: database and objects together, and coming back from them."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from activities.recovery import check, create, prune, restore, runs
from activities.recovery.layout import Manifest
from cli.actor import By, acting
from cli.database_backups import BEFORE, before_change
from cli.local_stack import adopt_local_stack
from cli.output import Json, mark, print_json, print_line, print_table
from cli.recovery_access import At, Rate, ensure_bucket, every_store, opened_place, opened_source, telling, work_folder
from db.backup import busy, look
from db.session import Database
from mediagate import temporal
from mediagate.errors import WorkflowsUnavailable
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from workflows.client import Flows

app = typer.Typer(
    no_args_is_help=True,
    help="Back up database and objects together, verify, and restore a whole deployment: docs/runbooks/recovery.md.\n\n"
    "Objects are kept once by content, so a further backup copies only what is new. Sealed evidence is not in it: its "
    "bucket is locked. Keys and secrets are not in it either.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A backup's id; default: the latest.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")]
NoRuns = Annotated[
    bool, typer.Option("--no-runs", help="Leave Temporal alone; `mediagate backup resume` sees to runs later.")
]


def _settings() -> Settings:
    adopt_local_stack()
    return Settings()


@app.command("create")
def create_(at: At = None, rate: Rate = None, as_json: Json = False) -> None:
    """Make a backup while the gate is at work. Cut off, it is begun again and copies nothing twice.

    Exit code 1 if an object that a row names was nowhere to be found; the backup is kept all the same.

    Example: `mediagate backup create --at s3://mediagate-backups/production --rate 50`
    """
    settings = _settings()
    with opened_place(settings, at) as place, opened_source(settings, rate) as source, telling("Backing up") as tell:

        async def make() -> Manifest:
            await ensure_bucket(place)
            async with every_store(settings, source) as whole:
                return await create.create(whole, place, work_folder(settings), tell=tell)

        manifest = asyncio.run(make())
    if as_json:
        print_json(manifest.model_dump(mode="json") | {"whole": manifest.whole})
    else:
        new = f"{manifest.copied} contents ({decimal(manifest.copied_bytes)}) were new"
        print_line(f"Backup {manifest.id}: {manifest.objects} objects, {decimal(manifest.bytes)}; {new}.")
        print_line(f"Database: {sum(manifest.database.tables.values())} rows, revision {manifest.database.revision}.")
        _print_incomplete(manifest)
    raise typer.Exit(0 if manifest.whole else 1)


@app.command("list")
def list_(at: At = None, as_json: Json = False) -> None:
    """List the backups of a place, the latest first.

    Example: `mediagate backup list --at /backups --json`
    """
    settings = _settings()
    with opened_place(settings, at) as place:

        async def read() -> list[Manifest]:
            return [await place.manifest(backup_id) for backup_id in reversed(await place.ids())]

        manifests = asyncio.run(read())
    if as_json:
        print_json([manifest.model_dump(mode="json") | {"whole": manifest.whole} for manifest in manifests])
        return
    rows = [
        (mark("ok" if m.whole else "warn"), m.id, m.objects, decimal(m.bytes), m.database.revision, m.release, m.bucket)
        for m in manifests
    ]
    print_table(["", "id", "objects", "size", "revision", "release", "bucket"], rows)


@app.command()
def verify(backup_id: Id = "", at: At = None, rate: Rate = None, as_json: Json = False) -> None:
    """Read everything of a backup back and compare digests. Exit code 1 if anything is missing or altered.

    Example: `mediagate backup verify 20261103T104501.123456Z --rate 100`
    """
    settings = _settings()
    with opened_place(settings, at) as place, opened_source(settings) as source, telling("Reading back") as tell:
        done = asyncio.run(
            check.verify(place, backup_id, work_folder(settings), source.programs, rate=_bytes(rate), tell=tell)
        )
    if as_json:
        facts = {"id": done.manifest.id, "contents": done.contents, "bytes": done.bytes, "broken": done.broken}
        print_json(facts | {"ok": not done.broken})
    else:
        for line in done.broken:
            print_line(line, style="red")
        said = f"{len(done.broken)} things are broken" if done.broken else "everything is as it was written"
        print_line(f"Backup {done.manifest.id}: {done.contents} contents, {decimal(done.bytes)} read; {said}.")
    raise typer.Exit(1 if done.broken else 0)


@app.command("restore")
def restore_(
    backup_id: Id = "",
    at: At = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the database holds; it is backed up.")] = False,
    yes: Yes = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no backup of what --replace drops.")] = False,
    no_runs: NoRuns = False,
    rate: Rate = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Bring bucket and database to what a backup holds, and have everything undecided begin anew.

    Stop the API and the workers before, start them afterwards. Objects that stand in the bucket already are compared
    and left; a restore that was cut off is begun again. Takedowns since the backup are to be repeated: the runbook says
    how they are found.

    Example: `mediagate backup restore --at /backups --yes`
    """
    settings, actor = _settings(), acting(by)
    folder = work_folder(settings)
    with opened_place(settings, at) as place, opened_source(settings, rate) as source, telling("Restoring") as tell:

        async def act() -> tuple[restore.Restored, runs.Resumed | None]:
            if not yes:
                return await restore.plan(source, place, backup_id, folder, replace=replace), None
            flows = None if no_runs else await _flows()
            if replace and not no_backup:
                await asyncio.to_thread(_keep, settings)
            if isinstance(source.store, S3Store):
                await source.store.ensure_bucket([settings.public_url.rstrip("/")])
            done = await restore.restore(source, place, backup_id, folder, replace=replace, tell=tell)
            db = Database(source.url, pool_size=1)
            try:
                async with db.transaction() as tx:
                    await tx.placements.forget()  # everything was brought to the default store
                reason = f"restored from {done.manifest.id}"
                resumed = await runs.resume(
                    db, flows, actor, review=settings.review_time, reason=reason, backup_id=done.manifest.id
                )
            finally:
                await db.close()
            return done, resumed

        done, resumed = asyncio.run(act())
    if as_json:
        facts: dict[str, Any] = {"id": done.manifest.id, "restored": yes, "database": done.server.database}
        facts |= {"put": done.put, "put_bytes": done.put_bytes, "kept": done.kept}
        print_json(facts | {"runs": asdict(resumed) if resumed else None})
        return
    print_line(f"Backup {done.manifest.id}, of {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC:")
    verb = "were" if yes else "would be"
    print_line(f"{done.put} objects ({decimal(done.put_bytes)}) {verb} put, {done.kept} stand there already.")
    _print_incomplete(done.manifest)
    if resumed is None:
        drops = f"its {len(done.server.tables)} tables are dropped and " if done.server.tables else ""
        print_line(f"Nothing was changed. With --yes, {drops}{done.server.database} is restored. {busy(done.server)}")
        return
    _print_resumed(resumed)
    print_line("Start the API and the workers; then `mediagate evidence verify` and `mediagate validate URL`.")


@app.command()
def resume(yes: Yes = False, no_runs: NoRuns = False, by: By = None, as_json: Json = False) -> None:
    """After the database was restored by other means: have everything undecided begin anew.

    `mediagate backup restore` does this itself. API and workers must not be at work: runs that are open are ended, for
    what they remember is not what the rows say; the sweep starts each upload again, which repeats its steps.

    Example: `mediagate backup resume --yes`
    """
    if not yes:
        print_line("Nothing was changed. With --yes, open runs are ended and every undecided upload begins anew.")
        return
    settings, actor = _settings(), acting(by)

    async def act() -> runs.Resumed:
        flows = None if no_runs else await _flows()
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        try:
            return await runs.resume(db, flows, actor, review=settings.review_time, reason="the database was restored")
        finally:
            await db.close()

    done = asyncio.run(act())
    if as_json:
        print_json(asdict(done))
    else:
        _print_resumed(done)


@app.command("prune")
def prune_(
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest backups stay.")],
    at: At = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove older backups, and contents that no other backup has. A dry run without --yes.

    What was erased in the gate is gone for good once no backup has it any more.

    Example: `mediagate backup prune --keep 14 --yes`
    """
    settings = _settings()
    url = settings.database_url.get_secret_value()
    with opened_place(settings, at) as place:
        done = asyncio.run(prune.prune(url, place, work_folder(settings), keep=keep, dry_run=not yes))
    if as_json:
        print_json(asdict(done) | {"removed": yes})
        return
    verb = "were" if yes else "would be"
    print_line(f"Backups that {verb} removed: {', '.join(done.backups) or 'none'}; kept: {', '.join(done.kept)}.")
    print_line(f"{done.contents} contents ({decimal(done.bytes)}) {verb} removed.")


def _keep(settings: Settings) -> None:
    """Back up what the database holds, if it is one of ours that nobody works with."""
    server = look(settings.database_url.get_secret_value())
    if server.revision and not server.others:
        print_line(f"What the database held is in {before_change(settings, f'{BEFORE}restore')}.", stderr=True)


async def _flows() -> Flows:
    """Temporal, which must answer before anything is changed."""
    try:
        flows = Flows(await temporal.connect(lazy=True))
        await flows.ready()
    except (RuntimeError, WorkflowsUnavailable) as error:
        raise WorkflowsUnavailable(
            "The Temporal service does not answer: set TEMPORAL_ADDRESS, or add --no-runs and run "
            "`mediagate backup resume` once it is there."
        ) from error
    return flows


def _bytes(rate: float | None) -> float | None:
    return rate * (1 << 20) if rate else None


def _print_incomplete(manifest: Manifest) -> None:
    for what, found in (("missing", manifest.missing), ("altered", manifest.altered)):
        if found:
            print_line(f"{len(found)} objects that rows name were {what}: {', '.join(found[:5])} …", style="red")


def _print_resumed(done: runs.Resumed) -> None:
    print_line(f"{done.ended} open runs were ended. {done.owed} uploads begin anew with the next sweep.")
    if done.rounds or done.policy_runs:
        print_line(f"{done.rounds} later rounds were started; {done.policy_runs} runs of policies were cancelled.")
