"""A policy is held against items that are decided already; what it would change is changed if somebody confirms it."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.policy_runs import PolicyRuns
    from mediagate.moderation.policy_runs import ENDED, WORKING, ItemState, RunMode, RunState
    from workflows import names, policies, reporting
    from workflows.policy_items import decide_anew
    from workflows.policy_run_messages import (
        ItemOutcome,
        PolicyRunInput,
        PolicyRunProgress,
        PreviewInput,
        RunItem,
        RunItemsInput,
        RunItemsPage,
        RunOrder,
        RunRecord,
    )


@workflow.defn
class PolicyRunWorkflow:
    """Preview, wait for a confirmation, apply; or undo what another run applied.

    Its row and the rows of its items are written after each page, so they tell the same when the run has ended.
    """

    @workflow.init
    def __init__(self, job: PolicyRunInput) -> None:
        # Updates can be handled before `run`.
        self._job = job
        self._at = job.progress
        self._pages = 0
        self._next_at: datetime = workflow.now()
        self._recording = asyncio.Lock()

    @workflow.run
    async def run(self, job: PolicyRunInput) -> PolicyRunProgress:
        """One stretch after the other; the history stays short however large the library is."""
        try:
            if self._at.state is RunState.PREVIEWING:
                await (self._record(state=RunState.APPLYING) if job.mode is RunMode.UNDO else self._preview())
            if self._at.state is RunState.PREVIEWED:
                await self._wait_for_confirmation()
            if self._at.state is RunState.APPLYING:
                await self._apply()
        except BaseException as error:
            await self._fail(error)
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._at

    @workflow.query
    def progress(self) -> PolicyRunProgress:
        """How far it is."""
        return self._at

    # Orders

    @workflow.update
    async def confirm(self, order: RunOrder) -> PolicyRunProgress:
        """Apply what the preview showed."""
        return await self._record(confirmed_by=order.actor, state=RunState.APPLYING, after_time=None, after_id="")

    @confirm.validator
    def _may_confirm(self, order: RunOrder) -> None:  # noqa: ARG002
        if self._at.state is not RunState.PREVIEWED or self._at.cancelled:
            raise ApplicationError(f"Nothing waits to be confirmed: the run is {self._at.shown}.", type="Conflict")

    @workflow.update
    async def pause(self, order: RunOrder) -> PolicyRunProgress:
        """Begin nothing further; what is under way is finished."""
        return await self._record(paused=True, detail=f"paused by {order.actor}")

    @pause.validator
    def _may_pause(self, order: RunOrder) -> None:  # noqa: ARG002
        if self._at.shown not in WORKING or self._at.cancelled:
            raise ApplicationError(f"There is nothing to pause: the run is {self._at.shown}.", type="Conflict")

    @workflow.update
    async def resume(self, order: RunOrder) -> PolicyRunProgress:
        """Go on after a pause."""
        return await self._record(paused=False, detail=f"resumed by {order.actor}")

    @resume.validator
    def _may_resume(self, order: RunOrder) -> None:  # noqa: ARG002
        if not self._at.paused or self._at.cancelled or self._at.state in ENDED:
            raise ApplicationError(f"The run is not paused: it is {self._at.shown}.", type="Conflict")

    @workflow.update
    async def cancel(self, order: RunOrder) -> PolicyRunProgress:
        """End it; what is applied stays so."""
        return await self._record(cancelled=True, paused=False, detail=f"cancelled by {order.actor}")

    @cancel.validator
    def _may_cancel(self, order: RunOrder) -> None:  # noqa: ARG002
        if self._at.state in ENDED:
            raise ApplicationError(f"The run has ended already: it is {self._at.shown}.", type="Conflict")

    # The preview

    async def _preview(self) -> None:
        """Look through the items, the newest first; nothing is changed."""
        while await self._may_go_on():
            so_far = self._at.comparison.looked_at
            page = await workflow.execute_activity_method(
                PolicyRuns.preview_policy,
                PreviewInput(
                    run_id=self._job.run_id,
                    include_human=self._job.include_human,
                    after_time=self._at.after_time,
                    after_id=self._at.after_id,
                    limit=min(self._job.page, (self._job.last or so_far + self._job.page) - so_far),
                ),
                **policies.at(policies.POLICY_PAGE, f"look at items, after {so_far}"),
            )
            found = self._at.comparison + page.comparison
            await self._record(comparison=found, after_time=page.after_time, after_id=page.after_id)
            if page.after_time is None or found.looked_at == self._job.last:
                return await self._end_preview()
            await self._continue_if_long()
        return None

    async def _end_preview(self) -> None:
        if self._job.mode is RunMode.DRY_RUN or not self._at.comparison.applicable:
            await self._end(RunState.DONE, "nothing was changed")
        else:
            until: datetime = workflow.now() + self._job.confirm_within
            await self._record(state=RunState.PREVIEWED, confirm_until=until, detail="")

    async def _wait_for_confirmation(self) -> None:
        until = self._at.confirm_until or workflow.now()
        workflow.set_current_details(
            f"Waits for a confirmation: {self._at.comparison.applicable} of {self._at.comparison.looked_at} items would"
            f" change. Until {until:%Y-%m-%d %H:%M} UTC, then it ends without having changed anything."
        )
        try:
            await workflow.wait_condition(
                lambda: self._at.state is not RunState.PREVIEWED or self._at.cancelled,
                timeout=max(until - workflow.now(), timedelta(0)),
                timeout_summary="before it ends as not applied",
            )
        except TimeoutError:
            if (
                self._at.state is RunState.PREVIEWED and not self._at.cancelled
            ):  # an update may have come with the timer
                return await self._end(RunState.NOT_APPLIED, "nobody confirmed it in time")
        if self._at.cancelled:
            await self._end(RunState.CANCELLED, f"{self._at.detail}; nothing was changed")
        return None

    # Applying and undoing

    async def _apply(self) -> None:
        """Items one after the other, a few at the same time, not faster than was asked for."""
        undo = self._job.mode is RunMode.UNDO
        while await self._may_go_on():
            page = await workflow.execute_activity_method(
                PolicyRuns.take_run_items,
                RunItemsInput(
                    run_id=self._job.undoes if undo else self._job.run_id,
                    undo=undo,
                    after_time=self._at.after_time,
                    after_id=self._at.after_id,
                    limit=self._job.page,
                ),
                **policies.at(policies.POLICY_PAGE, "take items"),
            )
            outcomes = await self._decide_anew(page)
            if len(outcomes) == len(page.items):
                await self._record_outcomes(outcomes, after_time=page.after_time, after_id=page.after_id)
                if page.after_time is None:
                    return await self._end(RunState.DONE, "")
                await self._continue_if_long()
            else:  # cancelled on the way
                await self._record_outcomes(outcomes)
        return None

    async def _decide_anew(self, page: RunItemsPage) -> list[ItemOutcome]:
        """What became of the items of a page; of fewer if the run is cancelled meanwhile."""
        window = asyncio.Semaphore(self._job.at_once)
        begun: list[asyncio.Task[ItemOutcome]] = []
        for item in page.items:
            await window.acquire()
            if not item.overruled:
                await self._pace()
            if not await self._goes_on():
                break
            task = asyncio.create_task(self._one(item))
            task.add_done_callback(lambda _: window.release())
            begun.append(task)
        return list(await asyncio.gather(*begun))

    async def _pace(self) -> None:
        """Not faster than was asked for, but in lots of a second: the service's timers are hardly finer than that."""
        ahead = self._next_at - workflow.now()
        if ahead >= timedelta(seconds=1):
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._at.cancelled, timeout=ahead, timeout_summary="not faster than was asked for"
                )
        self._next_at = max(self._next_at, workflow.now()) + timedelta(seconds=1 / self._job.per_second)

    async def _one(self, item: RunItem) -> ItemOutcome:
        actor = self._at.confirmed_by or self._job.actor
        done = ItemState.UNDONE if self._job.mode is RunMode.UNDO else ItemState.APPLIED
        return await decide_anew(item, done, cause=self._cause, actor=actor, review=self._job.review)

    @property
    def _cause(self) -> str:
        return f"undo:{self._job.undoes}" if self._job.mode is RunMode.UNDO else f"policy_run:{self._job.run_id}"

    # Going on and ending

    async def _may_go_on(self) -> bool:
        """Waits out a pause; a run that is cancelled ends here."""
        if await self._goes_on():
            return True
        left = f"{self._at.applied} items stay changed" if self._at.applied else "nothing was changed"
        if self._job.mode is RunMode.UNDO:
            left = f"{self._at.applied} items were brought back"
        await self._end(RunState.CANCELLED, f"{self._at.detail}; {left}")
        return False

    async def _goes_on(self) -> bool:
        """Waits out a pause; False if the run is cancelled, or was paused for too long."""
        if self._at.paused:
            try:
                await workflow.wait_condition(
                    lambda: not self._at.paused,
                    timeout=policies.RUN_PAUSED,
                    timeout_summary="before a paused run ends",
                )
            except TimeoutError:
                if self._at.paused:  # an update may have come with the timer
                    await self._record(cancelled=True, paused=False, detail="paused for too long")
        return not self._at.cancelled

    async def _continue_if_long(self) -> None:
        self._pages += 1
        if self._pages >= self._job.stretch or workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(self._job.model_copy(update={"progress": self._at}))

    async def _record_outcomes(self, outcomes: list[ItemOutcome], **changes: object) -> None:
        states = [outcome.state for outcome in outcomes]
        await self._record(
            *outcomes,
            applied=self._at.applied + states.count(ItemState.APPLIED) + states.count(ItemState.UNDONE),
            skipped=self._at.skipped + states.count(ItemState.SKIPPED),
            failed=self._at.failed + states.count(ItemState.FAILED),
            **changes,
        )

    async def _record(self, *outcomes: ItemOutcome, **changes: object) -> PolicyRunProgress:
        """Go to another state and write it down. One at a time: what is written last is what holds."""
        self._at = self._at.model_copy(update=changes)
        async with self._recording:
            record = RunRecord(
                run_id=self._job.run_id, progress=self._at, of_run=self._job.undoes, outcomes=tuple(outcomes)
            )
            await workflow.execute_local_activity_method(PolicyRuns.record_policy_run, record, **policies.PROJECTION)
        return self._at

    async def _end(self, state: RunState, detail: str) -> None:
        await self._record(state=state, paused=False, detail=detail)
        workflow.set_current_details(f"{state.value}: {detail}")

    async def _fail(self, error: BaseException) -> None:
        """Say how it ended where people look for it."""
        if is_cancelled_exception(error):
            await self._end(RunState.CANCELLED, f"cancelled by an operator; {self._at.applied} items stay changed")
        elif isinstance(error, ActivityError):
            kind = reporting.kind_of(error)
            workflow.upsert_search_attributes([names.FAILURE_KIND.value_set(kind)])
            await self._end(RunState.FAILED, str(error.cause or error))
