"""An item that is decided is decided anew: a vendor changed its mind, or a policy did."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.filing import Filing
    from activities.projecting import Projecting
    from activities.purging import Purging
    from mediagate.media.lifecycle import status_for
    from mediagate.media.values import Status, Verdict
    from mediagate.moderation.policy import Reason
    from workflows import names, policies, reporting, sealing
    from workflows.messages import (
        DecisionInput,
        DecisionResult,
        FileInput,
        FileResult,
        HumanDecision,
        MediaRef,
        PurgeInput,
        RemoderateInput,
        RemoderateResult,
        SettleReview,
    )
    from workflows.rendition_messages import RenditionInput
    from workflows.renditions import RenditionWorkflow


@workflow.defn
class RemoderationWorkflow:
    """Decide, ask a person where that leads to review, file, purge, tell. Run again for a round: the effect of once."""

    @workflow.init
    def __init__(self, job: RemoderateInput) -> None:
        self._job = job
        self._ref = MediaRef(media_id=job.media_id, library=job.library, tracking_id=job.tracking_id)
        self._human: HumanDecision | None = None
        self._settled: SettleReview | None = None
        self._in_review = False
        self._decision: DecisionResult | None = None
        self._beside: asyncio.Future[tuple[None, None]] | None = None

    @workflow.run
    async def run(self, job: RemoderateInput) -> RemoderateResult:
        """From the decision on, what is withheld is read by nobody; files and caches follow."""
        try:
            decision = self._decision = await self._decide()
            filed = await self._file(decision)
            if decision.verdict is not Verdict.APPROVE:
                await self._purge(decision)
            if filed.seal:
                await sealing.seal(self._ref, self._job.round)
        except BaseException as error:
            await reporting.fail(self._ref, error)
            raise
        await self._tell("moderation_result", f"{filed.status.value}: {decision.reason}")
        if filed.renditions:
            await self._start_renditions()
        if self._beside:
            await self._beside
        await workflow.wait_condition(workflow.all_handlers_finished)
        return RemoderateResult(
            media_id=job.media_id, status=filed.status, verdict=decision.verdict, reason=decision.reason
        )

    @workflow.update
    async def decide(self, decision: HumanDecision) -> DecisionResult:
        """A person's verdict on the review; answers with the decision that stands."""
        self._human = self._human or decision
        await workflow.wait_condition(lambda: self._decision is not None)
        assert self._decision
        return self._decision

    @decide.validator
    def _may_decide(self, decision: HumanDecision) -> None:
        if not self._in_review or self._human or self._decision:
            raise ApplicationError("This item is not waiting for a person.", type="Conflict")
        if decision.verdict is Verdict.REVIEW:
            raise ApplicationError("A person decides: approve, reject or quarantine.", type="InvalidRequest")

    @workflow.signal
    def settle(self, settled: SettleReview) -> None:
        """Ends the review that is open, unless a person did; without one nothing happens."""
        self._settled = self._settled or settled

    async def _decide(self) -> DecisionResult:
        job = self._job
        reasons = job.reasons or ((Reason(code=job.cause),) if job.verdict else ())
        opened = await self._record(job.verdict, reasons, by=job.cause if job.verdict else "policy", note=job.actor)
        return await self._review(opened) if opened.verdict is Verdict.REVIEW else opened

    async def _review(self, opened: DecisionResult) -> DecisionResult:
        """The item is public no more while a person is asked; after the deadline the policy's default holds."""
        self._in_review = True
        due: datetime = workflow.now() + self._job.review
        workflow.upsert_search_attributes(
            [names.MEDIA_STAGE.value_set(Status.IN_REVIEW.value), names.REVIEW_DUE_AT.value_set(due)]
        )
        workflow.set_current_details(
            f"In review again because of {opened.reason}; due {due:%Y-%m-%d %H:%M} UTC, then the policy's default."
        )
        # Beside the wait: neither a mail server nor a cache that is away keeps anybody from deciding.
        self._beside = asyncio.gather(self._tell("review_due", opened.reason), self._purge(opened))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._human is not None or self._settled is not None,
                timeout=max(due - workflow.now(), timedelta(0)),
                timeout_summary="review deadline",
            )
        if self._human:
            reason = Reason(code=self._human.reason or "person", detail=self._human.note)
            by = f"person:{self._human.reviewer}"
            return await self._record(self._human.verdict, (reason,), by=by, note=self._human.note)
        if self._settled:
            taken_back = self._settled
            return await self._record(
                taken_back.verdict, taken_back.reasons, by=taken_back.cause, policy_version=taken_back.policy_version
            )
        late = Reason(code="review_deadline", detail="No person decided before the deadline.")
        return await self._record(None, (late,), by="deadline", deadline_passed=True)

    async def _record(
        self,
        verdict: Verdict | None,
        reasons: tuple[Reason, ...],
        *,
        by: str,
        note: str = "",
        deadline_passed: bool = False,
        policy_version: str = "",
    ) -> DecisionResult:
        return await workflow.execute_local_activity_method(
            Projecting.record_decision,
            DecisionInput(
                **self._ref.model_dump(),
                round=self._job.round,
                from_inbox=True,
                verdict=verdict,
                reasons=reasons,
                decided_by=by,
                note=note,
                policy_version=policy_version or self._job.policy_version,
                deadline_passed=deadline_passed,
            ),
            **policies.PROJECTION,
        )

    async def _file(self, decision: DecisionResult) -> FileResult:
        status = status_for(decision.verdict)
        workflow.set_current_details(f"Filing as {status.value}: {decision.reason}.")
        filed = await workflow.execute_activity_method(
            Filing.file_media,
            FileInput(
                **self._ref.model_dump(),
                verdict=decision.verdict,
                reason=decision.reason,
                detail=decision.detail,
                round=self._job.round,
            ),
            **policies.at(policies.FILING, f"file as {status.value}"),
        )
        workflow.upsert_search_attributes(
            [names.MEDIA_STAGE.value_set(filed.status.value), names.VERDICT.value_set(decision.verdict.value)]
        )
        workflow.set_current_details(f"Filed as {filed.status.value}: {decision.reason}.")
        return filed

    async def _purge(self, decision: DecisionResult) -> None:
        """Whether it was public before or not: what caches do not have, they forget at no cost."""
        order = PurgeInput(**self._ref.model_dump(), reason=decision.reason)
        done = await workflow.execute_activity_method(
            Purging.purge_caches, order, **policies.at(policies.PURGE, "purge caches")
        )
        if done.purged:
            await workflow.sleep(policies.PURGE_AGAIN, summary="answers on their way to caches")
            await workflow.execute_activity_method(
                Purging.purge_caches, order, **policies.at(policies.PURGE, "purge caches again")
            )

    async def _start_renditions(self) -> None:
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                RenditionWorkflow.run,
                RenditionInput(**self._ref.model_dump()),
                id=names.renditions_id(self._ref.media_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary="further pictures of an approved item",
            )

    async def _tell(self, kind: str, detail: str) -> None:
        await reporting.tell(self._ref, kind, detail, occasion=f"round-{self._job.round}")
