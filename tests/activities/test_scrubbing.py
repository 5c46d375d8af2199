"""Scrubs: what is missing, altered or untracked is found, told of once, and put back where that can be done."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from activities.evidence_access import place_hold
from activities.renditions import Renditions
from activities.scrub_repair import ON_HOLD, ScrubRepair
from activities.scrubbing import Scrubbing
from db.repositories.audit import Actor
from db.tables import FindingState, Notification, Scrub, ScrubFinding
from mediagate.errors import NotFound
from mediagate.media.values import Status, Verdict
from tests.activities.steps import Steps, perform
from tests.stores import CountingStore, LayeredStore
from tests.world import World, picture
from workflows.rendition_messages import RenditionInput
from workflows.storage_messages import ScrubCounts, ScrubEnd, ScrubInput, ScrubPhase

JUNK = b"something else entirely"


@dataclass
class Scrubs:
    """Scrubs of one library, step by step as the workflow takes them."""

    steps: Steps
    pages: int = 0
    choices: dict[str, Any] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.steps.world

    async def run(self, **choices: Any) -> ScrubCounts:
        """A whole scrub, every step twice if asked to; its numbers."""
        chosen = {"library": self.world.library.slug, "grace": -60.0, **self.choices, **choices}
        twice = 2 if chosen.pop("twice", False) else 1
        job = ScrubInput(scrub_id=str(uuid4()), **chosen)
        scrubbing, repair = Scrubbing(self.steps.deps), ScrubRepair(self.steps.deps)
        for _ in range(twice):
            await perform(scrubbing.begin_scrub, job)
        while job.cursor.phase is not ScrubPhase.DONE:
            look = scrubbing.scrub_rows if job.cursor.phase is ScrubPhase.ROWS else scrubbing.scrub_objects
            repaired = 0
            for _ in range(twice):
                page = await perform(look, job)
                repaired = max([sum([await perform(repair.rebuild_pictures, item) for item in page.damaged]), repaired])
            self.pages += 1
            counts = page.counts.model_copy(update={"repaired": page.counts.repaired + repaired})
            job = job.model_copy(update={"cursor": page.cursor, "counts": counts})
        end = ScrubEnd(scrub_id=job.scrub_id, library=job.library, counts=job.counts)
        for _ in range(twice):
            await perform(scrubbing.end_scrub, end)
        async with self.world.db.transaction() as tx:
            row = await tx.session.get(Scrub, UUID(job.scrub_id))
        assert row
        assert ScrubCounts.model_validate(row.model_dump()) == job.counts
        return job.counts

    async def findings(self, *, state: FindingState | None = FindingState.OPEN) -> dict[str, ScrubFinding]:
        """By key, without the library's folder; the newest of each."""
        slug = self.world.library.slug
        query = select(ScrubFinding).where(col(ScrubFinding.library) == slug).order_by(col(ScrubFinding.found_at))
        async with self.world.db.transaction() as tx:
            rows = (await tx.session.scalars(query)).all()
        return {row.key.removeprefix(f"{slug}/"): row for row in rows if state in {None, row.state}}

    async def alerts(self) -> list[Notification]:
        """What the library's admins were told."""
        async with self.world.db.transaction() as tx:
            rows = await tx.notifications.page(self.world.library.id, after=None, limit=50)
        return [row for row in rows if row.kind == "system_alert"]

    async def digests(self) -> dict[str, str]:
        """What stands in the library's folder and in `work/`."""
        store = self.world.store
        found = [stat.key async for stat in store.list(f"{self.world.library.slug}/")]
        return {key: await store.sha256(key) for key in found}

    async def damage(self, key: str, how: str) -> None:
        """Lose an object, or put something else in its place."""
        if how == "missing":
            await self.world.store.delete(key)
        else:
            await self.world.store.put(key, JUNK, content_type="image/jpeg")


@pytest.fixture
def scrubs(steps: Steps) -> Scrubs:
    """Of the world's library."""
    return Scrubs(steps)


async def filed(steps: Steps, verdict: Verdict = Verdict.APPROVE, data: bytes | None = None) -> str:
    media_id = await steps.submitted(data)
    await steps.file(media_id, verdict)
    return media_id


async def key_of(world: World, media_id: str, part: str) -> str:
    """Where a part of an item stands."""
    row = await world.media(media_id)
    async with world.db.transaction() as tx:
        keys = {str(one.file): one.key for one in await tx.media.variants(UUID(media_id))}
    return {**keys, "master": row.master_key, "backup": row.backup_key}[part] or ""


