"""What the sweep does for storage: usage added up, purges that are owed started, too little room told of once."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from mediagate.errors import Unavailable

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Database, Transaction
    from db.tables import StorageSpace
    from mediagate.settings import Settings

log = structlog.get_logger()

STORE = "store"
"""The name of the object store among places with room."""
MARGIN = 0.05
"""Share of a place by which use must fall below the alert's before the incident is over."""
ROOMY = 50 * 2**30
"""Free bytes of a disk that are enough, however large it is."""
TELL_EVERY = 60.0
"""Seconds between two looks of a process at its disks."""
SILENT = timedelta(hours=1)
"""After which a process that told nothing of its disks is gone, and its alert with it."""
_FOLDED = 20_000


async def tend(deps: Deps, *, purges_after: timedelta, limit: int) -> None:
    """Everything above, once. Idempotent."""
    from activities.retaining import start_purge
    from db.tables import now

    async with deps.db.transaction() as tx:
        await tx.storage.fold(limit=_FOLDED)
    async with deps.db.transaction() as tx:
        owed = await tx.trash.unpurged(now() - purges_after, limit)
    for item, library in owed:
        await start_purge(deps, item.media_id, library.slug)
    await watch(deps.db, deps.settings)


async def watch(db: Database, settings: Settings) -> None:
    """Compare every place with the share that is too much; tell admins when an incident begins. Idempotent."""
    from db.tables import now

    async with db.transaction() as tx:
        if settings.store_capacity:
            used = sum(held.bytes for held in await tx.storage.totals() if held.kind != "announced")
            await tx.storage.tell_space(STORE, used=used, size=settings.store_capacity)
        await tx.storage.forget_spaces(now() - SILENT)
        for space in await tx.storage.spaces(lock=True):
            share = space.used / max(space.size, 1)
            roomy = space.name != STORE and space.size - space.used >= ROOMY
            if space.short_since is None and share >= settings.space_alert and not roomy:
                await tx.storage.mark_short(space.name, now())
                await _alert(tx, space, share)
                log.warning("storage.short", place=space.name, used=space.used, size=space.size)
            elif space.short_since and (share < settings.space_alert - MARGIN or roomy):
                await tx.storage.mark_short(space.name, None)
                log.info("storage.roomy", place=space.name, used=space.used, size=space.size)


async def _alert(tx: Transaction, space: StorageSpace, share: float) -> None:
    from db.tables import Notification, now
    from mediagate.notify.render import MailKind, render

    facts = {
        "title": f"{space.name} is {share:.0%} full",
        "detail": f"{space.used} of {space.size} bytes are in use. When it is full, uploads fail.",
        "since": f"{now():%Y-%m-%d %H:%M} UTC",
    }
    subject, body = render(MailKind.SYSTEM_ALERT, facts)
    key = f"space:{space.name}:{now().isoformat()}"
    kind = MailKind.SYSTEM_ALERT.value
    await tx.notifications.put(Notification(key=key, kind=kind, subject=subject, body=body))


def disks(folders: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Used and whole bytes of the file systems that these folders are, or will be, on; each once, by name."""
    found: dict[int, tuple[str, tuple[int, int]]] = {}
    for folder in folders:
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        usage = shutil.disk_usage(there)
        name = f"disk:{socket.gethostname()}:{there}"
        # As `df` counts: what is neither used nor free for us is not ours.
        found.setdefault(there.stat().st_dev, (name, (usage.used, usage.used + usage.free)))
    return dict(found.values())


@asynccontextmanager
async def telling_of_disks(db: Database, settings: Settings) -> AsyncIterator[None]:
    """For the time of the block, tell now and then how full the disks of this process are."""
    folders = [settings.state_dir, settings.cache_dir or settings.state_dir]

    async def tell() -> None:
        while True:
            with suppress(Unavailable, OSError):  # the next look may succeed; nobody waits for this one
                seen = await asyncio.to_thread(disks, folders)
                async with db.transaction() as tx:
                    for name, (used, size) in seen.items():
                        await tx.storage.tell_space(name, used=used, size=size)
            await asyncio.sleep(TELL_EVERY)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
