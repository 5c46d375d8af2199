"""What a run about one item tells admins and operators."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.notifying import Notifying
    from activities.projecting import Projecting
    from workflows import names, policies
    from workflows.messages import FailureInput, MediaRef, NotifyInput


async def tell(ref: MediaRef, kind: str, detail: str, *, occasion: str = "", batch_id: str | None = None) -> None:
    """Notify the admins; the run goes on whatever becomes of the mail."""
    job = NotifyInput(**_only_ref(ref), kind=kind, detail=detail, occasion=occasion, batch_id=batch_id)
    try:
        await workflow.execute_activity_method(
            Notifying.notify_admins, job, **policies.at(policies.NOTIFICATION, f"notify: {kind}")
        )
    except ActivityError as error:
        workflow.logger.warning("notification %s did not go out yet: %s", kind, error.cause)


async def fail(ref: MediaRef, error: BaseException, *, batch_id: str | None = None) -> None:
    """Name the cause where operators look for it, before the run ends as failed or cancelled."""
    cancelled = is_cancelled_exception(error)
    if not (cancelled or isinstance(error, ActivityError)):
        return  # an eviction, or a bug in this code, which fails the workflow task and is retried after a repair
    kind = "cancelled" if cancelled else kind_of(error)
    workflow.upsert_search_attributes([names.FAILURE_KIND.value_set(kind)])
    detail = str(getattr(error, "cause", None) or error)
    await workflow.execute_local_activity_method(
        Projecting.record_failure, FailureInput(**_only_ref(ref), kind=kind, detail=detail), **policies.PROJECTION
    )
    if not cancelled:  # whoever cancelled it knows
        occasion = workflow.info().run_id
        await tell(ref, "system_alert", f"The run failed: {kind}", occasion=occasion, batch_id=batch_id)


def kind_of(error: BaseException) -> str:
    """The name of the class in `mediagate.errors` that an activity failed with, or that of the SDK's failure."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return (cause.type if isinstance(cause, ApplicationError) else None) or type(cause).__name__


def _only_ref(ref: MediaRef) -> dict[str, str]:
    return {"media_id": ref.media_id, "library": ref.library, "tracking_id": ref.tracking_id}
