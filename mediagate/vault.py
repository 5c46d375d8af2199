"""The vault: sealing something into the locked store, and opening it again."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediagate.evidence.canonical import canonical
from mediagate.evidence.chain import Chain, Link
from mediagate.evidence.keys import KeyWrapper, WrappedKey
from mediagate.evidence.sealing import Context, Opener, SealingWriter, new_data_key
from mediagate.storage import keys
from mediagate.storage.locked import LockedStore

SEALED_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class SealedObject:
    """What must be remembered of a sealed object to find it, to open it and to know it again."""

    key: str
    version: str
    size: int
    """Bytes of the plaintext."""
    sha256: str
    """Of the plaintext."""
    sealed_sha256: str
    """Of what stands in the store."""
    wrapped: WrappedKey


@dataclass(frozen=True)
class Vault:
    """Keys, locked store, and how long it keeps what is put."""

    keys: KeyWrapper
    store: LockedStore
    retention: timedelta

    def retain_until(self, now: datetime) -> datetime:
        """When what is put now may be deleted; whole seconds, as stores keep them."""
        return (now.astimezone(UTC) + self.retention).replace(microsecond=0) + timedelta(seconds=1)

    async def seal(
        self, key: str, context: Context, write: Callable[[SealingWriter], None], *, retain_until: datetime
    ) -> SealedObject:
        """Seal what `write`, called in a thread, writes, and put it under a lock.

        The sealed bytes stand on this machine's disk meanwhile, in a file without a name; plaintext is not written.

        Raises:
            EvidenceKeyMissing, StorageUnavailable: try again; at worst a version that nobody can open is left.
        """
        data_key = new_data_key()
        wrapped = await self.keys.wrap(data_key, context)
        with tempfile.TemporaryFile() as file:
            writer = SealingWriter(file, data_key, context)
            await asyncio.to_thread(_write_all, writer, write)
            version = await self.store.put_locked(key, file, content_type=SEALED_TYPE, retain_until=retain_until)
        return SealedObject(key, version, writer.size, writer.sha256, writer.sealed_sha256, wrapped)

    async def open(self, sealed: SealedObject, context: Context) -> AsyncIterator[bytes]:
        """The plaintext; every piece of it was authenticated, and its end is reached only if nothing is missing.

        Raises:
            ObjectMissing, ObjectCorrupt: the object is gone, or is not what was sealed there.
            EvidenceKeyMissing: its key is not here.
        """
        opener = Opener(await self.keys.unwrap(sealed.wrapped, context), context)
        async for chunk in self.store.stream(sealed.key, version=sealed.version):
            if piece := opener.update(chunk):
                yield piece
        yield opener.finish()

    async def put_checkpoint(self, chain: Chain, link: Link, *, now: datetime) -> None:
        """Note under a lock how far a chain went. A second time it adds another version, which changes nothing."""
        document = canonical({"chain": chain.value, "seq": link.seq, "hash": link.hash, "at": now})
        await self.store.put_locked(
            keys.checkpoint(chain.value, link.seq, link.hash),
            io.BytesIO(document),
            content_type="application/json",
            retain_until=self.retain_until(now),
        )

    async def checkpoints(self, chain: Chain) -> dict[int, set[str]]:
        """Every hash that was ever noted, by `seq`."""
        found: dict[int, set[str]] = {}
        async for key in self.store.keys(keys.checkpoints(chain.value)):
            if parsed := keys.parse_checkpoint(key):
                found.setdefault(parsed[0], set()).add(parsed[1])
        return found


def _write_all(writer: SealingWriter, write: Callable[[SealingWriter], None]) -> None:
    write(writer)
    writer.close()