class TestFinding:
    async def test_where_all_is_well_nothing_is_found(self, scrubs: Scrubs) -> None:
        for verdict in (Verdict.APPROVE, Verdict.REJECT, Verdict.QUARANTINE):
            await filed(scrubs.steps, verdict, picture(seed=len(verdict)))
        before = await scrubs.digests()
        counts = await scrubs.run()
        assert (counts.rows, counts.listed) == (len(before), len(before))
        assert counts.bytes == sum([(await scrubs.world.store.stat(key)).size for key in before])
        assert (counts.missing, counts.altered, counts.untracked) == (0, 0, 0)
        assert await scrubs.digests() == before
        assert (await scrubs.findings(), await scrubs.alerts()) == ({}, [])

    @pytest.mark.parametrize("how", ["missing", "altered"])
    @pytest.mark.parametrize("part", ["master", "medium"])
    async def test_each_kind_of_damage(self, scrubs: Scrubs, part: str, how: str) -> None:
        media_id = await filed(scrubs.steps)
        key = await key_of(scrubs.world, media_id, part)
        await scrubs.damage(key, how)
        counts = await scrubs.run()
        assert counts.model_dump()[how] == 1
        [finding] = (await scrubs.findings()).values()
        assert (finding.key, finding.kind.value, finding.part) == (key, how, part)
        assert (str(finding.media_id), finding.library) == (media_id, scrubs.world.library.slug)

    async def test_a_quick_one_reads_nothing(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps)
        key = await key_of(scrubs.world, media_id, "medium")
        size = (await scrubs.world.store.stat(key)).size
        await scrubs.world.store.put(key, b"x" * size, content_type="image/jpeg")
        counting = CountingStore(scrubs.world.store)
        quick = Scrubs(scrubs.steps.over(store=counting))
        counts = await quick.run(quick=True)
        assert (counts.altered, counts.bytes) == (0, 0)
        assert {call for call, _ in counting.calls} == {"stat", "list"}
        await scrubs.world.store.put(key, JUNK, content_type="image/jpeg")
        assert (await quick.run(quick=True)).altered == 1
        await scrubs.world.store.delete(key)
        assert (await quick.run(quick=True)).missing == 1

    async def test_what_no_row_names_is_untracked_and_left_alone(self, scrubs: Scrubs) -> None:
        world, slug = scrubs.world, scrubs.world.library.slug
        media_id = await filed(scrubs.steps)
        strays = {
            f"{slug}/media/approved/{media_id}/medium-0123456789ab.jpg",
            f"{slug}/media/originals/{uuid4()}/source",
            f"{slug}/what/is/this",
        }
        for key in strays:
            await world.store.put(key, JUNK, content_type="image/jpeg")
        counts = await scrubs.run(repair=True)
        assert counts.untracked == len(strays)
        found = await scrubs.findings()
        assert {f"{slug}/{key}" for key in found} == strays
        assert {one.bytes for one in found.values()} == {len(JUNK)}
        assert strays <= set(await scrubs.digests())
        assert await scrubs.alerts() == []

    async def test_what_needs_no_row_is_none(self, scrubs: Scrubs) -> None:
        slug = scrubs.world.library.slug
        for key in (f"{slug}/watermarks/{'a' * 64}", f"{slug}/imports/{'b' * 32}.jsonl"):
            await scrubs.world.store.put(key, JUNK, content_type="image/png")
        assert (await scrubs.run()).untracked == 0

    async def test_what_is_young_may_be_on_its_way(self, scrubs: Scrubs) -> None:
        await scrubs.world.store.put(f"{scrubs.world.library.slug}/what", JUNK, content_type="image/jpeg")
        assert (await scrubs.run(grace=3600)).untracked == 0

    async def test_a_missing_watermark(self, scrubs: Scrubs) -> None:
        key = f"{scrubs.world.library.slug}/watermarks/{'a' * 64}"
        await scrubs.world.configure(watermark={"image_key": key})
        assert (await scrubs.run(repair=True)).missing == 1
        assert (await scrubs.findings())[f"watermarks/{'a' * 64}"].detail == "there is no copy of it here"

    @pytest.mark.parametrize("items", [1, 2])
    async def test_small_pages_find_the_same(self, scrubs: Scrubs, items: int) -> None:
        ids = [await filed(scrubs.steps, data=picture(seed=seed)) for seed in range(3)]
        for media_id in ids:
            await scrubs.damage(await key_of(scrubs.world, media_id, "thumb"), "missing")
        await scrubs.world.store.put(f"{scrubs.world.library.slug}/stray", JUNK, content_type="image/jpeg")
        counts = await scrubs.run(items=items, keys=3, quick=True)
        assert (counts.missing, counts.untracked) == (3, 1)
        assert counts.listed == counts.rows - 3 + 1
        assert scrubs.pages > 5

    async def test_run_twice_it_finds_the_same(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps, Verdict.REJECT)
        await scrubs.damage(await key_of(scrubs.world, media_id, "medium"), "missing")
        counts = await scrubs.run(twice=True)
        assert (counts.missing, len(await scrubs.findings()), len(await scrubs.alerts())) == (1, 1, 1)

    async def test_an_item_that_is_filed_meanwhile_is_well(self, scrubs: Scrubs) -> None:
        """Filed between the look at its row and the look at its objects."""
        media_id = await scrubs.steps.submitted()

        class Filing(LayeredStore):
            done = False

            async def before(self, call: str, key: str) -> None:
                if call == "sha256" and not self.done:
                    self.done = True
                    await scrubs.steps.file(media_id, Verdict.REJECT)

        steps = scrubs.steps.over(store=Filing(scrubs.world.store))
        counts = await Scrubs(steps).run(repair=True)
        assert (counts.missing, counts.altered) == (0, 0)
        assert (await scrubs.world.media(media_id)).status is Status.REJECTED

    async def test_an_unknown_library(self, scrubs: Scrubs) -> None:
        with pytest.raises(NotFound):
            await scrubs.run(library="nobody")


