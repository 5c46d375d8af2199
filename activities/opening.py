"""The outside world, opened as the settings say: for a worker, and for benches that call the steps without one."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.client import Client

from activities.deps import Deps
from activities.sources import SourceCache
from activities.storage_usage import telling_of_disks
from db.flag_feed import open_flags
from db.session import Database
from mediagate import wiring
from mediagate.access.delivery import DeliverySigner
from mediagate.imaging import MemoryBudget
from mediagate.imaging.pool import PicturePool
from mediagate.settings import Settings
from workflows.client import Flows
from workflows.names import DEFAULT_PREFIX


@asynccontextmanager
async def open_deps(settings: Settings, client: Client, *, prefix: str = DEFAULT_PREFIX) -> AsyncIterator[Deps]:
    """The outside world of the activities, closed at the end of the block."""
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
        stack.push_async_callback(db.close)
        await stack.enter_async_context(telling_of_disks(db, settings))
        stores = wiring.open_stores(settings)
        store = wiring.routed(stores, db.placement)
        stack.callback(store.close)
        import_sources = wiring.open_import_sources(settings)
        for source in import_sources.values():
            stack.callback(source.close)
        url, environment = settings.database_url.get_secret_value(), settings.environment
        flags = await stack.enter_async_context(open_flags(db, url, environment=environment))
        vendors = await stack.enter_async_context(wiring.open_vendors(settings))
        purger = await stack.enter_async_context(wiring.open_purger(settings))
        if vault := wiring.open_vault(settings):
            stack.callback(vault.store.close)
        budget = MemoryBudget(settings.memory_budget or _quarter_of_ram())
        pictures = PicturePool(settings.cpu_slots, budget, time_limit=settings.picture_time_limit)
        stack.callback(pictures.close)
        cache = settings.cache_dir or settings.state_dir / "cache" / "sources"
        yield Deps(
            settings=settings,
            db=db,
            store=store,
            stores=stores,
            sources=SourceCache(cache, store, max_bytes=settings.cache_bytes),
            vendors=vendors,
            mailer=wiring.open_mailer(settings),
            flows=Flows(client, prefix=prefix),
            pictures=pictures,
            signer=DeliverySigner(settings.delivery_secrets),
            purger=purger,
            scanner=wiring.open_scanner(settings),
            vault=vault,
            flags=flags,
            import_sources=import_sources,
        )


def _quarter_of_ram() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
