"""Imports through the real gate: windows, orders on the way, what fails, and what a crash leaves behind."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, select
from sqlmodel import col
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError

from activities.import_orders import order_import, retry_import
from db.repositories.recovery import RecoveryRepository
from db.session import Database
from db.tables import AuditRecord, Import, Library, Media, MediaDecision, MediaEvent, Notification, now
from mediagate.errors import Conflict
from mediagate.media.imports import ImportItemState, ImportState, ManifestItem
from mediagate.media.values import Status
from mediagate.storage import keys
from tests.imports import (
    ADA,
    SOURCE,
    began,
    begun,
    ended,
    folder,
    importing,
    items,
    junk,
    media_ids,
    orders,
    planned,
    reached,
    row,
    stocked,
    widest,
)
from tests.workflows import runs
from tests.world import GateWith, World, picture
from workflows.import_client import start_import
from workflows.import_messages import ImportInput, ImportProgress
from workflows.messages import SweepInput
from workflows.names import BATCH_ID, FAILURE_KIND, import_id


@pytest.fixture
async def world(gate_with: GateWith, library: Library) -> AsyncIterator[World]:
    """A gate whose library may import."""
    async with importing(gate_with, library) as opened:
        yield opened


@pytest.fixture
async def idle(gate_with: GateWith, library: Library) -> AsyncIterator[World]:
    """The same without workers; those that a test starts end whatever they are at when they are stopped."""
    async with importing(gate_with, library, roles=(), shutdown_grace=0) as opened:
        yield opened


async def order(world: World, one: Import, act: str) -> Import:
    return await order_import(orders(world), world.library, one.id, act, ADA)


async def states(world: World, one: Import) -> dict[ImportItemState, int]:
    found = [item.state for item, _ in (await items(world, one)).values()]
    return {state: found.count(state) for state in set(found)}


async def acts(world: World, one: Import) -> list[str]:
    """The audit trail of an import."""
    query = select(AuditRecord).where(col(AuditRecord.subject) == f"import:{one.id}").order_by(col(AuditRecord.seq))
    async with world.db.transaction() as tx:
        return [record.action for record in (await tx.session.scalars(query)).all()]


async def summaries(world: World) -> list[Notification]:
    async with world.db.transaction() as tx:
        query = select(Notification).where(col(Notification.library_id) == world.library.id)
        found = (await tx.session.scalars(query.where(col(Notification.kind) == "batch_summary"))).all()
    return list(found)


class Undone(Exception):
    """Nothing of this is to be kept."""


class TestWhole:
    async def test_sixty_objects_of_a_manifest_in_a_narrow_window(self, world: World) -> None:
        """What cannot be imported fails alone, with its reason; a restarting history loses and repeats nothing."""
        names = await stocked(world, *junk(54), ("text.txt", b"a text"), ("empty.jpg", b""), ("big.jpg", b"x" * 2001))
        await stocked(world, ("other.txt", b"a text"), content_type="text/plain")
        await world.configure(limits={"max_bytes": 2000})
        manifest = [ManifestItem(line=n, key=key) for n, key in enumerate(names, 1)]
        manifest += [
            ManifestItem(line=58, key=folder(world.library) + "gone.jpg"),
            ManifestItem(line=59, key=folder(world.library) + "other.txt"),
        ]
        manifest[0] = manifest[0].model_copy(update={"sha256": "0" * 64})
        one = await ended(world, await begun(world, manifest=manifest, at_once=8, begin=5, stretch=4, page=25))
        found = await items(world, one)
        media = [media for _, media in found.values() if media]
        assert (one.state, one.counts.total, one.imported, one.failed) == (ImportState.DONE, 59, 54, 5)
        reasons = {name: item.reason for name, (item, _) in found.items() if item.state is ImportItemState.FAILED}
        assert reasons == {
            "junk-000.jpg": "hash_mismatch",
            "empty.jpg": "empty_file",
            "big.jpg": "too_large",
            "gone.jpg": "object_missing",
            "other.txt": "unsupported_type",
        }
        assert 1 < widest(media) <= 8
        assert len(media_ids(found)) == 54
        assert {item.media_id for item, media in found.values() if media} == media_ids(found)
        assert {item.line for item, _ in found.values()} == set(range(1, 60))
        await self.assert_history_began_anew(world, one)
        assert [stat.key async for stat in world.store.list(f"{world.library.slug}/imports/")] == []
        [note] = await summaries(world)
        assert "Files: 59" in note.body
        assert "Rejected: 54" in note.body
        assert "Failed: 5" in note.body
        assert [mail.message_id.partition("@")[0] for mail in world.mailer.sent] == [f"<{note.id}"]

    async def assert_history_began_anew(self, world: World, one: Import) -> None:
        handle = world.client.get_workflow_handle(import_id(str(one.id)))
        last = await handle.fetch_history()
        first_id = last.events[0].workflow_execution_started_event_attributes.first_execution_run_id
        first = await world.client.get_workflow_handle(import_id(str(one.id)), run_id=first_id).fetch_history()
        assert first.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
        assert len(first.events) < 100

    async def test_pictures_become_items_like_uploads(self, world: World) -> None:
        data = picture(seed=3)
        digest = hashlib.sha256(data).hexdigest()
        [key] = await stocked(world, ("2019/boat.jpg", data), content_type="application/octet-stream")
        texts: dict[str, str | list[str]] = {"caption": "A boat", "tags": ["boat"], "language": "en"}
        manifest = [ManifestItem(line=1, key=key, filename="Boat.JPG", sha256=digest, texts=texts)]
        one = await begun(world, manifest=manifest)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        _, media = (await items(world, one))["2019/boat.jpg"]
        assert media
        await world.until(str(media.id), Status.AWAITING_MODERATION)  # its run starts after it is under way
        described = await world.run(str(media.id)).describe()
        priority = described.raw_description.workflow_execution_info.priority
        assert (priority.priority_key, priority.fairness_key) == (4, world.library.slug)
        assert described.typed_search_attributes[BATCH_ID] == str(one.id)
        await world.webhook(world.event(str(media.id)))
        one = await ended(world, one)
        filed = await world.media(str(media.id))
        assert (filed.status, filed.sha256, filed.batch_id) == (Status.APPROVED, digest, one.id)
        assert (filed.filename, filed.content_type, filed.caption) == ("Boat.JPG", "image/jpeg", "A boat")
        assert (filed.tags, filed.language, filed.tracking_id) == (["boat"], "en", one.tracking_id)
        assert (await world.timeline(str(media.id)))[:3] == ["created", "status", "accepted"]
        assert await world.store.sha256(keys.master(world.library.slug, str(media.id))) == digest
        assert one.worked > 0

    async def test_one_that_waits_for_a_person_keeps_nobody_waiting(self, world: World) -> None:
        await stocked(world, ("a.jpg", picture(seed=5)), *junk(1))
        one = await begun(world, at_once=1)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        [media_id] = media_ids(await items(world, one))
        await world.until(str(media_id), Status.AWAITING_MODERATION)
        assert (await row(world, one)).waiting == 1
        await world.webhook(world.event(str(media_id), "review", scores={"nudity": 0.6}))
        one = await ended(world, one)
        assert one.imported == 2
        assert (await world.media(str(media_id))).status is Status.IN_REVIEW
        [note] = await summaries(world)
        assert "In review: 1" in note.body

    async def test_a_prefix_without_objects_is_refused(self, world: World) -> None:
        await stocked(world, ("folder/", b""))
        one = await ended(world, await began(world))
        assert (one.state, one.detail, one.counts.total) == (ImportState.FAILED, "There is no object.", 0)

    async def test_too_many_objects_are_refused(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, import_max_items=3) as world:
            await stocked(world, *junk(5))
            one = await ended(world, await begun(world, page=2))
            assert (one.state, one.detail) == (
                ImportState.FAILED,
                "There are more than 3 objects; import them in parts.",
            )
            assert one.cancelled == one.counts.total == 4


class TestOrders:
    async def test_a_pause_begins_nothing_until_it_ends(self, world: World) -> None:
        await stocked(world, ("a.jpg", picture(seed=7)), *junk(2))
        one = await begun(world, at_once=1)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        paused = await order(world, one, "pause")
        assert (paused.state, paused.detail) == (ImportState.PAUSED, "paused by ada")
        with pytest.raises(Conflict, match="nothing to pause"):
            await order(world, one, "pause")
        [media_id] = media_ids(await items(world, one))
        await world.until(str(media_id), Status.AWAITING_MODERATION)
        await world.webhook(world.event(str(media_id)))
        await reached(world, one, ImportItemState.IMPORTED, 1)  # what is under way ends, and is counted
        handle = world.client.get_workflow_handle(import_id(str(one.id)))
        progress = await handle.query("progress", result_type=ImportProgress)
        assert (progress.shown, progress.counts.waiting) == (ImportState.PAUSED, 2)
        resumed = await order(world, one, "resume")
        assert (resumed.state, resumed.detail) == (ImportState.IMPORTING, "")
        one = await ended(world, one)
        assert (one.state, one.imported) == (ImportState.DONE, 3)
        with pytest.raises(Conflict, match="ended already"):
            await order(world, one, "resume")
        assert await acts(world, one) == ["import.pause", "import.resume"]

    async def test_cancelling_lets_what_is_under_way_end(self, world: World) -> None:
        await stocked(world, ("a.jpg", picture(seed=8)), *junk(6))
        one = await begun(world, at_once=1)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        cancelled = await order(world, one, "cancel")
        assert cancelled.state is ImportState.CANCELLING
        for act in ("pause", "resume", "cancel"):
            with pytest.raises(Conflict):
                await order(world, one, act)
        with pytest.raises(Conflict, match="being cancelled"):
            await retry_import(orders(world), world.library, one.id, ADA)
        [media_id] = media_ids(await items(world, one))
        await world.until(str(media_id), Status.AWAITING_MODERATION)
        await world.webhook(world.event(str(media_id)))
        one = await ended(world, one)
        assert (one.state, one.detail) == (ImportState.CANCELLED, "cancelled by ada")
        assert (one.imported, one.cancelled, one.counts.total) == (1, 6, 7)
        [note] = await summaries(world)
        assert "Approved: 1\nCancelled: 6" in note.body

    async def test_cancelled_while_paused(self, world: World) -> None:
        await stocked(world, *junk(3))
        one = await begun(world, progress=ImportProgress(paused=True))
        await order(world, one, "cancel")
        one = await ended(world, one)
        assert (one.state, one.counts.total) == (ImportState.CANCELLED, 0)

    async def test_a_pause_without_an_end_is_a_cancellation(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, skip_time=True) as world:
            await stocked(world, ("a.jpg", b"x"))
            one = await begun(world, at_once=1, progress=ImportProgress(paused=True))
            one = await ended(world, one)
            assert (one.state, one.detail) == (ImportState.CANCELLED, "paused for too long")

    async def test_an_operator_cancels_the_run(self, world: World) -> None:
        await stocked(world, ("a.jpg", picture(seed=9)), *junk(2))
        one = await begun(world, at_once=1)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        handle = world.client.get_workflow_handle(import_id(str(one.id)))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        one = await row(world, one)
        assert (one.state, one.detail) == (
            ImportState.CANCELLED,
            "cancelled by an operator; what is under way goes on",
        )
        assert (one.under_way, one.cancelled) == (1, 2)

    async def test_one_whose_row_is_gone_fails_and_says_why(self, world: World) -> None:
        job = ImportInput(import_id=str(uuid4()), library=world.library.slug)
        await start_import(world.flows, job)
        handle = world.client.get_workflow_handle(import_id(job.import_id))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await handle.describe()).typed_search_attributes[FAILURE_KIND] == "NotFound"


class TestRetry:
    async def test_what_failed_is_tried_again_and_nothing_else(self, world: World) -> None:
        await stocked(world, *junk(2))
        gone = folder(world.library) + "late.jpg"
        named = [ManifestItem(line=1, key=gone), ManifestItem(line=2, key=folder(world.library) + "junk-000.jpg")]
        one = await ended(world, await begun(world, manifest=named))
        assert (one.imported, one.failed) == (1, 1)
        before = media_ids(await items(world, one))
        await stocked(world, ("late.jpg", b"no picture, late"))
        again = await retry_import(orders(world), world.library, one.id, ADA)
        assert (again.state, again.round, again.ended_at) == (ImportState.IMPORTING, 2, None)
        one = await ended(world, again)
        assert (one.state, one.imported, one.failed) == (ImportState.DONE, 2, 0)
        assert before < media_ids(await items(world, one))
        assert len(await summaries(world)) == 2
        with pytest.raises(Conflict, match="No object of this import has failed"):
            await retry_import(orders(world), world.library, one.id, ADA)

    async def test_while_it_is_running_it_goes_on_with_them(self, world: World) -> None:
        """Also where its run was about to end."""
        await stocked(world, ("a.jpg", picture(seed=10)))
        named = [ManifestItem(line=n, key=folder(world.library) + name) for n, name in enumerate(("b.jpg", "a.jpg"), 1)]
        one = await begun(world, manifest=named, at_once=2)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        await stocked(world, ("b.jpg", b"no picture"))
        again = await retry_import(orders(world), world.library, one.id, ADA)
        assert again.round == 1
        await reached(world, one, ImportItemState.IMPORTED, 1)
        [media_id] = [media.id for item, media in (await items(world, one)).values() if media and item.line == 2]
        await world.until(str(media_id), Status.AWAITING_MODERATION)
        await world.webhook(world.event(str(media_id)))
        assert (await ended(world, one)).imported == 2


class TestHolds:
    async def test_a_quota_that_is_used_up_fails_nothing(self, world: World) -> None:
        await stocked(world, *junk(4))
        await world.configure(limits={"daily_files": 2})
        one = await begun(world)

        async def held() -> bool:
            found = await row(world, one)
            return found.imported == 2 and "2 files a day" in found.detail

        await runs.until(held)
        assert (await row(world, one)).waiting == 2
        cancelled = await order(world, one, "cancel")
        assert cancelled.state in {ImportState.CANCELLING, ImportState.CANCELLED}
        one = await ended(world, one)
        assert (one.imported, one.failed, one.cancelled) == (2, 0, 2)
        # What was copied of the object that found no room is gone again.
        masters = [stat.key async for stat in world.store.list(f"{world.library.slug}/media/originals/")]
        assert masters == []

    async def test_it_goes_on_when_there_is_room(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, skip_time=True) as world:
            await stocked(world, *junk(3))
            await world.configure(limits={"daily_files": 1})
            one = await begun(world)
            await reached(world, one, ImportItemState.IMPORTED, 1)
            await world.configure(limits={})
            assert (await ended(world, one)).imported == 3

    async def test_held_for_days_it_pauses_itself(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, skip_time=True) as world:
            await stocked(world, *junk(1))
            await world.configure(limits={"daily_files": 0})
            almost = ImportProgress(held=timedelta(days=6, hours=23, minutes=45))
            one = await ended(world, await begun(world, progress=almost))
            assert (one.state, one.detail, one.cancelled) == (ImportState.CANCELLED, "paused for too long", 1)

    @pytest.mark.parametrize("serves", [(), ("another",)], ids=["gone", "for another library"])
    async def test_a_source_that_is_taken_away(self, idle: World, serves: tuple[str, ...]) -> None:
        await stocked(idle, *junk(2))
        one = await begun(idle)
        source = idle.settings.import_sources[SOURCE].model_copy(update={"libraries": serves})
        settings = idle.settings.model_copy(update={"import_sources": {SOURCE: source} if serves else {}})

        async def told() -> bool:
            return "no import source 'archive' for this library any more" in (await row(idle, one)).detail

        async with idle.workers(settings=settings):
            await runs.until(told)
            await order(idle, one, "cancel")
            assert (await ended(idle, one)).state is ImportState.CANCELLED


class TestCrashes:
    @pytest.fixture
    def db(self, own_db: Database) -> Database:
        return own_db

    async def test_workers_die_in_the_middle(self, idle: World) -> None:
        """Twice; what they were at is done by the next ones, once."""
        await stocked(idle, *junk(18))
        one = await begun(idle, at_once=6, begin=3)
        for count in (3, 9):
            async with idle.workers():
                await reached(idle, one, ImportItemState.IMPORTED, count)
        async with idle.workers():
            await self.swept(idle)
            one = await ended(idle, one)
        found = await items(idle, one)
        assert (one.imported, one.failed, len(media_ids(found))) == (18, 0, 18)
        assert widest([media for _, media in found.values() if media]) <= 6
        for media_id in media_ids(found):
            line = await idle.timeline(str(media_id))
            assert (line.count("accepted"), line.count("started")) == (1, 1)

    async def swept(self, world: World) -> None:
        """What was accepted and not started is started, as by the schedule."""
        await (await runs.start_sweep(world, SweepInput(start_after=timedelta(0)))).result()

    async def test_a_start_that_is_owed_is_paid_by_the_sweep(self, world: World) -> None:
        await stocked(world, *junk(1))
        one = planned(world)
        one.created_by = "ada"
        async with world.db.transaction() as tx:
            await tx.imports.begin(one)
        await self.swept(world)
        assert (await ended(world, one)).imported == 1
        assert (await row(world, one)).started_at

    async def test_a_restore_owes_the_start_of_what_has_not_ended(self, idle: World) -> None:
        one = await begun(idle)
        with suppress(Undone):
            async with idle.db.transaction() as tx:
                assert await RecoveryRepository(tx.session).reowe_imports() >= 1
                await tx.session.flush()
                owed = await tx.imports.owed_a_start(now() + timedelta(seconds=1), 10_000)
                assert one.id in {row.id for row, _ in owed}
                raise Undone  # other tests' imports are none of this one's business

    async def test_after_a_restore_it_goes_on_in_another_round(self, idle: World) -> None:
        """Rows are of the time before its uploads were accepted; of these, runs are left."""
        await stocked(idle, *junk(2))
        one = await begun(idle)
        async with idle.workers():
            lost = media_ids(await items(idle, await ended(idle, one)))
        async with idle.db.transaction() as tx:
            for media_id in lost:
                await tx.session.execute(delete(MediaEvent).where(col(MediaEvent.media_id) == media_id))
                await tx.session.execute(delete(MediaDecision).where(col(MediaDecision.media_id) == media_id))
                await tx.session.execute(delete(Notification).where(col(Notification.media_id) == media_id))
                await tx.session.execute(delete(Media).where(col(Media.id) == media_id))
            await tx.imports.move_items(one.id, [ImportItemState.IMPORTED], ImportItemState.WAITING)
            restored = await tx.imports.get(one.id, lock=True)
            restored.state, restored.ended_at, restored.started_at = ImportState.IMPORTING, None, None
        async with idle.workers():
            await self.swept(idle)
            one = await ended(idle, await row(idle, one))
        assert (one.round, one.imported, media_ids(await items(idle, one))) == (2, 2, lost)

    async def test_without_its_manifest_it_says_so(self, world: World) -> None:
        """As after a crash between the row and the manifest."""
        one = planned(world, listed=False)
        one.created_by = "ada"
        async with world.db.transaction() as tx:
            await tx.imports.begin(one)
        await self.swept(world)
        one = await ended(world, one)
        assert (one.state, one.detail) == (
            ImportState.FAILED,
            "The manifest is not there; start the import again.",
        )

    async def test_one_without_a_run_can_be_cancelled(self, idle: World) -> None:
        await stocked(idle, *junk(3))
        one = await begun(idle)
        await idle.client.get_workflow_handle(import_id(str(one.id))).terminate()
        with pytest.raises(Conflict, match="not been started yet"):
            await order(idle, one, "pause")
        one = await order(idle, one, "cancel")
        assert (one.state, one.detail, bool(one.ended_at)) == (ImportState.CANCELLED, "cancelled by ada", True)
        assert await acts(idle, one) == ["import.cancel"]