class TestTelling:
    async def test_admins_are_told_once(self, scrubs: Scrubs) -> None:
        one, other = [await filed(scrubs.steps, data=picture(seed=seed)) for seed in range(2)]
        await scrubs.damage(await key_of(scrubs.world, one, "master"), "missing")
        for _ in range(2):
            await scrubs.run(quick=True)
            assert len(await scrubs.alerts()) == 1
        await scrubs.damage(await key_of(scrubs.world, other, "thumb"), "altered")
        await scrubs.run(quick=True)
        first, second = sorted(note.subject for note in await scrubs.alerts())
        assert first == "Alert: 1 altered in the object store"
        assert second == "Alert: 1 missing in the object store"
        assert len(await scrubs.findings()) == 2

    async def test_what_is_well_again_is_open_no_more(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps)
        key, stray = await key_of(scrubs.world, media_id, "thumb"), f"{scrubs.world.library.slug}/stray"
        data = await scrubs.world.store.get_bytes(key, max_bytes=10**6)
        await scrubs.world.store.delete(key)
        await scrubs.world.store.put(stray, JUNK, content_type="image/jpeg")
        await scrubs.run()
        assert len(await scrubs.findings()) == 2
        await scrubs.world.store.put(key, data, content_type="image/jpeg")
        await scrubs.world.store.delete(stray)
        await scrubs.run()
        assert await scrubs.findings() == {}
        ended = {one.state for one in (await scrubs.findings(state=None)).values()}
        assert ended == {FindingState.REPAIRED, FindingState.SETTLED}


