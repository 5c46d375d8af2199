"""The store is compared with the rows, and what was lost is put back."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.scrub_repair import ScrubRepair
    from activities.scrubbing import Scrubbing
    from workflows import policies
    from workflows.storage_messages import DamagedItem, ScrubEnd, ScrubInput, ScrubPage, ScrubPhase, ScrubResult


@workflow.defn
class ScrubWorkflow:
    """Every object that a row names, then every object that is there; runs on a Schedule, see `workflows.schedules`."""

    @workflow.init
    def __init__(self, job: ScrubInput) -> None:
        self._job = job

    @workflow.query
    def progress(self) -> ScrubResult:
        """How far it is."""
        return ScrubResult(scrub_id=self._job.scrub_id, **self._job.counts.model_dump())

    @workflow.run
    async def run(self, job: ScrubInput) -> ScrubResult:
        """The history begins anew after so many pages: a bucket of millions of objects has a short one too."""
        del job  # `self._job` is what is left to do
        try:
            if not self._job.scrub_id:
                await self._begin()
            pages = 0
            while self._job.cursor.phase is not ScrubPhase.DONE:
                if pages == self._job.stretch or workflow.info().is_continue_as_new_suggested():  # much was repaired
                    workflow.continue_as_new(self._job)
                await self._page()
                pages += 1
            await self._end(failed=False)
        except BaseException as error:
            if isinstance(error, ActivityError) or is_cancelled_exception(error):
                await self._end(failed=True)
            raise
        return self.progress()

    async def _begin(self) -> None:
        self._job = self._job.model_copy(update={"scrub_id": str(workflow.uuid4())})
        await workflow.execute_activity_method(
            Scrubbing.begin_scrub, self._job, **policies.at(policies.RECONSIDERING, "begin")
        )

    async def _page(self) -> None:
        cursor = self._job.cursor
        look = Scrubbing.scrub_rows if cursor.phase is ScrubPhase.ROWS else Scrubbing.scrub_objects
        page: ScrubPage = await workflow.execute_activity_method(
            look, self._job, **policies.at(policies.SCRUBBING, f"{cursor.phase.value} {cursor.library}".strip())
        )
        repaired = [await self._repair(item) for item in page.damaged]
        counts = page.counts.model_copy(update={"repaired": page.counts.repaired + sum(repaired)})
        self._job = self._job.model_copy(update={"cursor": page.cursor, "counts": counts})
        workflow.set_current_details(
            f"{counts.rows} objects of rows, {counts.listed} in the store: {counts.missing} missing, "
            f"{counts.altered} altered, {counts.untracked} untracked, {counts.repaired} repaired."
        )

    async def _repair(self, item: DamagedItem) -> int:
        """How many pictures were made anew; none if that cannot be done, which the finding says."""
        try:
            return await workflow.execute_activity_method(
                ScrubRepair.rebuild_pictures, item, **policies.at(policies.RENDITIONS, f"rebuild {item.media_id}")
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return 0

    async def _end(self, *, failed: bool) -> None:
        end = ScrubEnd(
            scrub_id=self._job.scrub_id,
            library=self._job.library,
            counts=self._job.counts,
            failed=failed,
            actor=self._job.actor,
            via=self._job.via,
        )
        await workflow.execute_activity_method(Scrubbing.end_scrub, end, **policies.at(policies.SCRUBBING, "end"))
