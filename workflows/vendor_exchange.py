"""What one run asks of the moderation vendor, and what it hears."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.moderation import Moderation
    from mediagate.media.values import Status
    from mediagate.moderation.findings import DETECTORS, VendorEvent
    from mediagate.moderation.policy import Reason
    from workflows import names, policies
    from workflows.messages import MediaRef, PollInput, SubmitInput, SubmitResult, Waits


class VendorExchange:
    """Submission, webhooks and polls of one upload; lives inside its workflow."""

    def __init__(self, ref: MediaRef, waits: Waits) -> None:
        self._ref = ref
        self._waits = waits
        self._heard: dict[str, VendorEvent] = {}
        self._asked: set[str] = set()

    def hear(self, event: VendorEvent) -> None:
        """Take a word. The server does not deduplicate signals, so the event id does; the order does not matter."""
        self._heard.setdefault(f"{event.vendor}/{event.event_id}", event)

    @property
    def events(self) -> tuple[VendorEvent, ...]:
        """Everything heard, once each."""
        return tuple(self._heard.values())

    @property
    def overridden(self) -> bool:
        """True if the gate's own rules decide: nobody need be asked."""
        return any(event.overrides for event in self._heard.values())

    @property
    def settled(self) -> bool:
        """True once a vendor that was asked gave its final word. What others say counts, but is not waited for."""
        return any(event.settles and self._is_awaited(event.vendor) for event in self._heard.values())

    def _is_awaited(self, vendor: str) -> bool:
        # Before a receipt, or without one, it is not known who was asked; only that the gate's own detectors, which
        # speak first, stand in for nobody.
        return vendor in self._asked if self._asked else vendor not in DETECTORS

    async def ask(self, *, interrupted: Callable[[], bool]) -> Reason | None:
        """Submit, and wait for the vendor's final word; None, or why there is none. Ends early if interrupted."""
        try:
            receipt = await self._submit(interrupted)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if self.settled:  # it took one after all: only its receipt was lost
                return None
            return Reason(code="vendor_unavailable", detail="The vendor took no submission.")
        wait = self._waits.vendor
        workflow.upsert_search_attributes([names.MEDIA_STAGE.value_set(Status.AWAITING_MODERATION.value)])
        for poll in range(1, self._waits.polls + 1):
            due = (workflow.now() + wait).strftime("%H:%M:%S")
            workflow.set_current_details(
                f"Waiting for the webhook of {receipt.vendor}; poll {poll} of {self._waits.polls} at {due} UTC."
            )
            if await self._until_settled(wait, interrupted, f"webhook of {receipt.vendor}, then poll {poll}"):
                return None
            await self._poll()
            if self.settled:
                return None
            wait = policies.next_vendor_wait(wait)
        return Reason(code="vendor_silent", detail=f"{receipt.vendor} gave no final answer in time.")

    async def _submit(self, interrupted: Callable[[], bool]) -> SubmitResult:
        """Hand the moderation copy to the vendor; an interruption does not wait for a vendor that is away."""
        workflow.set_current_details("Submitting to the vendor; it is tried again while the vendor is away.")
        submission = workflow.start_activity_method(
            Moderation.submit_for_moderation,
            SubmitInput(**self._ref.model_dump()),
            **policies.at(policies.VENDOR_SUBMIT, "submit to the vendor"),
        )
        await workflow.wait_condition(lambda: submission.done() or interrupted())
        if not submission.done():
            submission.cancel()
            return SubmitResult()
        receipt = await submission
        self._asked.add(receipt.vendor)
        for event in receipt.events:
            self.hear(event)
        return receipt

    async def _until_settled(self, wait: timedelta, interrupted: Callable[[], bool], summary: str) -> bool:
        """True once a final word is there or the wait was interrupted; False after `wait`."""
        # A signal may win the race into the same workflow task, so the state decides afterwards, not the timer.
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self.settled or interrupted(), timeout=wait, timeout_summary=summary)
        return self.settled or interrupted()

    async def _poll(self) -> None:
        """Ask the vendor; no answer is no failure, the next deadline asks again or asks a person."""
        try:
            answer = await workflow.execute_activity_method(
                Moderation.poll_vendor,
                PollInput(**self._ref.model_dump()),
                **policies.at(policies.VENDOR_POLL, "webhook overdue: poll"),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return
        for event in answer.events:
            self._asked.add(event.vendor)  # another one than took the submission, if that was renamed meanwhile
            self.hear(event)
