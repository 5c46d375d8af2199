"""What the gate's own detectors say of an item, before any vendor is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.session import Transaction
    from db.tables import Library, Media
    from mediagate.moderation.findings import VendorEvent


async def detected(tx: Transaction, media: Media, library: Library, phash: int | None) -> list[VendorEvent]:
    """The words of all of them, with event ids that are the same each time. `phash`: as `mediagate.imaging.hashing`."""
    return [*await _in_banks(tx, media, library, phash), *await _in_texts(tx, media, library)]


async def _in_banks(
    tx: Transaction,  # noqa: ARG001
    media: Media,  # noqa: ARG001
    library: Library,  # noqa: ARG001
    phash: int | None,  # noqa: ARG001
) -> list[VendorEvent]:
    return []


async def _in_texts(tx: Transaction, media: Media, library: Library) -> list[VendorEvent]:  # noqa: ARG001
    return []
