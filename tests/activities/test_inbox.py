"""Where stored events go: to the run, to the timeline of what is decided, or among the dead letters; and again."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.inbox import deliver, redeliver
from db.tables import InboxEvent, InboxState, now
from mediagate.errors import Conflict, NotFound, WorkflowsUnavailable
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from tests.activities.steps import Steps, perform
from tests.vendors import CountedVendor, settings_of
from tests.world import VENDOR, World, picture
from workflows.client import Flows


class Run(Flows):
    """The way to runs: whoever has one is `open`, and what it was told is kept; `away` is the service."""

    def __init__(self, world: World) -> None:
        super().__init__(world.client, prefix=world.flows.prefix)
        self.open = True
        self.away = False
        self.told: list[VendorEvent] = []

    async def signal_moderation(self, media_id: str, event: VendorEvent) -> bool:
        if self.away:
            raise WorkflowsUnavailable
        if self.open:
            assert event.media_id == media_id
            self.told.append(event)
        return self.open


class Post:
    """The inbox of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.run = Run(world)

    async def stored(self, media_id: str | None, **fields: Any) -> UUID:
        """An event that came; its id in the inbox."""
        event = VendorEvent.model_validate(
            {"event_id": uuid4().hex, "vendor": VENDOR, "media_id": media_id or "", "verdict": "reject", **fields}
        )
        row = InboxEvent(
            vendor=event.vendor,
            event_id=event.event_id,
            media_id=UUID(media_id) if media_id else None,
            event=event.model_dump(mode="json"),
            body=b"as it came",
        )
        async with self.world.db.transaction() as tx:
            assert await tx.inbox.store(row)
        return row.id

    async def deliver(self, inbox_id: UUID) -> InboxState:
        return await deliver(self.world.db, self.run, inbox_id)

    async def redeliver(self, inbox_id: UUID, media_id: str | None = None) -> InboxEvent:
        target = UUID(media_id) if media_id else None
        return await redeliver(self.world.db, self.run, inbox_id, by="ada", media_id=target)

    async def row(self, inbox_id: UUID) -> InboxEvent:
        async with self.world.db.transaction() as tx:
            found = await tx.inbox.get(inbox_id)
        assert found is not None
        return found


@pytest.fixture
def post(steps: Steps) -> Post:
    return Post(steps.world)


class TestDeliver:
    @pytest.mark.parametrize(
        ("status", "open_", "state"),
        [
            (Status.AWAITING_UPLOAD, False, InboxState.STORED),
            (Status.ACCEPTED, False, InboxState.STORED),
            (Status.PROCESSING, True, InboxState.DELIVERED),
            (Status.IN_REVIEW, True, InboxState.DELIVERED),
            (Status.FAILED, True, InboxState.DELIVERED),
            (Status.FAILED, False, InboxState.LATE),
            (Status.APPROVED, True, InboxState.LATE),
            (Status.QUARANTINED, False, InboxState.LATE),
        ],
    )
    async def test_where_an_event_goes(self, post: Post, status: Status, open_: bool, state: InboxState) -> None:
        media_id = await post.world.seal(picture(), status=status)
        post.run.open = open_
        inbox_id = await post.stored(media_id)
        assert [await post.deliver(inbox_id) for _ in range(2)] == [state] * 2
        row = await post.row(inbox_id)
        assert (row.state, row.settled_at is None) == (state, state is InboxState.STORED)
        assert len(post.run.told) == (state is InboxState.DELIVERED)
        assert (await post.world.timeline(media_id)).count("webhook") == (state is not InboxState.STORED)

    async def test_what_names_nothing_known_is_a_dead_letter(self, post: Post) -> None:
        for inbox_id in (await post.stored(str(uuid4())), await post.stored(None, reference="task-1")):
            assert await post.deliver(inbox_id) is InboxState.UNMATCHED

    async def test_a_service_that_is_away_leaves_it_stored(self, post: Post) -> None:
        inbox_id = await post.stored(await post.world.seal(picture(), status=Status.PROCESSING))
        post.run.away = True
        with pytest.raises(WorkflowsUnavailable):
            await post.deliver(inbox_id)
        post.run.away = False
        assert await post.deliver(inbox_id) is InboxState.DELIVERED

    async def test_a_reference_is_found_out_once_and_kept(self, post: Post, steps: Steps) -> None:
        vendor = CountedVendor()
        asking = steps.over(
            vendors={vendor.name: vendor}, settings=steps.deps.settings.model_copy(update=settings_of(vendor))
        )
        media_id = await steps.rendered()
        job = steps.submission(media_id, vendor.name)
        receipt = await perform(asking.moderation.submit_for_moderation, job)
        inbox_id = await post.stored(None, vendor=vendor.name, reference=receipt.reference)
        assert await post.deliver(inbox_id) is InboxState.DELIVERED
        row = await post.row(inbox_id)
        assert (str(row.media_id), row.event["media_id"], row.event["reference"]) == (media_id, media_id, media_id)
        assert row.body == b"as it came"
        async with steps.world.db.transaction() as tx:
            submission = await tx.vendors.submission(UUID(media_id), vendor.name)
        assert submission
        assert submission.answered_at


