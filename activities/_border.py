"""The border between the project's errors and Temporal's, and between Temporal's context and the logs.

Only the outermost `ApplicationError` counts for retries, so the translation happens here and nowhere else: `retryable`
becomes `non_retryable`, `retry_after` becomes `next_retry_delay`, and the class name becomes the type by which
workflows and operators tell failures apart.
"""

import time
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from mediagate import metrics
from mediagate.errors import MediagateError
from mediagate.measuring import NOBODY, Recorder, recorded_by
from workflows.messages import MediaRef

log = structlog.get_logger()


class Border(Interceptor):
    """Worker interceptor: error translation, log context and measuring for every activity."""

    def __init__(self, recorder: Recorder = NOBODY) -> None:
        """`recorder`: who records what activities measure."""
        self._recorder = recorder

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap the next interceptor."""
        return _Inbound(next, self._recorder)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, recorder: Recorder) -> None:  # noqa: A002
        super().__init__(next)
        self._recorder = recorder

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        subject = input.args[0] if input.args and isinstance(input.args[0], MediaRef) else None
        context = {"media_id": subject.media_id, "tracking_id": subject.tracking_id} if subject else {}
        with (
            recorded_by(self._recorder),
            structlog.contextvars.bound_contextvars(
                activity=info.activity_type, attempt=info.attempt, workflow_id=info.workflow_id, **context
            ),
        ):
            began = time.monotonic()
            if info.attempt > 1:
                metrics.STEP_RETRIES.add(step=info.activity_type)
            try:
                result = await super().execute_activity(input)
            except MediagateError as error:
                _count(info.activity_type, began, "failed", error=error.code)
                log.warning("activity.failed", error=error.code, detail=error.message, retryable=error.retryable)
                raise translated(error) from None  # the chain would travel into the history
            except Exception:
                _count(info.activity_type, began, "crashed", error="crashed")
                log.exception("activity.crashed")
                raise
            _count(info.activity_type, began, "done")
            log.info("activity.done", seconds=round(time.monotonic() - began, 3))
            return result


def _count(step: str, began: float, outcome: str, *, error: str = "") -> None:
    metrics.STEP_SECONDS.observe(time.monotonic() - began, step=step, outcome=outcome)
    if error:
        metrics.STEP_FAILURES.add(step=step, error=error)


def translated(error: MediagateError) -> ApplicationError:
    """The error as Temporal's retry policies and the Web UI understand it."""
    return ApplicationError(
        error.message,
        type=type(error).__name__,
        non_retryable=not error.retryable,
        next_retry_delay=timedelta(seconds=error.retry_after) if error.retry_after else None,
    )
