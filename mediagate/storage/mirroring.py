"""Objects between stores: one at a time, by way of a file, so that memory does not grow with them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum

from mediagate.errors import ObjectMissing, StorageUnavailable
from mediagate.media.values import Value
from mediagate.scratch import scratch_folder
from mediagate.storage.store import ObjectStat, ObjectStore

_NO_LIMIT = 1 << 63
_TRIES = 5
"""So often an object may change under the copy before it is left for another time."""

Guard = Callable[[], Awaitable[None]]
"""Raises if what is about to be done may not be done any more."""


class Outcome(StrEnum):
    """What it took to make an object the same on both sides."""

    SAME = "same"
    COPIED = "copied"
    REMOVED = "removed"
    ABSENT = "absent"


class Mirrored(Value):
    """An object that is the same on both sides."""

    outcome: Outcome
    bytes: int = 0


async def transfer(source: ObjectStore, key: str, target: ObjectStore, to: str) -> str:
    """Copy an object into another store, content type included; the SHA-256 of its bytes. Idempotent.

    Raises:
        ObjectMissing: there is no source.
        StorageUnavailable: a store does not answer.
    """
    content_type = (await source.stat(key)).content_type
    with scratch_folder() as folder:
        file = folder / "object"
        sha256 = await source.download(key, file, max_bytes=_NO_LIMIT)
        await target.put(to, file, content_type=content_type, sha256=sha256)
    return sha256


async def mirror(source: ObjectStore, target: ObjectStore, key: str, guard: Guard) -> Mirrored:
    """Make `target` have of `key` what `source` has, read back and compared; nothing, if `source` has nothing.

    Others may write and delete meanwhile, each to `source` before `target`: if `source` was the same before and after,
    whatever they do comes after this. `guard` is asked before `target` is changed.

    Raises:
        StorageUnavailable: a store does not answer, or the object kept changing, or the copy does not read back as it
            was written.
    """
    before = await _seen(source, key)
    for _ in range(_TRIES):
        done = await _made_alike(source, target, key, before, guard)
        after = await _seen(source, key)
        if done and _alike(before, after):
            return done
        before = after
    raise StorageUnavailable(f"The object {key!r} keeps changing, or its copy does not read back as it was written.")


async def _made_alike(
    source: ObjectStore, target: ObjectStore, key: str, wanted: ObjectStat | None, guard: Guard
) -> Mirrored | None:
    """What was done; None if it did not come out, as when somebody else was at work."""
    present = await _seen(target, key)
    if wanted is None:
        if present is None:
            return Mirrored(outcome=Outcome.ABSENT)
        await guard()
        await target.delete(key)
        return Mirrored(outcome=Outcome.REMOVED)
    facts = (wanted.size, wanted.content_type)
    same_facts = present is not None and (present.size, present.content_type) == facts
    try:
        if same_facts and await source.sha256(key) == await target.sha256(key):
            return Mirrored(outcome=Outcome.SAME, bytes=wanted.size)
        await guard()
        sha256 = await transfer(source, key, target, key)
        alike = await target.sha256(key) == sha256
    except ObjectMissing:
        return None
    return Mirrored(outcome=Outcome.COPIED, bytes=wanted.size) if alike else None


async def _seen(store: ObjectStore, key: str) -> ObjectStat | None:
    try:
        return await store.stat(key)
    except ObjectMissing:
        return None


def _alike(one: ObjectStat | None, other: ObjectStat | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.size, one.etag, one.content_type) == (other.size, other.etag, other.content_type)


async def merged(*listings: AsyncIterator[ObjectStat]) -> AsyncIterator[dict[int, ObjectStat]]:
    """Listings in order of keys, as one: for each key what the listings that have it say, by their place."""
    heads = {}
    for place, listing in enumerate(listings):
        if first := await anext(listing, None):
            heads[place] = first
    while heads:
        key = min(stat.key for stat in heads.values())
        found = {place: stat for place, stat in heads.items() if stat.key == key}
        yield found
        for place in found:
            if following := await anext(listings[place], None):
                heads[place] = following
            else:
                del heads[place]
