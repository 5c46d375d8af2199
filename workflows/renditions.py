"""Pictures beyond those that an upload needs: of one item, and of every item of a library whose settings changed."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.renditions import Renditions
    from workflows import policies
    from workflows.rendition_messages import RebuildInput, RebuildResult, RenditionInput, RenditionResult, StaleInput


@workflow.defn
class RenditionWorkflow:
    """Make what an approved item's library wants of it: after the approval, or when first asked for."""

    @workflow.run
    async def run(self, job: RenditionInput) -> RenditionResult:
        """One item; a second run finds nothing to do."""
        return await workflow.execute_activity_method(
            Renditions.build_renditions, job, **policies.at(policies.RENDITIONS, "renditions")
        )


@workflow.defn
class RebuildWorkflow:
    """Make a library's stale pictures anew, page by page, a few items at a time."""

    @workflow.init
    def __init__(self, job: RebuildInput) -> None:
        self._job = job
        self._done = job.done

    @workflow.query
    def progress(self) -> RebuildResult:
        """How far it is."""
        return self._done

    @workflow.run
    async def run(self, job: RebuildInput) -> RebuildResult:
        """One page, then the next one in a new run: the history stays short however large the library is."""
        page = await workflow.execute_activity_method(
            Renditions.find_stale,
            StaleInput(library=job.library, after_time=job.after_time, after_id=job.after_id, limit=job.page),
            **policies.at(policies.STALE_PAGE, "look for stale pictures"),
        )
        window = asyncio.Semaphore(job.at_once)
        failed = await asyncio.gather(*(self._rebuild(media_id, window) for media_id in page.stale))
        self._done = RebuildResult(
            looked_at=self._done.looked_at + page.looked_at,
            rebuilt=self._done.rebuilt + failed.count(None),
            failed=(*self._done.failed, *(media_id for media_id in failed if media_id))[: job.most_failures],
        )
        workflow.set_current_details(f"{self._done.looked_at} items looked at, {self._done.rebuilt} made anew.")
        if page.after_time is not None:
            following = {"after_time": page.after_time, "after_id": page.after_id, "done": self._done}
            workflow.continue_as_new(job.model_copy(update=following))
        return self._done

    async def _rebuild(self, media_id: str, window: asyncio.Semaphore) -> str | None:
        """The id if the item could not be rebuilt; it keeps the pictures that it has."""
        async with window:
            try:
                await workflow.execute_activity_method(
                    Renditions.build_renditions,
                    RenditionInput(media_id=media_id, library=self._job.library, only_stale=True),
                    **policies.at(policies.RENDITIONS, f"rebuild {media_id}"),
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                return media_id
        return None
