"""A library's objects into another store: as a copy, or to live there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.store_moving import StoreMoving
    from workflows import policies
    from workflows.store_messages import (
        StoreAct,
        StoreMoveInput,
        StoreMoveProgress,
        StorePage,
        StorePageInput,
        StorePlace,
        StoreStage,
    )


@workflow.defn
class StoreMoveWorkflow:
    """Copy, compare, hand over, clear: while uploads and reads go on (docs/decisions/0027)."""

    @workflow.init
    def __init__(self, job: StoreMoveInput) -> None:
        self._job = job

    @workflow.query
    def progress(self) -> StoreMoveProgress:
        """How far it is."""
        job = self._job
        return StoreMoveProgress(
            library=job.library, act=job.act, store=job.store, source=job.source, stage=job.stage, done=job.done
        )

    @workflow.run
    async def run(self, job: StoreMoveInput) -> StoreMoveProgress:
        """Stage by stage; a run that has worked on many pages goes on as a new one.

        Cancelled before the handing over, a move is called off. After that it stops where it is: the same move, begun
        again, goes on from there.
        """
        try:
            if job.stage is StoreStage.BEGINNING:
                await self._begin()
            if self._job.stage is StoreStage.COPYING:
                await self._copy()
        except BaseException as error:
            if self._moving and is_cancelled_exception(error):
                await self._call_off()
            raise
        if self._job.stage is StoreStage.HANDING_OVER:
            await self._hand_over()
        if self._job.stage is StoreStage.CLEARING:
            await self._clear()
        return self.progress()

    async def _begin(self) -> None:
        begun = await workflow.execute_activity_method(
            StoreMoving.begin_store_move, self._job, **policies.at(policies.STORE_STEP, "where is it, and may it go")
        )
        self._now(stage=begun.stage, source=begun.source)
        _stop_if_cancelled()
        if self._moving and begun.stage is StoreStage.COPYING:
            await self._until_all_know()

    async def _copy(self) -> None:
        await self._pages(StoreMoving.mirror_page, "copy and compare")
        self._now(stage=StoreStage.HANDING_OVER if self._moving else StoreStage.DONE, after="")

    async def _call_off(self) -> None:
        await workflow.execute_activity_method(
            StoreMoving.call_off_store_move, self._job, **policies.at(policies.STORE_STEP, "stay where it was")
        )

    async def _hand_over(self) -> None:
        """Both sides have everything and get everything; what decides changes sides, then the old one is left."""
        await self._place(self._job.store, self._job.source, "the new store decides")
        await self._until_all_know()
        await self._place(self._job.store, None, "the old store is left")
        await self._until_all_know(and_for=self._job.grace)
        self._now(stage=StoreStage.CLEARING)

    async def _clear(self) -> None:
        await self._pages(StoreMoving.clear_page, "clear")
        self._now(stage=StoreStage.DONE, after="")

    async def _pages(self, activity: Callable[[StoreMoving, StorePageInput], Awaitable[StorePage]], what: str) -> None:
        for _ in range(self._job.pages_per_run):
            job = self._job
            page = await workflow.execute_activity_method(
                activity,
                StorePageInput(
                    library=job.library,
                    source=job.source,
                    target=job.store,
                    after=job.after,
                    limit=job.page,
                    at_once=job.at_once,
                    moving=self._moving,
                ),
                **policies.at(policies.STORE_PAGE, f"{what} after {job.done.looked_at or job.done.cleared} objects"),
            )
            self._now(after=page.after, done=job.done.plus(page.done))
            _stop_if_cancelled()
            if not page.after:
                return
        workflow.continue_as_new(self._job)

    @property
    def _moving(self) -> bool:
        return self._job.act is StoreAct.MOVE

    async def _place(self, home: str, beside: str | None, what: str) -> None:
        job = self._job
        step = StorePlace(
            library=job.library, home=home, beside=beside, actor=job.actor, via=job.via, reason=job.reason
        )
        await workflow.execute_activity_method(
            StoreMoving.place_library, step, **policies.at(policies.STORE_STEP, what)
        )

    async def _until_all_know(self, *, and_for: timedelta = timedelta(0)) -> None:
        if wait := self._job.lease + and_for:  # none where every process asks each time
            await workflow.sleep(wait, summary="until every process has looked again")

    def _now(self, **changes: object) -> None:
        self._job = self._job.model_copy(update=changes)
        done = self._job.done
        workflow.set_current_details(
            f"{self._job.stage.value}: {done.looked_at} objects compared, {done.copied} copied, {done.cleared} cleared."
        )


def _stop_if_cancelled() -> None:
    """An activity that ended before the cancellation reached it swallows it."""
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
