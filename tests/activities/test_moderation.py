"""Calls of vendors: kept, counted, let through or not, and answered from what was said before."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlmodel import col

from activities.inbox import deliver
from activities.vendor_calls import switch
from db.repositories.vendors import Usage
from db.tables import InboxEvent, InboxState, Media, VendorHealth, VendorResult, VendorSubmission, now
from mediagate.errors import InvalidRequest, StorageUnavailable, VendorUnavailable
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.breaker import BreakerState
from mediagate.vendors.interface import ReadCopy, Submission, SubmissionReceipt
from tests.activities.steps import Steps, perform
from tests.vendors import AtOnceTwin, CountedVendor, ReferringTwin, settings_of
from tests.world import VENDOR, picture
from workflows.messages import PollResult, SubmitResult


class Asking:
    """The activities with one more vendor; `settings`: fields of its `VendorSettings`."""

    def __init__(self, steps: Steps, vendor: CountedVendor, **settings: Any) -> None:
        changed = steps.deps.settings.model_copy(update=settings_of(vendor, **settings))
        self.vendor = vendor
        self.steps = steps.over(vendors={**steps.deps.vendors, vendor.name: vendor}, settings=changed)
        self.db = steps.world.db

    async def submit(self, media_id: str, **info: Any) -> SubmitResult:
        job = self.steps.submission(media_id, self.vendor.name)
        return await perform(self.steps.moderation.submit_for_moderation, job, **info)

    async def poll(self, media_id: str, **info: Any) -> PollResult:
        return await perform(self.steps.moderation.poll_vendor, self.steps.poll(media_id, self.vendor.name), **info)

    async def item(self) -> str:
        """One that is ready for submission, but for its pictures."""
        return await self.steps.world.seal(picture(), status=Status.PROCESSING)

    async def sent(self) -> tuple[str, SubmitResult]:
        """Such an item, submitted, and the result."""
        media_id = await self.item()
        return media_id, await self.submit(media_id)

    async def shown(self, data: bytes | None = None) -> tuple[str, SubmitResult]:
        """An item whose pictures are made, submitted, and the result."""
        media_id = await self.steps.rendered(data)
        return media_id, await self.submit(media_id)

    async def row(self, media_id: str) -> VendorSubmission:
        async with self.db.transaction() as tx:
            found = await tx.vendors.submission(UUID(media_id), self.vendor.name)
        assert found is not None
        return found

    async def health(self) -> VendorHealth:
        async with self.db.transaction() as tx:
            return await tx.vendors.health(self.vendor.name)

    async def rested(self) -> None:
        """As if the breaker's rest, or its probe's time, were over."""
        async with self.db.transaction() as tx:
            mine = col(VendorHealth.vendor) == self.vendor.name
            await tx.session.execute(update(VendorHealth).where(mine).values(until=now()))

    async def decided(self, media_id: str) -> None:
        """As if its run had ended."""
        async with self.db.transaction() as tx:
            (await tx.media.get(UUID(media_id))).status = Status.APPROVED

    async def usage(self) -> Usage:
        async with self.db.transaction() as tx:
            return (await tx.vendors.usage([self.vendor.name], since=now().date()))[self.vendor.name]

    async def inbox(self, media_id: str) -> list[InboxEvent]:
        async with self.db.transaction() as tx:
            return [*await tx.inbox.of_media(UUID(media_id))]

    async def webhook(self, media_id: str, **fields: Any) -> InboxState:
        """An event of the vendor, stored and passed on as by the API."""
        event = VendorEvent.model_validate(
            {"event_id": uuid4().hex, "vendor": self.vendor.name, "media_id": media_id, "occurred_at": now(), **fields}
        )
        row = InboxEvent(
            vendor=event.vendor,
            event_id=event.event_id,
            media_id=UUID(media_id) if media_id else None,
            event=event.model_dump(mode="json"),
            body=b"{}",
        )
        async with self.db.transaction() as tx:
            await tx.inbox.store(row)
        return await deliver(self.db, self.steps.deps.flows, row.id)


class TestReceipts:
    async def test_a_word_that_comes_with_it_is_kept_like_one_that_comes_by_webhook(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        media_id, result = await asking.sent()
        assert [(event.vendor, event.verdict) for event in result.events] == [(asking.vendor.name, "approve")]
        assert (result.vendor, result.reference, result.closed) == (asking.vendor.name, media_id, True)
        (row,) = await asking.inbox(media_id)
        assert (row.state, row.body, row.event["event_id"]) == (InboxState.DELIVERED, b"", f"{media_id}:1")
        submission = await asking.row(media_id)
        assert (submission.reference, submission.model_version, submission.calls) == (media_id, "m-1", 1)
        assert submission.submitted_at
        assert submission.answered_at

    async def test_an_answer_that_is_here_is_not_asked_for_again(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        media_id, first = await asking.sent()
        assert await asking.submit(media_id) == first
        assert asking.vendor.calls == 1
        assert await asking.usage() == Usage(calls=1, cost_micros=1500)

    async def test_without_an_answer_it_is_asked_again_and_billed_once(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor(cost_micros=700))
        media_id, first = await asking.sent()
        assert await asking.submit(media_id) == first
        assert (first.events, first.closed) == ((), False)
        assert await asking.usage() == Usage(calls=2, cost_micros=700)
        assert ((await asking.row(media_id)).calls, (await asking.row(media_id)).answered_at) == (1, None)

    async def test_the_price_that_was_agreed_counts(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin(), cost_micros=3)
        await asking.sent()
        assert (await asking.usage()).cost_micros == 3

    async def test_a_word_about_another_item_is_no_answer(self, steps: Steps) -> None:
        vendor = AtOnceTwin()
        vendor.says = {"media_id": str(UUID(int=1))}
        asking = Asking(steps, vendor)
        with pytest.raises(VendorUnavailable, match="another item"):
            await asking.sent()
        assert (await asking.health()).failures == 1

    async def test_a_reference_that_was_given_before_stays_the_first_ones(self, steps: Steps) -> None:
        vendor = ReferringTwin()
        asking = Asking(steps, vendor)
        first, _ = await asking.sent()
        second = await asking.item()
        vendor.references[second] = vendor.references[first]
        assert (await asking.submit(second)).reference == ""
        async with asking.db.transaction() as tx:
            assert await tx.vendors.media_of(vendor.name, vendor.references[first]) == UUID(first)

    async def test_several_vendors_have_a_row_each(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        media_id, _ = await asking.sent()
        await perform(asking.steps.moderation.submit_for_moderation, asking.steps.submission(media_id))
        async with asking.db.transaction() as tx:
            query = select(col(VendorSubmission.vendor)).where(col(VendorSubmission.media_id) == UUID(media_id))
            assert set(await tx.session.scalars(query)) == {asking.vendor.name, VENDOR}


class TestPolls:
    async def test_the_vendor_is_asked_by_its_own_reference_and_its_word_is_kept(self, steps: Steps) -> None:
        vendor = ReferringTwin()
        asking = Asking(steps, vendor)
        media_id, _ = await asking.sent()
        assert (await asking.poll(media_id)).events == ()
        vendor.answer(media_id, [{"verdict": "reject"}], now=now())
        first = await asking.poll(media_id)
        assert vendor.polls == [vendor.references[media_id]] * 2
        assert [row.state for row in await asking.inbox(media_id)] == [InboxState.DELIVERED]
        assert (await asking.row(media_id)).answered_at
        assert await asking.poll(media_id) == first
        assert len(vendor.polls) == 2
        assert (await asking.usage()).calls == 3

    async def test_a_word_that_came_meanwhile_is_not_asked_for(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor())
        media_id, _ = await asking.sent()
        await asking.webhook(media_id, verdict="approve")
        assert [event.verdict for event in (await asking.poll(media_id)).events] == [VendorVerdict.APPROVE]
        assert asking.vendor.polls == []

    async def test_who_has_no_way_to_be_asked_is_not(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor(polls=False))
        media_id, _ = await asking.sent()
        assert (await asking.poll(media_id)).events == ()
        assert asking.vendor.polls == []


class TestReferences:
    async def test_an_event_finds_its_item_by_the_vendors_reference(self, steps: Steps) -> None:
        asking = Asking(steps, ReferringTwin())
        media_id, receipt = await asking.sent()
        await asking.webhook("", reference=receipt.reference, verdict="approve")
        (row,) = await asking.inbox(media_id)
        assert row.event["media_id"] == media_id

    async def test_one_that_came_before_the_receipt_is_handed_on_with_it(self, steps: Steps) -> None:
        vendor = ReferringTwin()
        asking = Asking(steps, vendor)
        media_id = await asking.item()
        vendor.references[media_id] = reference = f"task-{uuid4().hex}"
        assert await asking.webhook("", reference=reference, verdict="reject") is InboxState.UNMATCHED
        result = await asking.submit(media_id)
        assert [(event.media_id, event.verdict) for event in result.events] == [(media_id, "reject")]
        (row,) = await asking.inbox(media_id)
        assert row.state is InboxState.DELIVERED
        assert (await asking.row(media_id)).answered_at
        assert "webhook" in await steps.world.timeline(media_id)

    async def test_another_vendors_reference_leads_nowhere(self, steps: Steps) -> None:
        asking, other = Asking(steps, ReferringTwin()), Asking(steps, ReferringTwin())
        _, receipt = await asking.sent()
        assert await other.webhook("", reference=receipt.reference, verdict="approve") is InboxState.UNMATCHED


class HangingVendor(CountedVendor):
    """Does not answer while `answers` is not set; the first call is reported by `called`."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.answers = asyncio.Event(), asyncio.Event()

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        self.called.set()
        await self.answers.wait()
        return await super().submit(submission, read)


