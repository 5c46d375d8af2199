"""What a run of a policy does with one item."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from mediagate.media.values import Verdict
    from mediagate.moderation.policy_runs import ItemState
    from workflows import names, reporting
    from workflows.messages import RemoderateInput, SettleReview
    from workflows.policy_run_messages import ItemOutcome, RunItem
    from workflows.remoderation import RemoderationWorkflow

SINCE = "decided since by somebody else"


async def decide_anew(item: RunItem, done: ItemState, *, cause: str, actor: str, review: timedelta) -> ItemOutcome:
    """Bring an item to its verdict, unless somebody else decides it or has done so; `done`: its state after that."""
    if item.overruled:
        return _skipped(item, SINCE)
    try:
        if item.in_review:
            await _settle(item, cause)
        else:
            await _remoderate(item, cause, actor, review)
    except WorkflowAlreadyStartedError:
        return _skipped(item, "it is being decided anew")
    except (ApplicationError, ChildWorkflowError) as error:
        if is_cancelled_exception(error):
            raise
        if item.in_review:  # its review has just ended
            return _skipped(item, SINCE)
        return ItemOutcome(
            media_id=item.media_id, state=ItemState.FAILED, detail=reporting.kind_of(error.cause or error)
        )
    return ItemOutcome(media_id=item.media_id, state=done, round=item.round)


async def _remoderate(item: RunItem, cause: str, actor: str, review: timedelta) -> None:
    """A new round. Where it asks a person, it is not waited for: that may take days."""
    started = await workflow.start_child_workflow(
        RemoderationWorkflow.run,
        RemoderateInput(
            media_id=item.media_id,
            library=item.library,
            tracking_id=item.tracking_id,
            round=item.round,
            cause=cause,
            verdict=item.verdict,
            reasons=item.reasons,
            policy_version=item.policy_version,
            actor=actor,
            review=review,
        ),
        id=names.remoderation_id(item.media_id),
        # A run that ends leaves what it began to its end.
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        static_summary=f"decide anew: {cause}",
    )
    if item.verdict is not Verdict.REVIEW:
        await started


async def _settle(item: RunItem, cause: str) -> None:
    """The review that the run opened is taken back."""
    taken_back = SettleReview(
        cause=cause, verdict=item.verdict, reasons=item.reasons, policy_version=item.policy_version
    )
    handle = workflow.get_external_workflow_handle(names.remoderation_id(item.media_id))
    await handle.signal(RemoderationWorkflow.settle, taken_back)


def _skipped(item: RunItem, why: str) -> ItemOutcome:
    return ItemOutcome(media_id=item.media_id, state=ItemState.SKIPPED, detail=why)
