"""How the commands about evidence reach it, and who they say it was."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import UUID

from cli.local_stack import adopt_local_stack
from db.session import Database
from db.tables import EvidenceRecord
from mediagate import wiring
from mediagate.errors import Conflict, EvidenceKeyMissing, NotFound
from mediagate.settings import Settings
from mediagate.vault import Vault

T = TypeVar("T")


def with_vault(act: Callable[[Database, Vault | None], Awaitable[T]]) -> T:
    """Act on the services that the environment, or the local stack, names; no keys: no vault."""
    adopt_local_stack()
    settings = Settings()

    async def acting() -> T:
        db, vault = Database(settings.database_url.get_secret_value(), pool_size=1), wiring.open_vault(settings)
        try:
            return await act(db, vault)
        finally:
            if vault:
                vault.store.close()
            await db.close()

    return asyncio.run(acting())


def needed(vault: Vault | None) -> Vault:
    """The vault. Raises EvidenceKeyMissing without keys."""
    if vault is None:
        raise EvidenceKeyMissing
    return vault


async def record_of(db: Database, evidence_id: UUID) -> EvidenceRecord:
    """One record. Raises NotFound."""
    async with db.transaction() as tx:
        record = await tx.evidence.get(evidence_id)
    if record is None:
        raise NotFound("There is no evidence with this id.")
    return record


async def write_new(pieces: AsyncIterator[bytes], out: Path) -> None:
    """Write a new file. Raises Conflict if it cannot be made, or is there."""
    with _new_file(out) as file:
        async for piece in pieces:
            file.write(piece)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, readable by its owner only; none is left if it did not become complete."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Conflict(f"{path} cannot be made: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
