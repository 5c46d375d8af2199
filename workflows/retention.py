"""What its time is up for is thrown away and erased, and what was thrown away is forgotten by caches."""

import asyncio
from contextlib import suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.purging import Purging
    from activities.retaining import Retaining
    from workflows import policies, reporting
    from workflows.messages import MediaRef, PurgeInput
    from workflows.storage_messages import RetentionCounts, RetentionCursor, RetentionInput, TrashInput


@workflow.defn
class RetentionWorkflow:
    """Page by page through everything whose time is up; runs on a Schedule, see `workflows.schedules`."""

    @workflow.init
    def __init__(self, job: RetentionInput) -> None:
        self._done = job.done

    @workflow.query
    def progress(self) -> RetentionCounts:
        """How far it is."""
        return self._done

    @workflow.run
    async def run(self, job: RetentionInput) -> RetentionCounts:
        """The history begins anew after so many pages, however much there is to do."""
        cursor: RetentionCursor | None = job.cursor
        pages = 0
        while cursor:
            if pages == job.stretch:
                workflow.continue_as_new(job.model_copy(update={"cursor": cursor, "done": self._done}))
            page = await workflow.execute_activity_method(
                Retaining.apply_retention,
                job.model_copy(update={"cursor": cursor}),
                **policies.at(policies.RETENTION, f"retention: {cursor.step.value} {cursor.library}".strip()),
            )
            self._done = self._done.plus(page.done)
            workflow.set_current_details(f"{self._done.trashed} to the trash, {self._done.erased} erased.")
            cursor, pages = page.cursor, pages + 1
        return self._done


@workflow.defn
class TrashWorkflow:
    """Make caches forget what was public and is in the trash now, and once more a while later."""

    @workflow.run
    async def run(self, job: TrashInput) -> None:
        """Trying goes on until the hook takes the order; admins are told if that takes long."""
        ref = MediaRef(media_id=job.media_id, library=job.library, tracking_id=job.tracking_id)
        await self._order(ref, "purge caches")
        await workflow.sleep(policies.PURGE_AGAIN, summary="answers on their way to caches")
        await self._order(ref, "purge caches again")
        await workflow.execute_activity_method(
            Retaining.note_purged, ref, **policies.at(policies.RECONSIDERING, "caches were told")
        )

    async def _order(self, ref: MediaRef, summary: str) -> None:
        ordering = asyncio.create_task(self._execute(ref, summary))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                ordering.done, timeout=policies.PURGE_ALERT, timeout_summary="before admins are told"
            )
        if not ordering.done():
            detail = "Caches may still show what was thrown away: the purge hook does not answer."
            await reporting.tell(ref, "system_alert", detail, occasion=f"purge-{workflow.info().run_id}")
        await ordering

    async def _execute(self, ref: MediaRef, summary: str) -> None:
        await workflow.execute_activity_method(
            Purging.purge_caches,
            PurgeInput(**ref.model_dump(), reason="trashed"),
            **policies.at(policies.PURGE, summary),
        )
