"""Evidence of a restriction, sealed inside the run that filed it."""

import asyncio
from contextlib import suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.evidence import Evidence
    from workflows import policies, reporting
    from workflows.messages import MediaRef, SealInput


async def seal(ref: MediaRef, round_: int = 0) -> None:
    """Return when it is sealed; admins are told if that takes long. The restriction holds either way."""
    job = SealInput(media_id=ref.media_id, library=ref.library, tracking_id=ref.tracking_id, round=round_)
    sealing = asyncio.create_task(_execute(job))
    with suppress(TimeoutError):
        await workflow.wait_condition(
            sealing.done, timeout=policies.SEALING_ALERT, timeout_summary="before admins are told"
        )
    if not sealing.done():
        workflow.set_current_details("Filed; the evidence is not sealed yet and is tried again.")
        detail = "Evidence of a restriction is not sealed yet: the store or the key service does not take it."
        await reporting.tell(ref, "system_alert", detail, occasion=f"sealing-{round_}")
    await sealing


async def _execute(job: SealInput) -> None:
    await workflow.execute_activity_method(
        Evidence.seal_evidence, job, **policies.at(policies.SEALING, "seal evidence")
    )
