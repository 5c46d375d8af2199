"""A takedown's steps, interrupted, repeated, and overtaken by the upload that they undo."""

import hashlib
from uuid import UUID

import pytest

from mediagate.media.values import ImageFormat, Status, Variant, VariantFile, VariantName, Verdict
from mediagate.moderation.policy import Reason
from mediagate.storage import keys
from tests.activities.steps import Steps, perform
from tests.activities.test_filing import Crash
from tests.stores import BreakingStore
from tests.world import picture
from workflows.messages import DecisionResult, FileInput, FileResult

REASON = Reason(code="takedown:copyright", detail="")


async def public(steps: Steps) -> str:
    """An approved item with siblings, pictures that were made anew, and one that no row names any more."""
    media_id = await steps.submitted()
    await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=Verdict.APPROVE))
    await steps.file(media_id)
    slug, store = steps.world.library.slug, steps.world.store
    made = [
        VariantFile(VariantName.MEDIUM, ImageFormat.WEBP),
        VariantFile(VariantName.THUMB),
        VariantFile(VariantName.W640, ImageFormat.AVIF),
    ]
    rows = []
    for seed, file in enumerate(made):
        data = picture(seed=seed)
        digest = hashlib.sha256(data).hexdigest()
        key = keys.filed(slug, Status.APPROVED, media_id, file, revision=digest)
        await store.put(key, data, content_type=file.format.content_type, sha256=digest)
        facts = {"width": 1, "height": 1, "bytes": len(data), "quality": 80, "sha256": digest, "key": key}
        rows.append(Variant(name=file.name, format=file.format, **facts))
    await store.put(
        keys.filed(slug, Status.APPROVED, media_id, VariantFile(VariantName.W320), revision="a" * 64),
        picture(),
        content_type="image/jpeg",
    )
    async with steps.world.db.transaction() as tx:
        await tx.media.put_variants(UUID(media_id), rows)
    return media_id


async def close(steps: Steps, media_id: str, *, round_: int = 1) -> DecisionResult:
    """The row's part."""
    job = steps.decision(media_id, verdict=Verdict.QUARANTINE, reasons=(REASON,), round=round_, decided_by="person:ada")
    return await perform(steps.projecting.record_decision, job)


async def withdraw(steps: Steps, media_id: str) -> FileResult:
    """The files' part."""
    ref = steps.ref(media_id).model_dump()
    job = FileInput(**ref, verdict=Verdict.QUARANTINE, reason=REASON.code, round=1)
    return await perform(steps.filing.file_media, job)


def withheld(sha256: str) -> list[str]:
    """Every object of such an item after its takedown."""
    names = ["medium.jpg", "medium.webp", "original.jpg", "source", "thumb.jpg", "w640.avif"]
    return [f"backups/ID/{sha256}", *(f"media/quarantine/ID/{name}" for name in names)]


class TestFiles:
    async def test_nothing_is_left_among_the_approved(self, steps: Steps) -> None:
        media_id = await public(steps)
        assert "media/approved/ID/w320-aaaaaaaaaaaa.jpg" in await steps.world.objects(media_id)
        await close(steps, media_id)
        await withdraw(steps, media_id)
        row = await steps.world.media(media_id)
        assert await steps.world.objects(media_id) == withheld(row.sha256 or "")
        folder = f"{steps.world.library.slug}/media/quarantine/{media_id}"
        assert row.master_key == f"{folder}/source"
        async with steps.world.db.transaction() as tx:
            manifest = {str(line.file): line.key for line in await tx.media.variants(row.id)}
        assert manifest == {
            name: f"{folder}/{VariantFile.parse(name).file_name}"
            for name in ("original", "medium", "medium.webp", "thumb", "w640.avif")
        }

    @pytest.mark.parametrize("call", ["copy", "sha256", "list", "delete"])
    async def test_cut_off_at_any_call_the_next_attempt_ends_it(self, steps: Steps, call: str) -> None:
        media_id = await public(steps)
        await close(steps, media_id)
        crashes = 0
        for nth in range(1, 40):
            try:
                await withdraw(steps.over(store=BreakingStore(steps.world.store, call, Crash(), nth=nth)), media_id)
            except Crash:
                crashes += 1
            else:
                break
        assert crashes > 0
        row = await steps.world.media(media_id)
        assert await steps.world.objects(media_id) == withheld(row.sha256 or "")


class TestRow:
    async def test_the_decision_alone_closes_it(self, steps: Steps) -> None:
        media_id = await public(steps)
        decision = await close(steps, media_id)
        row = await steps.world.media(media_id)
        assert (row.status, row.reason) == (Status.QUARANTINED, REASON.code)
        assert decision.verdict is Verdict.QUARANTINE

    async def test_taken_again_the_first_decision_of_the_round_stands(self, steps: Steps) -> None:
        media_id = await public(steps)
        first = await close(steps, media_id)
        state = await steps.state(media_id)
        other = steps.decision(media_id, verdict=Verdict.REJECT, reasons=(REASON,), round=1, decided_by="person:bob")
        assert await perform(steps.projecting.record_decision, other) == first
        assert await steps.state(media_id) == state


class TestTheUploadsOwnFiling:
    async def test_an_attempt_after_the_takedown_makes_nothing_public_again(self, steps: Steps) -> None:
        """The attempt that committed was cut off before it could say so; the next one comes late."""
        media_id = await public(steps)
        await close(steps, media_id)
        late = await steps.file(media_id)
        assert (late.status, late.objects) == (Status.QUARANTINED, 0)
        await withdraw(steps, media_id)
        state = await steps.state(media_id)
        assert (await steps.file(media_id)).status is Status.QUARANTINED
        assert await steps.state(media_id) == state

    async def test_one_that_is_overtaken_while_it_copies_changes_no_row(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        await perform(steps.projecting.record_decision, steps.decision(media_id, verdict=Verdict.APPROVE))

        class Overtaken(BreakingStore):
            async def after(self, call: str, key: str) -> None:
                if call == "copy" and key.endswith("original.jpg"):
                    await steps.file(media_id)
                    await close(steps, media_id)

        overtaken = steps.over(store=Overtaken(steps.world.store, "none", Crash()))
        assert (await overtaken.file(media_id)).status is Status.QUARANTINED
        assert (await steps.world.media(media_id)).status is Status.QUARANTINED
        await withdraw(steps, media_id)
        row = await steps.world.media(media_id)
        assert not [key for key in await steps.world.objects(media_id) if "approved" in key or "thumbs" in key]
        assert row.status is Status.QUARANTINED
