"""The trash: closed with the row, restored as it was, erased without a trace of its content, never what must stay."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from activities.evidence_access import place_hold, release_hold
from activities.trash import delete_removed, drop_backup, erase, take_out, throw_away
from db.repositories.audit import Actor
from db.tables import AuditRecord, Fingerprint, MediaVariant, ObjectRemoval, TrashedItem, now
from mediagate.errors import Conflict, NotFound, StorageUnavailable
from mediagate.media.lifecycle import GONE
from mediagate.media.values import Status, Verdict
from mediagate.moderation.policy import Reason
from tests.activities.steps import Steps, perform
from tests.evidence import seal, sealing_keys
from tests.stores import BreakingStore
from tests.world import GateWith, World, picture

ADA = Actor("ada", "cli:ada")
A_DAY = timedelta(days=1)
OVER = timedelta(days=-1)
"""A time in the trash that is over at once."""


async def throw(world: World, media_id: str, keep: timedelta = A_DAY, **fields: Any) -> TrashedItem:
    return await throw_away(world.db, UUID(media_id), ADA, keep=keep, purge=False, **fields)


async def restore(world: World, media_id: str) -> Status:
    return (await take_out(world.db, world.flows, UUID(media_id), ADA)).status


async def erased(world: World, media_id: str, **parts: Any) -> int | None:
    """Erase an item and its objects."""
    store = parts.get("store", world.store)
    freed = await erase(world.db, store, UUID(media_id), ADA)
    await delete_removed(world.db, store)
    return freed


async def acts(world: World, media_id: str) -> list[str]:
    """What the audit trail says was done to an item, in order."""
    async with world.db.transaction() as tx:
        query = select(AuditRecord).where(col(AuditRecord.subject) == f"media:{media_id}")
        return [row.action for row in (await tx.session.scalars(query.order_by(col(AuditRecord.seq)))).all()]


async def count(world: World, table: Any, media_id: str) -> int:
    async with world.db.transaction() as tx:
        query = select(func.count()).select_from(table).where(table.media_id == UUID(media_id))
        return (await tx.session.execute(query)).scalar_one()


async def filed(steps: Steps, verdict: Verdict = Verdict.APPROVE, data: bytes | None = None) -> str:
    """An item that is decided and filed."""
    media_id = await steps.submitted(data)
    await perform(
        steps.projecting.record_decision, steps.decision(media_id, verdict=verdict, reasons=(Reason(code="x"),))
    )
    await steps.file(media_id, verdict)
    return media_id


class TestThrowingAway:
    @pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.QUARANTINE])
    async def test_there_and_back_again(self, steps: Steps, verdict: Verdict) -> None:
        world, media_id = steps.world, await filed(steps, verdict)
        before = await steps.state(media_id)
        item = await throw(world, media_id, reason="spring cleaning")
        row = await world.media(media_id)
        assert (row.status, item.status_before.value) == (Status.TRASHED, before["media"]["status"].value)
        assert (await steps.state(media_id))["objects"] == before["objects"]
        assert await restore(world, media_id) is item.status_before
        after = await steps.state(media_id)
        for part in ("media", "objects", "variants", "decisions"):
            assert after[part] == before[part]
        assert await acts(world, media_id) == ["media.trashed", "media.restored"]
        assert (await world.timeline(media_id))[-4:] == ["status", "trashed", "status", "taken_out"]

    async def test_twice_is_as_good_as_once(self, steps: Steps) -> None:
        media_id = await filed(steps)
        first = await throw(steps.world, media_id)
        assert (await throw(steps.world, media_id, keep=OVER)).model_dump() == first.model_dump()
        assert await acts(steps.world, media_id) == ["media.trashed"]

    async def test_at_the_same_time_too(self, steps: Steps) -> None:
        media_id = await filed(steps)
        items = await asyncio.gather(*(throw(steps.world, media_id) for _ in range(5)))
        assert len({item.trashed_at for item in items}) == 1
        assert await acts(steps.world, media_id) == ["media.trashed"]

    async def test_only_what_is_decided(self, steps: Steps) -> None:
        working = dict.fromkeys((Status.AWAITING_UPLOAD, Status.PROCESSING, Status.IN_REVIEW), "not decided yet")
        for status, why in {**working, Status.EXPIRED: "nothing to throw", Status.ERASED: "nothing to throw"}.items():
            media_id = await steps.world.seal(picture(), status=status)
            with pytest.raises(Conflict, match=why):
                await throw(steps.world, media_id)
            assert (await steps.world.media(media_id)).status is status

    async def test_what_failed_too(self, steps: Steps) -> None:
        media_id = await steps.world.seal(picture(), status=Status.FAILED)
        await throw(steps.world, media_id)
        assert await restore(steps.world, media_id) is Status.FAILED

    async def test_nothing_that_is_on_hold(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps)
        await place_hold(world.db, None, UUID(media_id), ADA, reason="case 1")
        with pytest.raises(Conflict, match="legal hold"):
            await throw(world, media_id)
        assert (await world.media(media_id)).status is Status.APPROVED
        await release_hold(world.db, None, UUID(media_id), ADA, reason="over")
        assert (await throw(world, media_id)).status_before is Status.APPROVED

    async def test_what_was_decided_anew_and_is_not_filed_yet_waits(self, steps: Steps) -> None:
        media_id = await filed(steps, Verdict.REJECT)
        approve = steps.decision(media_id, verdict=Verdict.APPROVE, reasons=(Reason(code="x"),), round=1)
        await perform(steps.projecting.record_decision, approve)
        with pytest.raises(Conflict, match="decided anew"):
            await throw(steps.world, media_id)

    async def test_what_is_not_there(self, steps: Steps) -> None:
        with pytest.raises(NotFound):
            await throw(steps.world, "00000000-0000-4000-8000-000000000000")


class TestWhileInTheTrash:
    """Whatever runs and people decide meanwhile moves nothing; whoever restores it gets what they decided."""

    async def test_a_run_files_nothing(self, steps: Steps) -> None:
        media_id = await filed(steps, Verdict.REJECT)
        await throw(steps.world, media_id)
        before = await steps.state(media_id)
        assert (await steps.file(media_id, Verdict.APPROVE)).status is Status.TRASHED
        assert await steps.state(media_id) == before

    @pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.QUARANTINE, Verdict.REVIEW])
    async def test_a_decision_does_not_take_it_out(self, steps: Steps, verdict: Verdict) -> None:
        media_id = await filed(steps)
        await throw(steps.world, media_id)
        await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=verdict, round=1))
        assert (await steps.world.media(media_id)).status is Status.TRASHED

    async def test_a_newer_rejection_holds_for_what_was_approved(self, steps: Steps) -> None:
        media_id = await filed(steps)
        await throw(steps.world, media_id)
        await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=Verdict.REJECT, round=1))
        assert await restore(steps.world, media_id) is Status.REJECTED

    async def test_a_newer_approval_is_filed_before_it_is_public(self, steps: Steps) -> None:
        media_id = await filed(steps, Verdict.REJECT)
        await throw(steps.world, media_id)
        await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=Verdict.APPROVE, round=1))
        assert await restore(steps.world, media_id) is Status.REJECTED

    async def test_an_open_review_is_decided_first(self, steps: Steps) -> None:
        media_id = await filed(steps)
        await throw(steps.world, media_id)
        await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=Verdict.REVIEW, round=1))
        with pytest.raises(Conflict, match="review"):
            await restore(steps.world, media_id)
        assert (await steps.world.media(media_id)).status is Status.TRASHED

    async def test_what_is_not_in_it_cannot_be_restored(self, steps: Steps) -> None:
        media_id = await filed(steps)
        with pytest.raises(Conflict, match="not in the trash: approved"):
            await restore(steps.world, media_id)


class TestErasing:
    @pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.REJECT])
    async def test_nothing_of_its_content_is_left(self, steps: Steps, verdict: Verdict) -> None:
        world, media_id = steps.world, await filed(steps, verdict)
        await perform(steps.notifying.notify_admins, steps.notice(media_id, detail="x"))
        objects = await steps.state(media_id)
        freed = sum([(await world.store.stat(key)).size for key in objects["objects"]])
        await throw(world, media_id, keep=OVER)
        assert await erased(world, media_id) == freed
        assert await world.objects(media_id) == []
        row = await world.media(media_id)
        assert (row.status, row.filename, row.caption, row.facts, row.sha256) == (Status.ERASED, "", "", {}, None)
        assert (row.master_key, row.backup_key) == (None, None)
        assert [await count(world, table, media_id) for table in (MediaVariant, Fingerprint, ObjectRemoval)] == [
            0,
            0,
            0,
        ]
        after = await steps.state(media_id)
        assert "photo.jpg" not in str(after)
        assert str(objects["media"]["sha256"]) not in str(after)
        assert after["decisions"] == objects["decisions"]
        assert await acts(world, media_id) == ["media.trashed", "media.erased"]
        async with world.db.transaction() as tx:
            assert [held for held in await tx.storage.totals(world.library.id) if held.bytes] == []

    async def test_not_before_its_time(self, steps: Steps) -> None:
        media_id = await filed(steps)
        await throw(steps.world, media_id)
        before = await steps.state(media_id)
        assert await erased(steps.world, media_id) is None
        assert await steps.state(media_id) == before

    async def test_not_what_was_restored(self, steps: Steps) -> None:
        media_id = await filed(steps)
        await throw(steps.world, media_id, keep=OVER)
        await restore(steps.world, media_id)
        assert await erased(steps.world, media_id) is None
        assert (await steps.world.media(media_id)).status is Status.APPROVED

    async def test_not_what_was_put_on_hold_in_the_trash(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps)
        await throw(world, media_id, keep=OVER)
        await place_hold(world.db, None, UUID(media_id), ADA, reason="case 1")
        before = (await steps.state(media_id))["objects"]
        assert await erased(world, media_id) is None
        assert (await steps.state(media_id))["objects"] == before
        await release_hold(world.db, None, UUID(media_id), ADA, reason="over")
        assert await erased(world, media_id)

    async def test_not_while_evidence_about_it_is_locked(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(), evidence_keys=sealing_keys()) as world:
            media_id = await filed(Steps(world), Verdict.REJECT)
            await seal(world, media_id)
            await throw(world, media_id, keep=OVER)
            assert await erased(world, media_id) is None
            assert (await world.media(media_id)).status is Status.TRASHED
            assert "rejected/ID/source" in str(await world.objects(media_id))

    async def test_a_hold_and_an_erasure_at_the_same_time_have_one_winner(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps)
        await throw(world, media_id, keep=OVER)
        await asyncio.gather(place_hold(world.db, None, UUID(media_id), ADA, reason="case 1"), erased(world, media_id))
        gone = (await world.media(media_id)).status is Status.ERASED
        assert (await world.objects(media_id) == []) is gone

    @pytest.mark.parametrize("call", ["list", "delete"])
    async def test_a_store_that_is_away_leaves_nothing_half_done(self, steps: Steps, call: str) -> None:
        world, media_id = steps.world, await filed(steps, Verdict.REJECT)
        await throw(world, media_id, keep=OVER)
        breaking = BreakingStore(world.store, call, StorageUnavailable(), nth=2)
        with pytest.raises(StorageUnavailable):
            await erased(world, media_id, store=breaking)
        row = await world.media(media_id)
        # Either nothing happened, or the row says so and every object that is left is noted.
        assert row.status is (Status.TRASHED if call == "list" else Status.ERASED)
        await erased(world, media_id)
        assert await world.objects(media_id) == []
        assert (await world.media(media_id)).status is Status.ERASED
        assert (await acts(world, media_id)).count("media.erased") == 1

    async def test_leftovers_anywhere_go_with_it(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps)
        slug = world.library.slug
        strays = [
            f"staging/{media_id}",
            f"work/{media_id}/thumb.jpg",
            f"{slug}/media/thumbs/{media_id}-0123456789ab.jpg",
        ]
        for key in strays:
            await world.store.put(key, b"left over", content_type="image/jpeg")
        await throw(world, media_id, keep=OVER)
        await erased(world, media_id)
        assert await world.objects(media_id) == []

    async def test_other_items_keep_everything(self, steps: Steps) -> None:
        world, data = steps.world, picture(seed=3)
        media_id, twin = await filed(steps, data=data), await filed(steps, data=data)
        before = await steps.state(twin)
        await throw(world, media_id, keep=OVER)
        await erased(world, media_id)
        assert await steps.state(twin) == before


class TestBackups:
    async def test_an_old_one_goes_and_the_master_stays(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps, Verdict.REJECT)
        row = await world.media(media_id)
        assert await drop_backup(world.db, UUID(media_id), ADA, filed_before=now()) == row.bytes
        await delete_removed(world.db, world.store)
        after = await world.media(media_id)
        assert (after.backup_key, after.master_key) == (None, row.master_key)
        kept = await world.objects(media_id)
        assert "media/rejected/ID/source" in kept
        assert not [key for key in kept if key.startswith("backups/")]
        assert await drop_backup(world.db, UUID(media_id), ADA, filed_before=now()) is None

    async def test_not_a_young_one_and_none_on_hold(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps, Verdict.REJECT)
        assert await drop_backup(world.db, UUID(media_id), ADA, filed_before=now() - A_DAY) is None
        await place_hold(world.db, None, UUID(media_id), ADA, reason="case 1")
        assert await drop_backup(world.db, UUID(media_id), ADA, filed_before=now()) is None

    async def test_one_that_was_made_anew_meanwhile_is_left(self, steps: Steps) -> None:
        world, media_id = steps.world, await filed(steps, Verdict.REJECT)
        key = (await world.media(media_id)).backup_key
        await drop_backup(world.db, UUID(media_id), ADA, filed_before=now())
        async with world.db.transaction() as tx:
            (await tx.media.get(UUID(media_id), lock=True)).backup_key = key
        assert await delete_removed(world.db, world.store) == 0
        assert await world.store.stat(key or "")


def test_what_is_gone_is_never_public() -> None:
    assert {Status.TRASHED, Status.ERASED} == GONE