class TestRedeliver:
    async def dead_letter(self, post: Post, media_id: str | None = None, **fields: Any) -> UUID:
        inbox_id = await post.stored(media_id or str(uuid4()), **fields)
        assert await post.deliver(inbox_id) is InboxState.UNMATCHED
        return inbox_id

    async def test_to_the_item_that_is_meant(self, post: Post) -> None:
        inbox_id = await self.dead_letter(post)
        media_id = await post.world.seal(picture(), status=Status.AWAITING_MODERATION)
        rows = [await post.redeliver(inbox_id, media_id) for _ in range(2)]
        assert [(row.state, str(row.media_id)) for row in rows] == [(InboxState.DELIVERED, media_id)] * 2
        assert [event.verdict for event in post.run.told] == [VendorVerdict.REJECT]
        timeline = await post.world.timeline(media_id)
        assert (timeline.count("redelivered"), timeline.count("webhook")) == (1, 1)
        assert rows[0].body == b"as it came"

    async def test_to_an_item_that_is_there_by_now(self, post: Post) -> None:
        media_id = str(uuid4())
        inbox_id = await self.dead_letter(post, media_id)
        await post.world.seal(picture(), id=UUID(media_id), status=Status.AWAITING_MODERATION)
        assert (await post.redeliver(inbox_id)).state is InboxState.DELIVERED

    async def test_to_an_item_that_is_decided_it_is_late(self, post: Post) -> None:
        inbox_id = await self.dead_letter(post)
        media_id = await post.world.seal(picture(), status=Status.APPROVED)
        assert (await post.redeliver(inbox_id, media_id)).state is InboxState.LATE

    async def test_about_nothing_it_stays_a_dead_letter(self, post: Post) -> None:
        inbox_id = await self.dead_letter(post)
        assert [(await post.redeliver(inbox_id)).state for _ in range(2)] == [InboxState.UNMATCHED] * 2

    async def test_what_is_unknown_is_refused(self, post: Post) -> None:
        inbox_id = await self.dead_letter(post)
        with pytest.raises(NotFound, match="media item"):
            await post.redeliver(inbox_id, str(uuid4()))
        with pytest.raises(NotFound, match="inbox"):
            await post.redeliver(uuid4())
        assert (await post.row(inbox_id)).state is InboxState.UNMATCHED

    @pytest.mark.parametrize("status", [Status.AWAITING_MODERATION, Status.APPROVED, Status.ACCEPTED])
    async def test_what_belongs_to_one_item_is_not_given_to_another(self, post: Post, status: Status) -> None:
        first = await post.world.seal(picture(), status=status)
        second = await post.world.seal(picture(), status=Status.AWAITING_MODERATION)
        post.run.open = status is not Status.ACCEPTED
        inbox_id = await post.stored(first)
        before = await post.deliver(inbox_id)
        with pytest.raises(Conflict, match=first):
            await post.redeliver(inbox_id, second)
        assert (await post.row(inbox_id)).state is before
        assert await post.world.timeline(second) == []

    async def test_while_the_service_is_away_it_is_kept_for_the_sweep(self, post: Post) -> None:
        inbox_id = await self.dead_letter(post)
        media_id = await post.world.seal(picture(), status=Status.AWAITING_MODERATION)
        post.run.away = True
        with pytest.raises(WorkflowsUnavailable):
            await post.redeliver(inbox_id, media_id)
        async with post.world.db.transaction() as tx:
            assert inbox_id in await tx.inbox.waiting(now(), 10_000)
        post.run.away = False
        assert await post.deliver(inbox_id) is InboxState.DELIVERED
