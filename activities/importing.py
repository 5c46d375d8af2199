"""Imports of many objects: written down, begun a few at a time, and summed up."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from temporalio import activity

from activities import heartbeats
from activities.import_items import SOURCE_AWAY, Hold, ImportItems, put_back
from mediagate.errors import ObjectMissing, StorageUnavailable, Unavailable
from mediagate.flags import Switch
from mediagate.media.filenames import MAX_LENGTH
from mediagate.media.imports import BEGINNING, ENDED, ImportItemState, ImportState, ManifestItem, item_id
from mediagate.media.values import MIB
from mediagate.storage import keys
from workflows.import_messages import (
    AdvanceInput,
    AdvanceResult,
    EndInput,
    EndResult,
    ImportRecord,
    ListInput,
    ListResult,
)

if TYPE_CHECKING:  # SQLAlchemy: not for what only imports the workflow
    from activities.deps import Deps
    from activities.notifying import Notifying
    from db.session import Transaction
    from db.tables import Import, ImportItem, Library, Notification
    from mediagate.storage.store import ObjectStore

log = structlog.get_logger()

LONGEST_STEP = 1.0
"""Seconds after which a step begins no more: as long as it runs, it takes a slot from single uploads."""
MOST_MANIFEST = 256 * MIB
"""Bytes of a manifest as it is kept."""


class Importing:
    """The steps of a `BatchImportWorkflow`."""

    def __init__(self, deps: Deps, notifying: Notifying) -> None:
        self._deps = deps
        self._notifying = notifying

    @activity.defn
    async def list_import(self, job: ListInput) -> ListResult:
        """Write down the next objects of a manifest or a prefix. Idempotent: each key is written down once."""
        async with self._deps.db.transaction() as tx:
            one, library = await tx.imports.with_library(UUID(job.import_id))
        async with heartbeats.every(10):
            try:
                read = self._listed if one.prefix is not None else self._of_manifest
                items, after = await read(one, library, job)
            except Hold as hold:
                await self._explain(one, hold.reason)
                return ListResult(
                    counts=one.counts, after=job.after, hold=timedelta(seconds=hold.seconds), detail=hold.reason
                )
            except ObjectMissing:
                return ListResult(counts=one.counts, refused="The manifest is not there; start the import again.")
        async with self._deps.db.transaction() as tx:
            await tx.imports.put_items(items)
            one = await tx.imports.get(one.id, lock=True)
            counts = await tx.imports.recount(one)
            await tx.imports.size_batch(one.id, counts.total)
            if one.state is ImportState.LISTING:
                one.state, one.detail = ImportState.LISTING if after else ImportState.IMPORTING, ""
        most = self._deps.settings.import_max_items
        if counts.total > most:
            return ListResult(counts=counts, refused=f"There are more than {most} objects; import them in parts.")
        return ListResult(counts=counts, after=after, refused="" if counts.total or after else "There is no object.")

    @activity.defn
    async def advance_import(self, job: AdvanceInput) -> AdvanceResult:
        """Note which uploads have ended, and begin as many others as there is room for. Idempotent."""
        import_id = UUID(job.import_id)
        async with self._deps.db.transaction() as tx:
            one, library = await tx.imports.with_library(import_id)
            moved = await tx.imports.settle(import_id, limit=job.at_once)
            under_way = (await tx.imports.counts(import_id)).under_way
        room = job.at_once - under_way if job.begin else 0
        hold: Hold | None = None
        try:
            moved += await self._begin(one, library, min(room, job.begin))
        except Hold as reason:
            hold = reason
        async with self._deps.db.transaction() as tx:
            one = await tx.imports.get(import_id, lock=True)
            counts = await tx.imports.recount(one)
            one.worked = job.worked.total_seconds()
            if one.state in {ImportState.LISTING, ImportState.IMPORTING}:
                one.state = ImportState.IMPORTING
                if job.begin:
                    one.detail = hold.reason if hold else ""
        return AdvanceResult(
            counts=counts,
            moved=moved,
            more=bool(job.begin and hold is None and counts.waiting and counts.under_way < job.at_once),
            hold=timedelta(seconds=hold.seconds) if hold else None,
            detail=hold.reason if hold else "",
        )

    @activity.defn
    async def record_import(self, job: ImportRecord) -> None:
        """Write down what was ordered, and by whom. Idempotent; what has ended stays as it is."""
        from db.repositories.audit import Actor

        async with self._deps.db.transaction() as tx:
            one, library = await tx.imports.with_library(UUID(job.import_id))
            one = await tx.imports.get(one.id, lock=True)
            before, wanted = one.state, job.progress.shown
            if before in ENDED or before is wanted:
                return
            one.state, one.detail = wanted, job.progress.detail
            if job.order:
                actor = Actor(job.order.actor, job.order.via)
                await tx.audit.note(f"import.{job.act}", f"import:{one.id}", actor, library=library.slug)

    @activity.defn
    async def end_import(self, job: EndInput) -> EndResult:
        """Close the books and tell the admins. Idempotent.

        Objects that were not begun are cancelled with the import. A finished one of which somebody wants failed objects
        tried again in this very moment goes on.
        """
        import_id = UUID(job.import_id)
        async with self._deps.db.transaction() as tx:
            one, library = await tx.imports.with_library(import_id)
        async with heartbeats.every(10):
            if job.state is not ImportState.DONE:
                await self._put_back_taken(one, library, job.round)
            await self._deps.store.delete(keys.manifest(library.slug, job.import_id))  # it is in rows by now
            async with self._deps.db.transaction() as tx:
                one = await tx.imports.get(import_id, lock=True)
                if one.round != job.round:  # it was begun again since this one ended
                    return EndResult(ended=True, counts=one.counts)
                ended, note = await self._end(tx, one, library, job)
        if note:
            await self._mail(note)
        return EndResult(ended=ended, counts=one.counts)

    async def _explain(self, one: Import, reason: str) -> None:
        """Say why it waits, unless an order says so."""
        async with self._deps.db.transaction() as tx:
            current = await tx.imports.get(one.id, lock=True)
            if current.state is ImportState.LISTING:
                current.detail = reason

    async def _begin(self, one: Import, library: Library, limit: int) -> int:
        """How many were begun, or failed. Raises Hold."""
        began, done = time.monotonic(), 0
        if limit < 1:
            return done
        if not self._deps.flags.on(Switch.IMPORTS, str(one.id), library=library.slug):
            raise Hold("Imports are switched off for maintenance.", SOURCE_AWAY)
        items = ImportItems(self._deps, one, library, self._source(one, library))
        async with self._deps.db.transaction() as tx:
            current = await tx.imports.get(one.id, hold=True)
            taken = await tx.imports.take(one.id, limit=limit) if current.state in BEGINNING else ()
        async with heartbeats.every(10):
            for item in taken:
                if time.monotonic() - began > LONGEST_STEP or not await items.begin(item):
                    break
                done += 1
        return done

    async def _put_back_taken(self, one: Import, library: Library, round_: int) -> None:
        async with self._deps.db.transaction() as tx:
            current = await tx.imports.get(one.id, lock=True)
            if current.ended_at or current.round != round_:
                return
            current.state = ImportState.CANCELLING  # a step that is still at it begins nothing more
            taken = await tx.imports.in_state(one.id, ImportItemState.TAKEN)
        for item in taken:
            await put_back(self._deps.db, self._deps.store, library, item, ImportItemState.WAITING)

    async def _end(
        self, tx: Transaction, one: Import, library: Library, job: EndInput
    ) -> tuple[bool, Notification | None]:
        from db.tables import now

        if one.ended_at is None:
            if job.state is not ImportState.DONE:
                await tx.imports.move_items(one.id, [ImportItemState.WAITING], ImportItemState.CANCELLED)
            counts = await tx.imports.recount(one)
            if job.state is ImportState.DONE and counts.waiting + counts.under_way:
                return False, None
            one.state, one.detail, one.ended_at = job.state, job.detail, now()
        return True, await self._sum_up(tx, one, library)

    async def _sum_up(self, tx: Transaction, one: Import, library: Library) -> Notification:
        from db.tables import Notification
        from mediagate.notify.render import MailKind, render

        counts = await tx.media.batch_counts(one.id)
        facts = {
            "library": library.slug,
            "batch_id": str(one.id),
            "total": one.counts.total,
            **{status.value: count for status, count in counts.items()},
            "failed": one.failed or None,
            "cancelled": one.cancelled or None,
            "tracking_id": one.tracking_id,
        }
        subject, body = render(MailKind.BATCH_SUMMARY, facts)
        again = "" if one.round == 1 else f":{one.round}"
        return await tx.notifications.put(
            Notification(
                library_id=library.id,
                key=f"{one.id}:batch_summary{again}",
                kind=MailKind.BATCH_SUMMARY.value,
                subject=subject,
                body=body,
                tracking_id=one.tracking_id,
            )
        )

    async def _mail(self, note: Notification) -> None:
        try:
            await self._notifying.mail(note)
        except Unavailable as error:  # the sweep sends it
            log.warning("import.mail_owed", notification_id=str(note.id), error=error.code)

    def _source(self, one: Import, library: Library) -> ObjectStore:
        """Where the import reads. Raises Hold while the settings do not let it."""
        source = self._deps.settings.import_sources.get(one.source)
        if source is None or not source.serves(library.slug):
            reason = f"The settings have no import source {one.source!r} for this library any more."
            raise Hold(reason, SOURCE_AWAY * 2)
        return self._deps.import_sources[one.source]

    async def _listed(self, one: Import, library: Library, job: ListInput) -> tuple[list[ImportItem], str | None]:
        """The next objects below the prefix, and the last key if there may be more."""
        source, items, looked_at, last = self._source(one, library), [], 0, None
        try:
            async for found in source.list(one.prefix or "", after=job.after):
                looked_at, last = looked_at + 1, found.key
                if not found.key.endswith("/"):  # a folder, as some tools mark it
                    items.append(_item(one, found.key, etag=found.etag))
                if looked_at == job.limit:
                    break
        except StorageUnavailable as error:
            log.warning("import.source_away", import_id=job.import_id, detail=error.message)
            raise Hold("The source did not answer; the workers' logs say more.", SOURCE_AWAY) from error
        return items, last if looked_at == job.limit else None

    async def _of_manifest(self, one: Import, library: Library, job: ListInput) -> tuple[list[ImportItem], str | None]:
        """The next lines of the manifest, and how many were read if there may be more. Raises NotFound."""
        first = int(job.after or 0)
        data = await self._deps.store.get_bytes(keys.manifest(library.slug, job.import_id), max_bytes=MOST_MANIFEST)
        lines = data.splitlines()[first : first + job.limit]
        named = [ManifestItem.model_validate_json(line) for line in lines]
        items = [
            _item(one, item.key, line=item.line, filename=item.filename, sha256=item.sha256, texts=item.texts)
            for item in named
        ]
        return items, str(first + len(lines)) if len(lines) == job.limit else None


def _item(one: Import, key: str, *, filename: str = "", **fields: Any) -> ImportItem:
    from db.tables import ImportItem

    name = filename or key.rpartition("/")[2][-MAX_LENGTH:]
    return ImportItem(import_id=one.id, key=key, media_id=item_id(one.id, key), filename=name, **fields)
