"""The way of one upload through the gate."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from activities.filing import Filing
    from activities.projecting import Projecting
    from activities.reconsidering import Reconsidering
    from activities.rendering import Rendering
    from mediagate.media.lifecycle import status_for
    from mediagate.media.values import Status, Verdict
    from mediagate.moderation.findings import VendorEvent
    from mediagate.moderation.policy import Reason
    from workflows import names, policies, reporting, sealing
    from workflows.messages import (
        AbortRequest,
        DecisionInput,
        DecisionResult,
        FileInput,
        FileResult,
        HumanDecision,
        MediaRef,
        NotifyInput,
        StepResult,
        UploadInput,
        UploadResult,
    )
    from workflows.rendition_messages import RenditionInput
    from workflows.renditions import RenditionWorkflow
    from workflows.vendor_exchange import VendorExchange

POISONED = "PoisonedFile"
GATE = "gate"
"""Who decided, where neither a policy nor a person did."""


@workflow.defn
class UploadWorkflow:
    """Verify, render, moderate, file, notify: one durable run for each upload."""

    @workflow.init
    def __init__(self, upload: UploadInput) -> None:
        # Signals and updates can be handled before `run`: everything they touch exists from here on.
        self._upload = upload
        self._ref = MediaRef(media_id=upload.media_id, library=upload.library, tracking_id=upload.tracking_id)
        self._vendor = VendorExchange(self._ref, upload.waits, upload.ask)
        self._abort: AbortRequest | None = None
        self._human: HumanDecision | None = None
        self._in_review = False
        self._decision: DecisionResult | None = None
        self._weighed = 0
        self._telling: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, upload: UploadInput) -> UploadResult:
        """Lead the upload to its end; the result repeats what the row says."""
        try:
            refused = await self._verify_and_render()
            self._decision = await (self._refuse(refused) if refused else self._moderate())
            filed = await self._file(self._decision)
            if filed.seal:
                await sealing.seal(self._ref)
        except BaseException as error:
            await reporting.fail(self._ref, error, batch_id=self._upload.batch_id)
            raise
        if self._telling:
            await self._telling
        if filed.renditions:
            await self._start_renditions()
        if len(self._vendor.events) > self._weighed:
            await self._reconsider()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return UploadResult(
            media_id=upload.media_id, status=filed.status, verdict=self._decision.verdict, reason=self._decision.reason
        )

    # Messages

    @workflow.signal
    def moderation_event(self, event: VendorEvent) -> None:
        """A vendor's word, at any time and in any order."""
        self._vendor.hear(event)

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
            raise ApplicationError("This upload is not waiting for a person.", type="Conflict")
        if decision.verdict is Verdict.REVIEW:
            raise ApplicationError("A person decides: approve, reject or quarantine.", type="InvalidRequest")

    @workflow.update
    async def abort(self, request: AbortRequest) -> DecisionResult:
        """Stop the upload before it is filed: it ends as rejected, its file backed up."""
        self._abort = self._abort or request
        await workflow.wait_condition(lambda: self._decision is not None)
        assert self._decision
        return self._decision

    @abort.validator
    def _may_abort(self, request: AbortRequest) -> None:  # noqa: ARG002  (the SDK passes it)
        if self._decision:
            raise ApplicationError(f"It is decided already: {self._decision.verdict.value}.", type="Conflict")

    # Steps

    async def _verify_and_render(self) -> StepResult | None:
        """Check the stored object and make the pictures, from one download; a refusal is an outcome, not a failure."""
        workflow.set_current_details("Verifying the stored object; rendering the marked original and the variants.")
        try:
            result = await workflow.execute_activity_method(
                Rendering.verify_and_render,
                self._ref,
                **policies.at(policies.IMAGE_WORK, "verify; original, medium, thumb, moderation copy"),
            )
        except ActivityError as error:
            if reporting.kind_of(error) != POISONED:
                raise
            return StepResult(poisoned=True)
        for event in result.events:
            self._vendor.hear(event)
        return result if result.refused else None

    async def _refuse(self, refused: StepResult) -> DecisionResult:
        """A file that may not pass: rejected with the reason named, or set apart if it ends workers."""
        if refused.poisoned:
            reason = Reason(code="poisoned_file", detail="Working on this file ended its worker again and again.")
            return await self._record(Verdict.QUARANTINE, reason, by=GATE)
        reason = Reason(code=refused.refused.value if refused.refused else "", detail=refused.detail)
        verdict = refused.refused.verdict if refused.refused else Verdict.REJECT
        return await self._record(verdict, reason, by=GATE)

    async def _moderate(self) -> DecisionResult:
        """Submit, wait for the vendor, decide by the policy, and ask a person where that leads to review."""
        asked = not (self._abort or self._vendor.overridden)
        silence = await self._vendor.ask(interrupted=lambda: self._abort is not None) if asked else None
        if self._abort:
            return await self._aborted(self._abort)
        if silence:
            opened = await self._record(Verdict.REVIEW, silence, by=GATE)
        else:
            opened = await self._record()
        if opened.verdict is not Verdict.REVIEW:
            return opened
        due = workflow.now() + self._upload.waits.review
        return await self._review(opened, due, reopenable=silence is not None)

    async def _review(self, opened: DecisionResult, due: datetime, *, reopenable: bool) -> DecisionResult:
        """Wait for a person; where only the vendor's silence led here, its late word closes the review."""
        self._in_review = True
        workflow.upsert_search_attributes(
            [names.MEDIA_STAGE.value_set(Status.IN_REVIEW.value), names.REVIEW_DUE_AT.value_set(due)]
        )
        workflow.set_current_details(
            f"In review because of {opened.reason}; due {due:%Y-%m-%d %H:%M} UTC, then the policy's default."
        )
        # Beside the wait: a mail server that is away keeps nobody from deciding.
        self._telling = asyncio.create_task(self._tell("review_due", opened.reason))
        return await self._until_reviewed(due, reopenable)

    async def _until_reviewed(self, due: datetime, reopenable: bool) -> DecisionResult:
        with suppress(TimeoutError):  # as above: the state decides
            await workflow.wait_condition(
                lambda: bool(self._human or self._abort or (reopenable and self._vendor.settled)),
                timeout=max(due - workflow.now(), timedelta(0)),
                timeout_summary="review deadline",
            )
        return await self._close_review(due, reopenable)

    async def _close_review(self, due: datetime, reopenable: bool) -> DecisionResult:
        if self._human:
            reason = Reason(code=self._human.reason or "person", detail=self._human.note)
            return await self._record(
                self._human.verdict, reason, by=f"person:{self._human.reviewer}", note=self._human.note
            )
        if self._abort:
            return await self._aborted(self._abort)
        if reopenable and self._vendor.settled:
            decision = await self._record()
            if decision.verdict is not Verdict.REVIEW:
                return decision
            # The vendor is unsure as well: the deadline of the review that is open already holds.
            return await self._until_reviewed(due, reopenable=False)
        reason = Reason(code="review_deadline", detail="No person decided before the deadline.")
        return await self._record(reason=reason, by="deadline", deadline_passed=True)

    async def _aborted(self, request: AbortRequest) -> DecisionResult:
        reason = Reason(code="aborted", detail=request.reason)
        return await self._record(Verdict.REJECT, reason, by=f"person:{request.actor}")

    async def _record(
        self,
        verdict: Verdict | None = None,
        reason: Reason | None = None,
        *,
        by: str = "policy",
        note: str = "",
        deadline_passed: bool = False,
    ) -> DecisionResult:
        """Store a decision; the one that stands comes back, also when this runs again."""
        self._weighed = len(self._vendor.events)
        return await workflow.execute_local_activity_method(
            Projecting.record_decision,
            DecisionInput(
                **self._ref.model_dump(),
                events=self._vendor.events,
                lane=self._upload.lane,
                verdict=verdict,
                reasons=(reason,) if reason else (),
                decided_by=by,
                note=note,
                deadline_passed=deadline_passed,
            ),
            **policies.PROJECTION,
        )

    async def _file(self, decision: DecisionResult) -> FileResult:
        """Copy, verify, commit, delete: everything stands where the verdict says, or nothing has moved. Then admins are
        told; what is filed stays filed whatever becomes of the mail, or of a late cancellation."""
        status = status_for(decision.verdict)
        workflow.set_current_details(f"Filing as {status.value}: {decision.reason}.")
        filed = await workflow.execute_activity_method(
            Filing.file_media,
            FileInput(
                **self._ref.model_dump(),
                verdict=decision.verdict,
                reason=decision.reason,
                detail=decision.detail,
                notice=NotifyInput(
                    **self._ref.model_dump(),
                    kind="upload_failed" if decision.decided_by == GATE else "moderation_result",
                    detail=f"{status.value}: {decision.reason}",
                    batch_id=self._upload.batch_id,
                ),
            ),
            **policies.at(policies.FILING, f"file as {status.value}; notify"),
        )
        workflow.upsert_search_attributes(
            [names.MEDIA_STAGE.value_set(filed.status.value), names.VERDICT.value_set(decision.verdict.value)]
        )
        workflow.set_current_details(f"Filed as {filed.status.value}: {decision.reason}.")
        return filed

    async def _start_renditions(self) -> None:
        """In a run of their own: the public has the JPEGs, so nobody waits for AVIF."""
        with suppress(WorkflowAlreadyStartedError):  # somebody asked for one in this very moment
            await workflow.start_child_workflow(
                RenditionWorkflow.run,
                RenditionInput(**self._ref.model_dump()),
                id=names.renditions_id(self._ref.media_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary="further pictures of an approved item",
            )

    async def _reconsider(self) -> None:
        """A vendor spoke after the decision and before the filing: from now on such words open a new round."""
        await workflow.execute_activity_method(
            Reconsidering.reconsider_decision,
            self._ref,
            **policies.at(policies.RECONSIDERING, "a word that came after the decision"),
        )

    async def _tell(self, kind: str, detail: str) -> None:
        await reporting.tell(self._ref, kind, detail, batch_id=self._upload.batch_id)