class TestBreaker:
    async def failing(self, steps: Steps, vendor: CountedVendor | None = None) -> Asking:
        """A vendor that failed twice in a row and may do so three times."""
        asking = Asking(steps, vendor or CountedVendor(), breaker_failures=3, breaker_rest=30)
        asking.vendor.trouble = VendorUnavailable("Away.")
        for _ in range(2):
            with pytest.raises(VendorUnavailable, match=r"Away\."):
                await asking.sent()
        return asking

    async def resting(self, steps: Steps, vendor: CountedVendor | None = None) -> Asking:
        asking = await self.failing(steps, vendor)
        with pytest.raises(VendorUnavailable, match=r"Away\."):
            await asking.sent()
        return asking

    async def test_it_opens_after_failures_in_a_row_and_nobody_calls_then(self, steps: Steps) -> None:
        asking = await self.resting(steps)
        asking.vendor.trouble = None
        calls = asking.vendor.calls
        for _ in range(2):
            with pytest.raises(VendorUnavailable, match=r"resting until .* after 3 failures.*Away\.") as refused:
                await asking.sent()
            assert 25 < (refused.value.retry_after or 0) <= 30
        health = await asking.health()
        assert (health.state, health.failures, health.last_error) == (BreakerState.OPEN, 3, "Away.")
        assert asking.vendor.calls == calls
        assert await asking.usage() == Usage(calls=3, failures=3)

    async def test_polls_count_and_rest_as_well(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor(), breaker_failures=3)
        media_id, _ = await asking.sent()
        asking.vendor.trouble = VendorUnavailable("Away.")
        for _ in range(3):
            with pytest.raises(VendorUnavailable, match="Away"):
                await asking.poll(media_id)
        with pytest.raises(VendorUnavailable, match="resting"):
            await asking.poll(media_id)
        assert len(asking.vendor.polls) == 3

    async def test_a_success_forgets_the_failures(self, steps: Steps) -> None:
        asking = await self.failing(steps)
        asking.vendor.trouble = None
        await asking.sent()
        assert (await asking.health()).breaker.clean

    async def test_after_its_rest_one_call_tries_and_closes_it(self, steps: Steps) -> None:
        asking = await self.resting(steps)
        asking.vendor.trouble = None
        await asking.rested()
        await asking.sent()
        assert (await asking.health()).breaker.clean

    async def test_a_probe_that_fails_opens_it_again(self, steps: Steps) -> None:
        asking = await self.resting(steps)
        await asking.rested()
        with pytest.raises(VendorUnavailable, match=r"Away\."):
            await asking.sent()
        health = await asking.health()
        assert (health.state, health.failures) == (BreakerState.OPEN, 4)
        assert health.until
        assert health.until > now() + timedelta(seconds=20)

    async def test_of_many_at_once_one_tries(self, steps: Steps) -> None:
        vendor = HangingVendor()
        vendor.answers.set()
        asking = await self.resting(steps, vendor)
        vendor.trouble = None
        ids = [await asking.item() for _ in range(4)]
        await asking.rested()
        vendor.answers.clear()
        vendor.called.clear()
        patient = {"start_to_close_timeout": timedelta(seconds=60)}
        calls = [asyncio.create_task(asking.submit(media_id, **patient)) for media_id in ids]
        refused = await ended(calls, 3)
        assert all("the call that tries it" in str(call.exception()) for call in refused)
        vendor.answers.set()
        assert [await call for call in calls if call not in refused]
        assert (await asking.health()).breaker.clean

    async def test_a_probe_that_never_reports_is_followed_by_another(self, steps: Steps) -> None:
        vendor = HangingVendor()
        vendor.answers.set()
        asking = await self.resting(steps, vendor)
        vendor.trouble = None
        lost, second = [await asking.item() for _ in range(2)]
        await asking.rested()
        vendor.answers.clear()
        vendor.called.clear()
        probe = asyncio.create_task(asking.submit(lost, start_to_close_timeout=timedelta(seconds=60)))
        await vendor.called.wait()
        probe.cancel()  # its worker is gone
        with pytest.raises(asyncio.CancelledError):
            await probe
        vendor.answers.set()
        with pytest.raises(VendorUnavailable, match="the call that tries it"):
            await asking.submit(second)
        await asking.rested()
        await asking.submit(second)
        assert (await asking.health()).breaker.clean

    @pytest.mark.parametrize("error", [InvalidRequest, StorageUnavailable])
    async def test_what_says_nothing_of_the_vendor_does_not_count(
        self, steps: Steps, error: type[InvalidRequest | StorageUnavailable]
    ) -> None:
        asking = await self.failing(steps)
        asking.vendor.trouble = error("Not its fault.")
        for _ in range(3):
            with pytest.raises(error):
                await asking.sent()
        assert (await asking.health()).failures == 2

    async def test_nor_does_it_end_the_trial(self, steps: Steps) -> None:
        asking = await self.resting(steps)
        await asking.rested()
        asking.vendor.trouble = InvalidRequest("Too large.")
        with pytest.raises(InvalidRequest):
            await asking.sent()
        asking.vendor.trouble = None
        await asking.sent()
        assert (await asking.health()).breaker.clean

    async def test_a_vendor_that_takes_too_long_is_named_and_counted(self, steps: Steps) -> None:
        asking = Asking(steps, HangingVendor())
        media_id = await asking.item()
        with pytest.raises(VendorUnavailable, match="did not answer within"):
            await asking.submit(media_id, start_to_close_timeout=timedelta(milliseconds=300))
        assert (await asking.health()).failures == 1

    async def test_while_all_is_well_nothing_is_written(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor())
        await asking.sent()
        async with asking.db.transaction() as tx:
            query = text("SELECT count(*) FROM vendor_health WHERE vendor = :vendor")
            assert (await tx.session.execute(query, {"vendor": asking.vendor.name})).scalar() == 0

    async def test_a_person_switches_it_off_and_on(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor(), breaker_rest=30)
        for person in ("ada", "bob"):
            await switch(asking.db, asking.vendor.name, BreakerState.OPEN, by=person)
        for _ in range(2):
            with pytest.raises(VendorUnavailable, match="switched off by ada"):
                await asking.sent()
        assert asking.vendor.calls == 0
        for _ in range(2):
            await switch(asking.db, asking.vendor.name, BreakerState.CLOSED, by="ada")
        await asking.sent()
        assert ((await asking.health()).held_by, asking.vendor.calls) == ("", 1)


