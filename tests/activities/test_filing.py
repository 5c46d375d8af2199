"""Filing, interrupted at every point: never less than one good copy is left, and the next attempt ends clean."""

import asyncio

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from mediagate.errors import ObjectCorrupt, ObjectMissing, StorageUnavailable
from mediagate.media.values import Status, Verdict
from tests.activities.steps import Steps
from tests.stores import BreakingStore, CountingStore, GatedStore, LayeredStore
from tests.world import picture
from workflows.messages import FileInput

APPROVED = ["media/approved/ID/medium.jpg", "media/approved/ID/original.jpg"]
SCRATCH = [f"work/ID/{name}.jpg" for name in ("medium", "moderation", "original", "thumb")]
MASTER = "media/originals/ID/source"
THUMB = "media/thumbs/ID.jpg"
FILED = [*APPROVED, MASTER, THUMB]
"""An approved item at rest."""


class Crash(Exception):
    """The worker dies here: nothing is translated, nothing is cleaned up."""


class TearingStore(LayeredStore):
    """The first copy writes half of the bytes and says that all is well."""

    torn = False

    async def copy(self, source: str, target: str) -> None:
        if self.torn:
            await super().copy(source, target)
            return
        self.torn = True
        data = await self._inner.get_bytes(source, max_bytes=10**8)
        await self._inner.put(target, data[: len(data) // 2], content_type="image/jpeg")


class TestCrashes:
    async def test_after_a_copy_both_copies_stand_and_the_retry_ends_clean(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        crashing = steps.over(store=BreakingStore(steps.world.store, "copy", Crash(), nth=3))
        with pytest.raises(Crash):
            await crashing.file(media_id)
        objects = await steps.world.objects(media_id)
        assert set(SCRATCH) < set(objects)
        assert len([key for key in objects if key.startswith(("media/approved", "media/thumbs"))]) == 2
        row = await steps.world.media(media_id)
        assert row.status is Status.AWAITING_MODERATION
        await steps.file(media_id)
        assert await steps.world.objects(media_id) == FILED

    async def test_after_the_commit_the_retry_deletes_what_is_left(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        crashing = steps.over(store=BreakingStore(steps.world.store, "delete", Crash()))
        with pytest.raises(Crash):
            await crashing.file(media_id)
        assert (await steps.world.media(media_id)).status is Status.APPROVED
        assert await steps.world.objects(media_id) == sorted(FILED + SCRATCH)
        result = await steps.file(media_id)
        assert (result.status, result.objects) == (Status.APPROVED, 0)
        assert await steps.world.objects(media_id) == FILED

    @pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.REJECT, Verdict.QUARANTINE])
    @pytest.mark.parametrize("call", ["copy", "sha256", "delete"])
    async def test_at_any_call_the_retry_ends_as_if_nothing_had_happened(
        self, steps: Steps, call: str, verdict: Verdict
    ) -> None:
        untouched, media_id = await steps.submitted(), await steps.submitted()
        await steps.file(untouched, verdict)
        crashes = 0
        for nth in range(1, 40):
            store = BreakingStore(steps.world.store, call, Crash(), nth=nth)
            try:
                await steps.over(store=store).file(media_id, verdict)
            except Crash:
                crashes += 1
                assert await readable(steps, media_id)
            else:
                break
        assert crashes > 0
        assert await steps.world.objects(media_id) == await steps.world.objects(untouched)
        assert (await steps.world.media(media_id)).status is (await steps.world.media(untouched)).status

    async def test_a_row_never_names_what_is_not_there(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        await steps.file(media_id, Verdict.REJECT)
        assert await readable(steps, media_id)


class TestOrder:
    async def test_the_backup_is_read_back_before_anything_else_is_touched(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        store = CountingStore(steps.world.store)
        await steps.over(store=store).file(media_id, Verdict.REJECT)
        writes = [(call, key) for call, key in store.calls if call in {"copy", "delete"}]
        backup = f"{steps.world.library.slug}/backups/{media_id}/"
        assert writes[0][0] == "copy"
        assert writes[0][1].startswith(backup)
        copies = [index for index, (call, _) in enumerate(writes) if call == "copy"]
        deletes = [index for index, (call, _) in enumerate(writes) if call == "delete"]
        assert max(copies) < min(deletes)
        for _, target in [write for write in writes if write[0] == "copy"]:
            assert ("sha256", target) in store.calls[store.calls.index(("copy", target)) :]

    async def test_without_its_backup_nothing_is_rejected(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        before = await steps.state(media_id)
        store = BreakingStore(steps.world.store, "copy", StorageUnavailable())
        with pytest.raises(StorageUnavailable):
            await steps.over(store=store).file(media_id, Verdict.REJECT)
        assert await steps.state(media_id) == before


class TestBadCopies:
    async def test_a_torn_copy_at_the_target_is_replaced(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        target = f"{steps.world.library.slug}/media/approved/{media_id}/original.jpg"
        await steps.world.store.put(target, b"half a pict", content_type="image/jpeg")
        await steps.file(media_id)
        state = await steps.state(media_id)
        (original,) = [variant for variant in state["variants"] if variant["name"] == "original"]
        assert state["objects"][target] == original["sha256"]

    async def test_a_copy_that_does_not_read_back_is_made_again(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        torn = steps.over(store=TearingStore(steps.world.store))
        with pytest.raises(StorageUnavailable, match="does not read back"):
            await torn.file(media_id)
        assert (await steps.world.media(media_id)).status is Status.AWAITING_MODERATION
        await torn.file(media_id)
        assert await steps.world.objects(media_id) == FILED
        assert await readable(steps, media_id)

    @pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.REJECT])
    async def test_an_altered_source_is_an_error_and_nothing_is_deleted(self, steps: Steps, verdict: Verdict) -> None:
        media_id = await steps.submitted()
        await steps.world.store.put(f"work/{media_id}/thumb.jpg", picture(seed=8), content_type="image/jpeg")
        with pytest.raises(ObjectCorrupt):
            await steps.file(media_id, verdict)
        objects = await steps.world.objects(media_id)
        assert {*SCRATCH, MASTER} <= set(objects)
        assert THUMB not in objects
        assert (await steps.world.media(media_id)).status is Status.AWAITING_MODERATION

    async def test_an_altered_master_is_never_the_backup(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        before = await steps.world.objects(media_id)
        row = await steps.world.media(media_id)
        await steps.world.store.put(row.master_key or "", b"something else", content_type="image/jpeg")
        with pytest.raises(ObjectCorrupt):
            await steps.file(media_id, Verdict.QUARANTINE)
        assert await steps.world.objects(media_id) == before

    async def test_a_missing_source_is_an_error(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        await steps.world.store.delete(f"work/{media_id}/medium.jpg")
        with pytest.raises(ObjectMissing):
            await steps.file(media_id)
        assert (await steps.world.media(media_id)).status is Status.AWAITING_MODERATION


class TestCancellation:
    async def test_of_the_run_waits_until_objects_and_row_agree(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        store, environment = GatedStore(steps.world.store, "copy"), ActivityEnvironment()
        filing = asyncio.create_task(environment.run(steps.over(store=store).filing.file_media, job(steps, media_id)))
        await store.reached.wait()
        environment.cancel()
        store.opened.set()
        assert (await filing).status is Status.APPROVED
        assert await steps.world.objects(media_id) == FILED

    async def test_by_a_worker_that_shuts_down_breaks_off_and_leaves_the_source(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        store, environment = GatedStore(steps.world.store, "copy"), ActivityEnvironment()
        filing = asyncio.create_task(environment.run(steps.over(store=store).filing.file_media, job(steps, media_id)))
        await store.reached.wait()
        environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
        with pytest.raises(asyncio.CancelledError):
            await filing
        assert set(SCRATCH) <= set(await steps.world.objects(media_id))
        await steps.file(media_id)
        assert await steps.world.objects(media_id) == FILED


def job(steps: Steps, media_id: str) -> FileInput:
    """Approve it."""
    return FileInput(**steps.ref(media_id).model_dump(), verdict=Verdict.APPROVE, reason="clean")


async def readable(steps: Steps, media_id: str) -> bool:
    """True if every object that the rows name is there with the bytes that they name."""
    state = await steps.state(media_id)
    named = {variant["key"]: variant["sha256"] for variant in state["variants"]}
    named[state["media"]["master_key"]] = state["media"]["sha256"]
    if state["media"]["backup_key"]:
        named[state["media"]["backup_key"]] = state["media"]["sha256"]
    return bool(named.items() <= state["objects"].items())
