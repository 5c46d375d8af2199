"""A library on its way to another bucket while it is read, uploaded to and changed."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from db.session import Database
from db.tables import Library
from mediagate.errors import ObjectMissing
from mediagate.media.values import Status
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.placement import DEFAULT, Placement
from tests.places import LEASE, OTHER, Place, digest, ended, open_place, public
from tests.workflows import runs
from tests.world import picture
from workflows.store_messages import StoreStage

JPEG = "image/jpeg"


@pytest.fixture
async def real(
    stack_settings: Settings, temporal_client: Client, db: Database, library: Library, tmp_path: Path
) -> AsyncIterator[Place]:
    """Without workers, and with leases."""
    async with open_place(stack_settings, temporal_client, db, library, tmp_path, lease=LEASE) as opened:
        yield opened


class TestMove:
    async def test_while_uploads_and_reads_go_on(self, real: Place) -> None:
        """Forty items; every reader and writer is like a process of its own, and at the end all bytes are compared."""
        stop, wrong = asyncio.Event(), list[object]()
        async with real.world.workers(store=real.another()):
            shown = await runs.to_approved(real.world)
            for n in range(39):  # filed before
                for name in ("original", "thumb"):
                    key = f"{real.slug}/media/approved/{uuid4()}/{name}.jpg"
                    await real.world.store.put(key, picture(64, 48, seed=n), content_type=JPEG)
            before = await real.digests(DEFAULT)
            async with asyncio.TaskGroup() as others:
                others.create_task(_reads(real, shown, stop, wrong))
                others.create_task(_compares(real, before, stop, wrong))
                changing = others.create_task(_changes(real, stop, wrong))
                uploading = others.create_task(_uploads(real, stop))
                done = await ended(real, real.job())
                stop.set()
            masters = dict[str, str]()
            for media_id in uploading.result():
                row = await real.world.until(media_id, Status.AWAITING_MODERATION)
                masters[row.master_key or ""] = row.sha256 or ""
        assert wrong == []
        assert (done.stage, done.source, done.store) == (StoreStage.DONE, DEFAULT, OTHER)
        assert len(masters) > 3
        assert await real.digests(OTHER) == {**before, **masters, **changing.result()}
        assert await real.digests(DEFAULT) == {}
        assert await real.placement() == Placement(home=OTHER, version=3)


async def _reads(place: Place, media_id: str, stop: asyncio.Event, wrong: list[object]) -> None:
    """As the public does."""
    while not stop.is_set():
        wrong.extend(answer for answer in await public(place.world, media_id) if answer.status_code != 200)


async def _compares(place: Place, digests: Mapping[str, str], stop: asyncio.Event, wrong: list[object]) -> None:
    """What nobody changes stays as it is, by key and in listings."""
    store = place.another()
    while not stop.is_set():
        for key, sha256 in digests.items():
            if await store.sha256(key) != sha256:
                wrong.append(key)
        wrong.extend({*digests} - {stat.key async for stat in store.list(f"{place.slug}/")})


async def _uploads(place: Place, stop: asyncio.Event) -> list[str]:
    """Media ids."""
    uploaded = list[str]()
    while not stop.is_set():
        uploaded.append(await place.world.upload(picture(seed=len(uploaded))))
    return uploaded


async def _changes(place: Place, stop: asyncio.Event, wrong: list[object]) -> dict[str, str]:
    """One process writes, copies and deletes, and another one sees it at once; what is left, with its digests."""
    mine, theirs, left = place.another(), place.another(), dict[str, str]()
    names = [keys.master(place.slug, str(uuid4())) for _ in range(4)]
    for n in itertools.count():
        if stop.is_set():
            return left
        one, other = names[n % 4], names[(n + 1) % 4]
        left[one] = digest(b"%d" % n)
        await mine.put(one, b"%d" % n, content_type=JPEG)
        await mine.copy(one, other)
        left[other] = left[one]
        if [await theirs.sha256(one), await theirs.sha256(other)] != [left[one]] * 2:
            wrong.append((n, "old bytes"))
        if n % 3 == 0:
            await mine.delete_all([one])
            del left[one]
            with suppress(ObjectMissing):
                wrong.append(await theirs.stat(one))
    raise AssertionError