class TestResultsThatAreKept:
    async def asked_twice(self, steps: Steps, vendor: CountedVendor, **settings: Any) -> tuple[Asking, str, str]:
        """Two items of the same picture, one submitted after the other."""
        asking = Asking(steps, vendor, **settings)
        first, _ = await asking.shown()
        second, _ = await asking.shown()
        return asking, first, second

    async def test_the_same_picture_again_is_not_sent(self, steps: Steps) -> None:
        vendor = AtOnceTwin()
        vendor.says = {"verdict": "reject", "scores": {"gore": 0.9}}
        asking, first, second = await self.asked_twice(steps, vendor)
        result = await asking.submit(second)
        (event,) = result.events
        assert (event.verdict, event.scores, event.media_id) == (VendorVerdict.REJECT, {"gore": 0.9}, second)
        assert event.raw["cached_from"] == first
        assert first in event.event_id
        assert (vendor.calls, await asking.usage()) == (1, Usage(calls=1, cached=1, cost_micros=1500))
        row = await asking.row(second)
        assert (row.cached_from, row.calls, row.submitted_at) == (UUID(first), 0, None)
        assert row.answered_at
        assert "cached" in await steps.world.timeline(second)
        assert [kept.state for kept in await asking.inbox(second)] == [InboxState.DELIVERED]

    async def test_it_stands_in_while_the_vendor_rests(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        await asking.shown()
        await switch(asking.db, asking.vendor.name, BreakerState.OPEN, by="ada")
        _, result = await asking.shown()
        assert len(result.events) == 1

    async def test_webhooks_and_polls_fill_it_too(self, steps: Steps) -> None:
        asking = Asking(steps, CountedVendor(model_version="m-1"))
        by_webhook, _ = await asking.shown(picture(seed=1))
        await asking.decided(by_webhook)
        assert await asking.webhook(by_webhook, verdict="reject") is InboxState.LATE
        by_poll, _ = await asking.shown(picture(seed=2))
        asking.vendor.answer(by_poll, [{"verdict": "approve"}], now=now())
        await asking.poll(by_poll)
        for seed, verdict in ((1, VendorVerdict.REJECT), (2, VendorVerdict.APPROVE)):
            _, result = await asking.shown(picture(seed=seed))
            assert [event.verdict for event in result.events] == [verdict]
        assert asking.vendor.calls == 2

    @pytest.mark.parametrize(
        ("says", "settings"),
        [
            pytest.param({"final": False}, {}, id="not final"),
            pytest.param({"verdict": "pending"}, {}, id="pending"),
            pytest.param({"verdict": "review", "labels": ("unreadable",)}, {}, id="unreadable"),
            pytest.param({"verdict": "review", "labels": ("error", "x")}, {}, id="error"),
            pytest.param({}, {"cache_for": 0}, id="switched off"),
        ],
    )
    async def test_what_is_not_kept(self, steps: Steps, says: dict[str, Any], settings: dict[str, Any]) -> None:
        vendor = AtOnceTwin()
        vendor.says = says
        await self.asked_twice(steps, vendor, **settings)
        assert vendor.calls == 2

    async def test_nothing_is_kept_of_a_model_that_nobody_knows(self, steps: Steps) -> None:
        vendor = AtOnceTwin()
        vendor.can["model_version"] = ""
        await self.asked_twice(steps, vendor)
        assert vendor.calls == 2

    @pytest.mark.parametrize("where", ["configured", "heard"])
    async def test_another_model_is_asked_anew(self, steps: Steps, where: str) -> None:
        vendor = AtOnceTwin()
        vendor.says = {"model_version": "2026-01"}
        asking, *_ = await self.asked_twice(steps, vendor)
        assert vendor.calls == 1
        if where == "configured":
            vendor.can["model_version"] = "m-2"
        else:  # the vendor's `latest` is another one now, as an answer about something else tells
            vendor.says = {"model_version": "2026-02"}
            await asking.shown(picture(seed=5))
        calls = vendor.calls
        await asking.shown()
        assert vendor.calls == calls + 1
        await asking.shown()
        assert vendor.calls == calls + 1

    @pytest.mark.parametrize(("texts", "calls"), [(True, 2), (False, 1)])
    async def test_captions_count_for_who_looks_at_them(self, steps: Steps, texts: bool, calls: int) -> None:
        asking = Asking(steps, AtOnceTwin(texts=texts))
        await asking.shown()
        media_id = await asking.steps.rendered()
        async with asking.db.transaction() as tx:
            (await tx.media.get(UUID(media_id))).caption = "Another one."
        await asking.submit(media_id)
        assert asking.vendor.calls == calls

    async def test_it_expires(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin(), cache_for=3600)
        await asking.shown()
        async with asking.db.transaction() as tx:
            mine = col(VendorResult.vendor) == asking.vendor.name
            ago = now() - timedelta(seconds=3601)
            await tx.session.execute(update(VendorResult).where(mine).values(stored_at=ago, occurred_at=ago))
        await asking.shown()
        await asking.shown()
        assert asking.vendor.calls == 2

    async def test_another_library_is_none_of_its_business(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        await asking.shown()
        async with asking.db.transaction() as tx:
            other = await tx.access.ensure_library(f"other-{uuid4().hex[:8]}", name="Other", settings={})
        theirs = await asking.steps.rendered()
        async with asking.db.transaction() as tx:
            await tx.session.execute(update(Media).where(col(Media.id) == UUID(theirs)).values(library_id=other.id))
        await asking.submit(theirs)
        assert asking.vendor.calls == 2

    @pytest.mark.parametrize(("minutes", "verdict"), [(1, VendorVerdict.REJECT), (-60, VendorVerdict.APPROVE)])
    async def test_the_word_that_happened_later_is_kept(
        self, steps: Steps, minutes: int, verdict: VendorVerdict
    ) -> None:
        asking = Asking(steps, AtOnceTwin())
        media_id, _ = await asking.shown()
        await asking.decided(media_id)
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        state = await asking.webhook(media_id, verdict="reject", occurred_at=at)
        assert state is InboxState.LATE
        _, result = await asking.shown()
        assert [event.verdict for event in result.events] == [verdict]


async def ended(calls: list[asyncio.Task[SubmitResult]], count: int) -> set[asyncio.Task[SubmitResult]]:
    """Those that ended, once they are so many."""
    found: set[asyncio.Task[SubmitResult]] = set()
    while len(found) < count:
        more, _ = await asyncio.wait(set(calls) - found, return_when=asyncio.FIRST_COMPLETED)
        found |= more
    return found
