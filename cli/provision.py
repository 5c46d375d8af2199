"""What a fresh deployment needs before its first upload: schema, bucket, search attributes, a library, a key."""

import asyncio
from collections.abc import Mapping
from typing import Any

from temporalio.service import RPCError

from cli.database_backups import migrate_with_backup
from db.session import Database, Transaction
from db.tables import ApiKey, Library
from mediagate import temporal, wiring
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.errors import InvalidRequest, NotAuthenticated, WorkflowsUnavailable
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.placement import DEFAULT
from workflows.names import SEARCH_ATTRIBUTES

SCOPES = (Scope.UPLOADS_WRITE, Scope.MEDIA_READ, Scope.REVIEW_WRITE)
DEMO_WATERMARK = {"text": "mediagate demo", "position": "bottom-right", "opacity": 0.6}


async def provision(settings: Settings, *, library: str, api_key: str | None) -> str:
    """Make what is missing; the API key of the local stack's library, a new one unless the given one is valid.

    Raises:
        DatabaseUnavailable, StorageUnavailable: a part does not answer.
        InvalidRequest: the library cannot have this name.
    """
    await prepare(settings)
    return await library_and_key(settings, library, given=api_key, watermark=DEMO_WATERMARK)


async def prepare(settings: Settings, *, backup: bool = True) -> None:
    """Schema, bucket and search attributes. Idempotent. `backup`: of a database that migrations are to change.

    Raises:
        DatabaseUnavailable, StorageUnavailable, WorkflowsUnavailable: a part does not answer.
        NotFound, BackupFailed: there is no backup, so nothing was migrated.
    """
    await asyncio.to_thread(migrate_with_backup, settings, backed_up=backup)
    for name, store in wiring.open_stores(settings).items():
        try:
            await store.ensure_bucket([settings.public_url.rstrip("/")] if name == DEFAULT else ())
        finally:
            store.close()
    if vault := wiring.open_vault(settings):
        try:
            await vault.store.ensure_locked_bucket()
        finally:
            vault.store.close()
    try:
        client = await temporal.connect()
        await temporal.register_search_attributes(client, SEARCH_ATTRIBUTES)
    except (RPCError, RuntimeError) as error:
        raise WorkflowsUnavailable(f"The Temporal service does not answer: {error}") from error


async def library_and_key(
    settings: Settings, slug: str, *, given: str | None = None, watermark: Mapping[str, Any] | None = None
) -> str:
    """A key of the library, which is made if it does not exist: the given one if it is valid, else a new one."""
    try:
        keys.library_folder(slug)
    except ValueError as error:
        raise InvalidRequest(f"{error} A library's name has 1 to 63 of a-z, 0-9 and -.") from error
    db = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with db.transaction() as tx:
            own = {"watermark": dict(watermark)} if watermark else {}
            library = await tx.access.ensure_library(slug, name=slug.capitalize(), settings=own)
            if given and await _is_valid(tx, given, library):
                return given
            issued = api_keys.issue()
            scopes = [scope.value for scope in SCOPES]
            key = ApiKey(
                prefix=issued.prefix, digest=issued.digest, name="first key", library_id=library.id, scopes=scopes
            )
            tx.access.add_key(key)
        return issued.token
    finally:
        await db.close()


async def _is_valid(tx: Transaction, token: str, library: Library) -> bool:
    try:
        prefix, _ = api_keys.parse(token)
    except NotAuthenticated:
        return False
    key = await tx.access.valid_key(prefix)
    return key is not None and key.library_id == library.id and api_keys.matches(token, key.digest)
