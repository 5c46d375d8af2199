"""Thousands of objects become uploads, a few at a time, so that nobody's single upload waits for them."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.importing import Importing
    from mediagate.media.imports import ENDED, ImportState
    from workflows import names, policies, reporting
    from workflows.import_messages import (
        AdvanceInput,
        AdvanceResult,
        EndInput,
        EndResult,
        ImportInput,
        ImportOrder,
        ImportProgress,
        ImportRecord,
        ListInput,
    )


SLOWEST = 5
"""How much longer than at first the waits become while nothing moves."""


@workflow.defn
class BatchImportWorkflow:
    """Write down what is to be imported, then keep a window of uploads under way until all of them have ended.

    The uploads are runs of their own: this one begins them through their rows and looks at those. Rows say what was
    done, so a step that runs twice, or a history that begins anew, does nothing twice.
    """

    @workflow.init
    def __init__(self, job: ImportInput) -> None:
        # Updates can be handled before `run`.
        self._job = job
        self._at = job.progress
        self._steps = 0
        self._orders = 0
        self._patience = job.look_again
        self._since: datetime = workflow.now()
        self._held_until: datetime = self._since
        self._held = False
        self._recording = asyncio.Lock()

    @workflow.run
    async def run(self, job: ImportInput) -> ImportProgress:
        """One stretch after the other; the history stays short however many objects there are."""
        try:
            if self._at.state is ImportState.LISTING:
                await self._list(job.page)
            if self._at.state is ImportState.IMPORTING:
                await self._import()
        except BaseException as error:
            await self._fail(error)
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._at

    @workflow.query
    def progress(self) -> ImportProgress:
        """How far it is."""
        return self._at

    # Orders

    @workflow.update
    async def pause(self, order: ImportOrder) -> ImportProgress:
        """Begin nothing further; what is under way goes on to its end."""
        return await self._obey("pause", order, paused=True, detail=f"paused by {order.actor}")

    @pause.validator
    def _may_pause(self, order: ImportOrder) -> None:  # noqa: ARG002
        if self._at.paused or self._at.cancelled or self._at.state in ENDED:
            raise ApplicationError(f"There is nothing to pause: the import is {self._at.shown}.", type="Conflict")

    @workflow.update
    async def resume(self, order: ImportOrder) -> ImportProgress:
        """Go on after a pause."""
        return await self._obey("resume", order, paused=False, detail="", held=timedelta(0))

    @resume.validator
    def _may_resume(self, order: ImportOrder) -> None:  # noqa: ARG002
        if not self._at.paused or self._at.cancelled or self._at.state in ENDED:
            raise ApplicationError(f"The import is not paused: it is {self._at.shown}.", type="Conflict")

    @workflow.update
    async def cancel(self, order: ImportOrder) -> ImportProgress:
        """End it when what is under way has ended; what is imported stays so."""
        return await self._obey("cancel", order, cancelled=True, paused=False, detail=f"cancelled by {order.actor}")

    @cancel.validator
    def _may_cancel(self, order: ImportOrder) -> None:  # noqa: ARG002
        if self._at.cancelled or self._at.state in ENDED:
            raise ApplicationError(f"There is nothing to cancel: the import is {self._at.shown}.", type="Conflict")

    async def _obey(self, act: str, order: ImportOrder, **changes: object) -> ImportProgress:
        self._orders += 1
        return await self._record(act, order, **changes)

    async def _record(self, act: str, order: ImportOrder | None, **changes: object) -> ImportProgress:
        """Go to another state and write it down. One at a time: what is written last is what holds."""
        self._at = self._at.model_copy(update=changes)
        async with self._recording:
            record = ImportRecord(import_id=self._job.import_id, progress=self._at, act=act, order=order)
            await workflow.execute_local_activity_method(Importing.record_import, record, **policies.PROJECTION)
        return self._at

    # The list

    async def _list(self, page: int) -> None:
        """Write down what is to be imported."""
        while not self._at.cancelled:
            self._count_time()
            if self._at.paused:
                await self._wait(policies.RUN_PAUSED, "before a paused import ends")
                continue
            listed = await workflow.execute_activity_method(
                Importing.list_import,
                ListInput(import_id=self._job.import_id, after=self._at.after, limit=page),
                **policies.at(policies.IMPORT_STEP, f"write down objects, after {self._at.counts.total}"),
            )
            done = listed.after is None
            state = ImportState.IMPORTING if done and not listed.refused else ImportState.LISTING
            self._at = self._at.model_copy(
                update={"counts": listed.counts, "after": listed.after or "", "state": state}
            )
            if listed.refused:
                await self._end(ImportState.FAILED, listed.refused)
                return
            if done:
                return
            await self._hold(listed.hold, listed.detail)
            if listed.hold:
                await self._wait(listed.hold, "before the source is asked again")
            await self._continue_if_long()
        await self._end(ImportState.CANCELLED, self._at.detail)

    # The window

    async def _import(self) -> None:
        """Keep the window full, and look on until nothing is left."""
        while True:
            step = await self._advance()
            counts = self._at.counts
            if not counts.under_way and (self._at.cancelled or not counts.waiting):
                if await self._end_import():
                    return
                continue
            await self._pace(step)
            await self._continue_if_long()

    async def _advance(self) -> AdvanceResult:
        """Note what has ended, and begin others unless an order or a hold forbids it."""
        self._count_time()
        begins = not (self._at.paused or self._at.cancelled or self._held_until > workflow.now())
        step = await workflow.execute_activity_method(
            Importing.advance_import,
            AdvanceInput(
                import_id=self._job.import_id,
                at_once=self._job.at_once,
                begin=self._job.begin if begins else 0,
                worked=self._at.worked,
            ),
            **policies.at(policies.IMPORT_STEP, f"{self._at.counts.ended} of {self._at.counts.total} ended"),
        )
        self._at = self._at.model_copy(update={"counts": step.counts})
        if begins:
            await self._hold(step.hold, step.detail)
        self._tell()
        return step

    async def _pace(self, step: AdvanceResult) -> None:
        """Wait until it makes sense to look again: at once, soon, when a hold is over, or when an order comes."""
        held = self._held_until - workflow.now()
        if self._at.paused and not step.counts.under_way:
            await self._wait(policies.RUN_PAUSED, "before a paused import ends")
        elif held > timedelta(0) and not step.counts.under_way:
            await self._wait(held, "before it is tried again")
        elif not step.more:
            longer = min(self._patience * 2, self._job.look_again * SLOWEST)
            self._patience = self._job.look_again if step.moved else longer
            await self._wait(self._patience, "before the window is looked at again")

    async def _hold(self, hold: timedelta | None, reason: str) -> None:
        """Begin nothing for so long; after days of that the import pauses itself and says why."""
        self._held, self._held_until = bool(hold), workflow.now() + (hold or timedelta(0))
        if not hold:
            self._at = self._at.model_copy(update={"held": timedelta(0)})
        elif self._at.held >= policies.IMPORT_HELD and not (self._at.paused or self._at.cancelled):
            await self._record("", None, paused=True, detail=f"paused by itself: {reason}")
        else:
            workflow.set_current_details(f"Waits: {reason}")

    async def _wait(self, timeout: timedelta, why: str) -> None:
        """Until an order comes, or for so long. A pause without an end is a cancellation."""
        seen = self._orders
        try:
            await workflow.wait_condition(lambda: self._orders != seen, timeout=timeout, timeout_summary=why)
        except TimeoutError:
            if timeout == policies.RUN_PAUSED and self._at.paused:  # an update may have come with the timer
                await self._record("", None, cancelled=True, paused=False, detail="paused for too long")

    def _count_time(self) -> None:
        """How long it worked, or was held, since the last look."""
        passed, self._since = workflow.now() - self._since, workflow.now()
        if not (self._at.paused or self._at.cancelled):
            name = "held" if self._held else "worked"
            self._at = self._at.model_copy(update={name: getattr(self._at, name) + passed})

    def _tell(self) -> None:
        counts, why = self._at.counts, self._at.detail
        if not self._held:
            workflow.set_current_details(
                f"{self._at.shown.value}: {counts.imported} imported, {counts.failed} failed, {counts.under_way} under"
                f" way, {counts.waiting} waiting. {why}"
            )

    # Ends

    async def _continue_if_long(self) -> None:
        self._steps += 1
        if self._steps >= self._job.stretch or workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(self._job.model_copy(update={"progress": self._at}))

    async def _end_import(self) -> bool:
        """False if it goes on: failed objects are to be tried again."""
        if self._at.cancelled:
            return await self._end(ImportState.CANCELLED, self._at.detail)
        return await self._end(ImportState.DONE, "")

    async def _end(self, state: ImportState, detail: str) -> bool:
        job = EndInput(
            import_id=self._job.import_id,
            library=self._job.library,
            round=self._job.round,
            state=state,
            detail=detail,
        )
        end: EndResult = await workflow.execute_activity_method(
            Importing.end_import, job, **policies.at(policies.IMPORT_STEP, f"end as {state.value}; sum up")
        )
        if end.ended:
            self._at = self._at.model_copy(update={"state": state, "counts": end.counts, "detail": detail})
            workflow.set_current_details(f"{state.value}: {end.counts.imported} imported. {detail}")
        return end.ended

    async def _fail(self, error: BaseException) -> None:
        """Say how it ended where people look for it."""
        with suppress(ActivityError):
            if is_cancelled_exception(error):
                await self._end(ImportState.CANCELLED, "cancelled by an operator; what is under way goes on")
            elif isinstance(error, ActivityError):
                workflow.upsert_search_attributes([names.FAILURE_KIND.value_set(reporting.kind_of(error))])
                await self._end(ImportState.FAILED, str(error.cause or error))
