"""An approved item is withdrawn from the public."""

import asyncio
from contextlib import suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.filing import Filing
    from activities.projecting import Projecting
    from activities.purging import Purging
    from mediagate.media.lifecycle import status_for
    from mediagate.media.values import Status
    from mediagate.moderation.policy import Reason
    from workflows import names, policies, reporting, sealing
    from workflows.messages import (
        DecisionInput,
        DecisionResult,
        FileInput,
        MediaRef,
        PurgeInput,
        TakedownInput,
        TakedownResult,
    )


@workflow.defn
class TakedownWorkflow:
    """Close, then file and purge side by side, and tell. Run again for the same round, it has the effect of once."""

    @workflow.init
    def __init__(self, takedown: TakedownInput) -> None:
        # The update can be handled before `run`.
        self._takedown = takedown
        self._ref = MediaRef(media_id=takedown.media_id, library=takedown.library, tracking_id=takedown.tracking_id)
        self._decision: DecisionResult | None = None

    @workflow.run
    async def run(self, takedown: TakedownInput) -> TakedownResult:
        """From here on the public reads nothing of it; the result says where its files are."""
        try:
            decision = self._decision = await self._close()
            # A store that is away keeps no picture in caches, and a cache that is away none among the approved.
            outcomes = await asyncio.gather(self._file(decision), self._purge(decision), return_exceptions=True)
            if failed := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
                raise failed[0]
        except BaseException as error:
            await reporting.fail(self._ref, error)
            raise
        workflow.set_current_details(f"Taken down as {status_for(decision.verdict).value}: {decision.reason}.")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return TakedownResult(
            media_id=takedown.media_id,
            status=status_for(decision.verdict),
            reason=decision.reason,
            purged=outcomes[1] is True,
        )

    @workflow.update
    async def closed(self) -> DecisionResult:
        """Answers once the row is closed, with the decision that stands."""
        await workflow.wait_condition(lambda: self._decision is not None)
        assert self._decision
        return self._decision

    async def _close(self) -> DecisionResult:
        """Decide anew; with the decision the row is approved no more, so the API serves nothing of it."""
        reason = Reason(code=f"takedown:{self._takedown.reason}", detail=self._takedown.note)
        return await workflow.execute_local_activity_method(
            Projecting.record_decision,
            DecisionInput(
                **self._ref.model_dump(),
                round=self._takedown.round,
                verdict=self._takedown.verdict,
                reasons=(reason,),
                decided_by=f"person:{self._takedown.actor}",
                note=self._takedown.note,
            ),
            **policies.PROJECTION,
        )

    async def _file(self, decision: DecisionResult) -> Status:
        """Everything moves out of the folders of approved pictures; then the admins are told."""
        status = status_for(decision.verdict)
        workflow.set_current_details(f"Closed as {status.value}: {decision.reason}. Its files and caches follow.")
        filed = await workflow.execute_activity_method(
            Filing.file_media,
            FileInput(
                **self._ref.model_dump(),
                verdict=decision.verdict,
                reason=decision.reason,
                detail=decision.detail,
                round=self._takedown.round,
            ),
            **policies.at(policies.FILING, f"file as {status.value}"),
        )
        workflow.upsert_search_attributes(
            [names.MEDIA_STAGE.value_set(filed.status.value), names.VERDICT.value_set(decision.verdict.value)]
        )
        await reporting.tell(
            self._ref, "takedown", f"{filed.status.value}: {decision.reason}", occasion=str(self._takedown.round)
        )
        if filed.seal:
            await sealing.seal(self._ref, self._takedown.round)
        return filed.status

    async def _purge(self, decision: DecisionResult) -> bool:
        """Make caches forget, and once more a while later; False if there is no hook to tell."""
        if not await self._order(decision, "purge caches"):
            return False
        await workflow.sleep(policies.PURGE_AGAIN, summary="answers on their way to caches")
        return await self._order(decision, "purge caches again")

    async def _order(self, decision: DecisionResult, summary: str) -> bool:
        ordering = asyncio.create_task(self._execute_purge(decision, summary))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                ordering.done, timeout=policies.PURGE_ALERT, timeout_summary="before admins are told"
            )
        if not ordering.done():
            await reporting.tell(
                self._ref,
                "system_alert",
                "Caches may still show what was taken down: the purge hook does not answer.",
                occasion=f"purge-{self._takedown.round}",
            )
        return await ordering

    async def _execute_purge(self, decision: DecisionResult, summary: str) -> bool:
        done = await workflow.execute_activity_method(
            Purging.purge_caches,
            PurgeInput(**self._ref.model_dump(), reason=decision.reason),
            **policies.at(policies.PURGE, summary),
        )
        return done.purged
