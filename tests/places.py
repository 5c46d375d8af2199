"""A gate over several buckets of the session's object store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import delete
from sqlmodel import col
from temporalio.client import Client

from db.session import Database
from db.tables import Library, LibraryPlacement
from mediagate import wiring
from mediagate.settings import Settings, StoreSettings
from mediagate.storage.placement import DEFAULT, Placement, Placements
from mediagate.storage.routed import RoutedStore
from mediagate.storage.store import ObjectStore
from tests.world import PATIENCE, World, open_world
from workflows import store_client
from workflows.store_messages import StoreAct, StoreMoveInput, StoreMoveProgress

OTHER = "archive"
LEASE = 0.3
"""Seconds that tests can wait."""


@dataclass(frozen=True)
class Place:
    """A world whose libraries can be in either bucket, and the buckets themselves."""

    world: World
    stores: Mapping[str, ObjectStore]
    lease: float

    @property
    def slug(self) -> str:
        """The library's."""
        return self.world.library.slug

    async def placement(self) -> Placement:
        """Where the library is."""
        return await self.world.db.placement(self.slug)

    async def put_library(self, home: str) -> None:
        """Have an empty library live somewhere from its beginning."""
        async with self.world.db.transaction() as tx:
            library = await tx.access.library(self.slug, lock=True)
            assert library
            for step in ((DEFAULT, home), (home, DEFAULT), (home, None)):
                await tx.placements.change(library, *step)

    async def digests(self, store: str, slug: str | None = None) -> dict[str, str]:
        """The SHA-256 of everything that a bucket has of the library, by key."""
        found = [stat.key async for stat in self.stores[store].list(f"{slug or self.slug}/")]
        return {key: await self.stores[store].sha256(key) for key in found}

    def another(self) -> RoutedStore:
        """What another process has: the same buckets, and its own idea of where things are."""
        return RoutedStore(self.stores, Placements(self.world.db.placement, lease=self.lease))

    def job(self, act: StoreAct = StoreAct.MOVE, store: str = OTHER, **fields: Any) -> StoreMoveInput:
        """The input of a run; `grace` is none, and leases are short."""
        given = {"lease": timedelta(seconds=self.lease * 1.2), "grace": timedelta(0), "page": 20, **fields}
        return StoreMoveInput(library=self.slug, act=act, store=store, actor="ada", via="cli:ada", **given)


@asynccontextmanager
async def open_place(
    settings: Settings, client: Client, db: Database, library: Library, folder: Path, *, lease: float = 0
) -> AsyncIterator[Place]:
    """A world with a second bucket, which is made; without workers.

    `lease`: seconds; without one every process asks each time, and no move waits.
    """
    bucket = f"{settings.s3_bucket}-{uuid4().hex[:8]}"
    settings = settings.model_copy(update={"stores": {OTHER: StoreSettings(bucket=bucket)}})
    stores = wiring.open_stores(settings)
    async with AsyncExitStack() as stack:
        routed = RoutedStore(stores, Placements(db.placement, lease=lease))
        stack.callback(routed.close)
        await stores[OTHER].ensure_bucket()
        opening = open_world(settings, client, db, routed, library, folder, roles=())
        world = await stack.enter_async_context(opening)
        world = replace(world, deps=replace(world.deps, stores=stores))
        yield Place(world, stores, lease)
        async with db.transaction() as tx:  # the session's database: nobody else knows these stores
            await tx.session.execute(delete(LibraryPlacement).where(col(LibraryPlacement.library_id) == library.id))


def digest(data: bytes) -> str:
    """SHA-256, as digests are written here."""
    return hashlib.sha256(data).hexdigest()


async def ended(place: Place, job: StoreMoveInput) -> StoreMoveProgress:
    """What came of a run that is started, or joined."""
    async with asyncio.timeout(PATIENCE):
        return await store_client.result(await store_client.start(place.world.flows, job))


async def public(world: World, media_id: str) -> list[httpx.Response]:
    """What everybody gets of an item: all its pictures."""
    shown = await world.read(media_id)
    urls = [variant["url"].removeprefix(world.settings.public_url) for variant in shown["variants"]]
    assert urls
    return [await world.http.get(url, headers={"Authorization": ""}) for url in urls]
