"""Copies that are trusted only after they were read back."""

from enum import StrEnum

from mediagate.errors import ObjectCorrupt, ObjectMissing, StorageUnavailable
from mediagate.storage.store import ObjectStore


class Standing(StrEnum):
    """How an object compares with its recorded digest."""

    INTACT = "intact"
    ALTERED = "altered"
    MISSING = "missing"


async def standing(store: ObjectStore, key: str, sha256: str) -> Standing:
    """Read the whole object and compare it."""
    try:
        return Standing.INTACT if await store.sha256(key) == sha256 else Standing.ALTERED
    except ObjectMissing:
        return Standing.MISSING


async def copy_verified(store: ObjectStore, source: str, target: str, sha256: str) -> None:
    """Copy unless an intact copy stands there, then read the copy back and compare. Idempotent.

    Raises:
        ObjectMissing: there is no source.
        ObjectCorrupt: the source's bytes are not those that were recorded; no copy of them is left.
        StorageUnavailable: the copy does not read back as it was written, or the store is away; try again.
    """
    if await standing(store, target, sha256) is Standing.INTACT:
        await store.spread(target)  # of a library that moves, an attempt before this one may have reached one side
        return
    await store.copy(source, target)
    if await standing(store, target, sha256) is Standing.INTACT:
        return
    if await standing(store, source, sha256) is not Standing.INTACT:
        await store.delete(target)  # a copy of wrong bytes, where only verified ones may stand
        raise ObjectCorrupt(f"The object {source} no longer has the SHA-256 that was recorded for it.")
    raise StorageUnavailable(f"The copy {target} does not read back as it was written.")
