"""Are all objects there that rows name, are they what they were, and does a row name every object that is there?

Page by page, each of which may run twice: a finding is one row however often it is found, and numbers are those of all
pages so far, carried along by the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from activities import heartbeats
from activities.scrub_look import Look, expected_of, named, watermarks_of
from mediagate.errors import NotFound
from mediagate.storage import keys
from workflows.storage_messages import (
    ScrubCursor,
    ScrubEnd,
    ScrubInput,
    ScrubPage,
    ScrubPhase,
)

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import FindingKind, Library, Media
    from mediagate.storage.store import ObjectStat

log = structlog.get_logger()


class Scrubbing:
    """Compares store and rows."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def begin_scrub(self, job: ScrubInput) -> None:
        """Put the scrub on record. Idempotent.

        Raises:
            NotFound: there is no such library.
        """
        from db.repositories.audit import Actor
        from db.tables import Scrub

        async with self._deps.db.transaction() as tx:
            library = await tx.access.library(job.library) if job.library else None
            if job.library and library is None:
                raise NotFound(f"There is no library {job.library!r}.")
            scrub = Scrub(
                id=UUID(job.scrub_id),
                library_id=library.id if library else None,
                quick=job.quick,
                repair=job.repair,
                started_by=str(Actor(job.actor, job.via)),
            )
            await tx.scrubs.begin(scrub)

    @activity.defn
    async def scrub_rows(self, job: ScrubInput) -> ScrubPage:
        """Compare what a page of items names with what is there; put masters and backups back if asked to.

        Pictures that are to be made anew are named in the result.
        """
        async with heartbeats.every(10):
            look = Look(self._deps, job)
            cursor = job.cursor
            async with self._deps.db.transaction() as tx:
                start = job.library or cursor.library
                library = await tx.scrubs.next_library(start, inclusive=bool(job.library or cursor.after_time))
                items: Sequence[Media] = ()
                if library:
                    after = (cursor.after_time, UUID(cursor.after_id)) if cursor.after_time else None
                    items = await tx.media.page(library.id, status=None, q=None, after=after, limit=job.items)
                manifests = await tx.media.manifests([item.id for item in items])
            if library is None:
                return await look.page(ScrubCursor(phase=ScrubPhase.OBJECTS))
            if cursor.after_time is None:
                for expected in watermarks_of(library):
                    await look.compare(expected, library.slug)
            for item in items:
                for expected in expected_of(item, manifests.get(item.id, ())):
                    await look.compare(expected, library.slug)
            return await look.page(_following(job, library, items))

    @activity.defn
    async def scrub_objects(self, job: ScrubInput) -> ScrubPage:
        """Compare a page of the store's listing with the rows: what no row names is untracked, and is left alone.

        What is young may be on its way.
        """
        from db.tables import FindingKind, now

        async with heartbeats.every(10):
            look = Look(self._deps, job)
            listing = self._deps.store.list(f"{job.library}/" if job.library else "", after=job.cursor.after_key)
            found = []
            async for stat in listing:
                found.append(stat)
                if len(found) == job.keys:
                    break
            young = now() - timedelta(seconds=job.grace)
            for stat in await self._untracked([stat for stat in found if stat.modified < young]):
                facts = {"kind": FindingKind.UNTRACKED, "library": keys.library_of(stat.key) or "", "bytes": stat.size}
                await look.found(stat.key, facts)
            look.counts["listed"] += len(found)
            if len(found) < job.keys:
                return await look.page(ScrubCursor(phase=ScrubPhase.DONE))
            return await look.page(ScrubCursor(phase=ScrubPhase.OBJECTS, after_key=found[-1].key))

    @activity.defn
    async def end_scrub(self, end: ScrubEnd) -> None:
        """Settle what was not found any more, count usage anew, and tell admins once of what is not repaired.

        Idempotent. Of a scrub that failed only its end is put on record.
        """
        from db.repositories.audit import Actor
        from db.tables import ScrubState

        scrub_id = UUID(end.scrub_id)
        async with heartbeats.every(10), self._deps.db.transaction() as tx:
            scrub = await tx.scrubs.get(scrub_id)
            if scrub is None or scrub.state is not ScrubState.RUNNING:
                return
            await tx.scrubs.count(scrub_id, end.counts.model_dump())
            await tx.scrubs.end(scrub_id, ScrubState.FAILED if end.failed else ScrubState.COMPLETED)
            if not end.failed:
                await tx.scrubs.settle_others(scrub_id, end.library)
                if corrected := await tx.storage.recount(scrub.library_id):
                    log.warning("scrub.usage_corrected", numbers=corrected)
                for slug, kinds in (await tx.scrubs.unalerted(scrub_id)).items():
                    await _alert(tx, scrub_id, slug, kinds)
                await tx.scrubs.alerted(scrub_id)
            data = {**end.counts.model_dump(), "failed": end.failed}
            who = Actor(end.actor, end.via)
            await tx.audit.note("storage.scrubbed", f"scrub:{scrub_id}", who, library=end.library or "", data=data)

    async def _untracked(self, found: Sequence[ObjectStat]) -> list[ObjectStat]:
        """Those that nothing accounts for."""
        there = [stat.key for stat in found]
        slugs = {slug for key in there if (slug := keys.library_of(key))}
        async with self._deps.db.transaction() as tx:
            accounted = await named(tx, there) | await tx.trash.removing(there)
            libraries = await tx.scrubs.known(list(slugs))
        return [
            stat
            for stat in found
            if stat.key not in accounted
            and not (keys.stands_alone(stat.key) and keys.library_of(stat.key) in {*libraries, None})
        ]


def _following(job: ScrubInput, library: Library, items: Sequence[Media]) -> ScrubCursor:
    if len(items) == job.items:
        return ScrubCursor(library=library.slug, after_time=items[-1].created_at, after_id=str(items[-1].id))
    return ScrubCursor(phase=ScrubPhase.OBJECTS) if job.library else ScrubCursor(library=library.slug)


async def _alert(tx: Transaction, scrub_id: UUID, library: str, kinds: Mapping[FindingKind, int]) -> None:
    """Once for what this scrub found first: what stays open is not told of again."""
    from db.tables import Notification
    from mediagate.notify.render import MailKind, render

    owner = await tx.access.library(library) if library else None
    numbers = " and ".join(f"{count} {kind.value}" for kind, count in kinds.items())
    facts = {
        "title": f"{numbers} in the object store",
        "detail": "Rows name these objects and they are not repaired: mediagate storage findings.",
        "library": library,
    }
    subject, body = render(MailKind.SYSTEM_ALERT, facts)
    note = Notification(
        library_id=owner.id if owner else None,
        key=f"scrub:{scrub_id}:{library}",
        kind=MailKind.SYSTEM_ALERT.value,
        subject=subject,
        body=body,
    )
    await tx.notifications.put(note)