class TestRepair:
    @pytest.mark.parametrize(
        ("verdict", "how", "parts"),
        [
            (Verdict.REJECT, "missing", ["master", "original", "medium"]),
            (Verdict.REJECT, "altered", ["backup", "thumb", "moderation"]),
            (Verdict.QUARANTINE, "altered", ["master", "medium"]),
            (Verdict.APPROVE, "missing", ["original", "thumb"]),
            (Verdict.APPROVE, "altered", ["medium"]),
        ],
    )
    async def test_everything_is_as_it_was(self, scrubs: Scrubs, verdict: Verdict, how: str, parts: list[str]) -> None:
        media_id = await filed(scrubs.steps, verdict)
        before = await scrubs.digests()
        keys = [await key_of(scrubs.world, media_id, part) for part in parts]
        for key in keys:
            await scrubs.damage(key, how)
        counts = await scrubs.run(repair=True)
        assert (counts.model_dump()[how], counts.repaired) == (len(parts), len(parts))
        assert await scrubs.digests() == before
        assert (await scrubs.findings(), await scrubs.alerts()) == ({}, [])
        ended = (await scrubs.findings(state=None)).values()
        assert {one.key: one.state for one in ended} == dict.fromkeys(keys, FindingState.REPAIRED)
        assert (await scrubs.world.timeline(media_id)).count("restored") == len(parts)
        async with scrubs.world.db.transaction() as tx:
            acts = await tx.audit.page(subject=f"media:{media_id}", limit=10)
        assert [act.action for act in acts] == ["storage.repaired"] * len(parts)

    async def test_a_sibling_of_an_approved_item(self, scrubs: Scrubs) -> None:
        await scrubs.world.configure(images={"siblings": ["webp"], "responsive": [320], "build": "eager"})
        media_id = await filed(scrubs.steps)
        await perform(
            Renditions(scrubs.steps.deps).build_renditions, RenditionInput(**scrubs.steps.ref(media_id).model_dump())
        )
        before = await scrubs.digests()
        for part in ("medium.webp", "w320"):
            await scrubs.damage(await key_of(scrubs.world, media_id, part), "missing")
        assert (await scrubs.run(repair=True)).repaired == 2
        assert await scrubs.digests() == before

    async def test_settings_that_changed_since_then(self, scrubs: Scrubs) -> None:
        """The bytes are others, and the row says so."""
        media_id = await filed(scrubs.steps)
        key = await key_of(scrubs.world, media_id, "original")
        before = await scrubs.world.store.sha256(key)
        await scrubs.world.configure(watermark={"text": "Ada"})
        await scrubs.damage(key, "missing")
        assert (await scrubs.run(repair=True)).repaired == 1
        assert await scrubs.world.store.sha256(key) != before
        assert (await scrubs.run()).altered == 0

    async def test_everything_at_once_but_the_backup(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps, Verdict.QUARANTINE)
        before = await scrubs.digests()
        backup = await key_of(scrubs.world, media_id, "backup")
        for key in before:
            if key != backup:
                await scrubs.damage(key, "missing")
        counts = await scrubs.run(repair=True, twice=True)
        assert counts.repaired <= len(before) - 1
        assert await scrubs.digests() == before
        assert await scrubs.findings() == {}

    async def test_an_item_under_moderation(self, scrubs: Scrubs) -> None:
        media_id = await scrubs.steps.submitted()
        key = await key_of(scrubs.world, media_id, "moderation")
        digest = await scrubs.world.store.sha256(key)
        await scrubs.damage(key, "missing")
        assert (await scrubs.run(repair=True)).repaired == 1
        assert await scrubs.world.store.sha256(key) == digest
        await scrubs.steps.file(media_id, Verdict.REJECT)

    async def test_an_approved_master_comes_from_the_same_file_elsewhere(self, scrubs: Scrubs) -> None:
        one, _ = [await filed(scrubs.steps, data=picture(seed=5)) for _ in range(2)]
        before = await scrubs.digests()
        await scrubs.damage(await key_of(scrubs.world, one, "master"), "altered")
        assert (await scrubs.run(repair=True)).repaired == 1
        assert await scrubs.digests() == before

    async def test_what_has_no_copy_is_told_of_once(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps)
        await scrubs.damage(await key_of(scrubs.world, media_id, "master"), "missing")
        await scrubs.damage(await key_of(scrubs.world, media_id, "medium"), "missing")
        scrubs.world.cached((await scrubs.world.media(media_id)).sha256 or "").unlink()  # workers keep one for a while
        for _ in range(2):
            assert (await scrubs.run(repair=True)).repaired == 0
        details = sorted(one.detail for one in (await scrubs.findings()).values())
        assert details == ["its master is lost or altered as well", "there is no intact copy of it here"]
        assert [note.subject for note in await scrubs.alerts()] == ["Alert: 2 missing in the object store"]

    async def test_on_hold_nothing_is_written_over(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps, Verdict.REJECT)
        await place_hold(scrubs.world.db, None, UUID(media_id), Actor("ada", "cli:ada"), reason="case 1")
        altered = [await key_of(scrubs.world, media_id, part) for part in ("master", "thumb")]
        for key in altered:
            await scrubs.damage(key, "altered")
        lost = await key_of(scrubs.world, media_id, "backup")
        await scrubs.damage(lost, "missing")
        counts = await scrubs.run(repair=True)
        assert (counts.altered, counts.missing, counts.repaired) == (2, 1, 0)
        for key in altered:
            assert await scrubs.world.store.get_bytes(key, max_bytes=100) == JUNK
        details = {one.key: one.detail for one in (await scrubs.findings()).values()}
        assert [details[key] for key in altered] == [ON_HOLD, ON_HOLD]

    async def test_without_being_asked_nothing_is_repaired(self, scrubs: Scrubs) -> None:
        media_id = await filed(scrubs.steps, Verdict.REJECT)
        await scrubs.damage(await key_of(scrubs.world, media_id, "master"), "missing")
        before = await scrubs.digests()
        assert (await scrubs.run()).repaired == 0
        assert await scrubs.digests() == before
