"""What one run asks of moderation vendors, and what it hears."""

import asyncio
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
    from workflows.messages import MediaRef, PollInput, SubmitInput, SubmitResult, VendorAsk, Waits

Interrupted = Callable[[], bool]


class VendorExchange:
    """Submissions, webhooks and polls of one upload; lives inside its workflow.

    `ask`: who is asked, all at the same time; nobody named: the deployment's own vendor.
    """

    def __init__(self, ref: MediaRef, waits: Waits, ask: tuple[VendorAsk, ...] = ()) -> None:
        self._ref = ref
        self._waits = waits
        self._ask = ask or (VendorAsk(name=""),)
        self._heard: dict[str, VendorEvent] = {}
        self._asked: set[str] = set()
        self._stages: dict[str, str] = {}

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

    async def ask(self, *, interrupted: Interrupted) -> Reason | None:
        """Submit, and wait for every vendor's final word; None, or why there is none at all.

        Ends early if interrupted. Where some answer and others do not, the policy tells whether that is enough.
        """
        workflow.set_current_details("Submitting to the vendor; it is tried again while the vendor is away.")
        silences = await asyncio.gather(*(self._ask_one(ask, interrupted) for ask in self._ask))
        return None if None in silences else silences[0]

    async def _ask_one(self, ask: VendorAsk, interrupted: Interrupted) -> Reason | None:
        try:
            receipt = await self._submit(ask, interrupted)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if (ask.name and self._settled_by({ask.name})) or (not ask.name and self.settled):
                return None  # it took one after all: only its receipt was lost
            return Reason(code="vendor_unavailable", detail=f"{ask.name or 'The vendor'} took no submission.")
        if interrupted():
            return None
        return await self._answer(receipt, ask, interrupted)

    async def _answer(self, receipt: SubmitResult, ask: VendorAsk, interrupted: Interrupted) -> Reason | None:
        """Wait for the vendor's word, and ask for it where it is overdue."""
        vendors = {receipt.vendor}
        silent = Reason(code="vendor_silent", detail=f"{receipt.vendor} gave no final answer in time.")
        wait = ask.wait or self._waits.vendor
        workflow.upsert_search_attributes([names.MEDIA_STAGE.value_set(Status.AWAITING_MODERATION.value)])
        if receipt.closed and not self._settled_by(vendors):
            return silent
        for poll in range(1, self._waits.polls + 1):
            due = (workflow.now() + wait).strftime("%H:%M:%S")
            self._show(
                receipt.vendor,
                f"Waiting for the webhook of {receipt.vendor}; poll {poll} of {self._waits.polls} at {due} UTC.",
            )
            summary = f"webhook of {receipt.vendor}, then poll {poll}"
            if await self._until_settled(vendors, wait, interrupted, summary):
                break
            # Another one than took the submission, if that was renamed meanwhile.
            vendors |= await self._poll(ask)
            if self._settled_by(vendors):
                break
            wait = policies.next_vendor_wait(wait)
        else:
            return silent
        self._show(receipt.vendor, "")
        return None

    def _show(self, vendor: str, stage: str) -> None:
        self._stages[vendor] = stage
        workflow.set_current_details("\n".join(stage for stage in self._stages.values() if stage))

    async def _submit(self, ask: VendorAsk, interrupted: Interrupted) -> SubmitResult:
        """Hand the moderation copy to the vendor; an interruption does not wait for a vendor that is away."""
        submission = workflow.start_activity_method(
            Moderation.submit_for_moderation,
            SubmitInput(**self._ref.model_dump(), vendor=ask.name),
            **policies.vendor_submit(ask),
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

    def _settled_by(self, vendors: set[str]) -> bool:
        return any(event.settles and event.vendor in vendors for event in self._heard.values())

    async def _until_settled(self, vendors: set[str], wait: timedelta, interrupted: Interrupted, summary: str) -> bool:
        """True once a final word is there or the wait was interrupted; False after `wait`."""

        def over() -> bool:
            return self._settled_by(vendors) or interrupted()

        # A signal may win the race into the same workflow task, so the state decides afterwards, not the timer.
        with suppress(TimeoutError):
            await workflow.wait_condition(over, timeout=wait, timeout_summary=summary)
        return over()

    async def _poll(self, ask: VendorAsk) -> set[str]:
        """Who answered. No answer is no failure: the next deadline asks again, or a person is asked."""
        try:
            answer = await workflow.execute_activity_method(
                Moderation.poll_vendor,
                PollInput(**self._ref.model_dump(), vendor=ask.name),
                **policies.vendor_poll(ask),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return set()
        for event in answer.events:
            self._asked.add(event.vendor)
            self.hear(event)
        return {event.vendor for event in answer.events}
