"""What a fresh deployment needs before its first upload: schema, bucket, search attributes, a library, a key."""

import asyncio

from db import migrate
from db.session import Database, Transaction
from db.tables import ApiKey
from mediagate import temporal, wiring
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.errors import NotAuthenticated
from mediagate.settings import Settings
from workflows.names import SEARCH_ATTRIBUTES

DEMO_WATERMARK = {"text": "mediagate demo", "position": "bottom-right", "opacity": 0.6}


async def provision(settings: Settings, *, library: str, api_key: str | None) -> str:
    """Make what is missing; the API key of the library comes back, a new one unless the given one is valid.

    Raises:
        DatabaseUnavailable, StorageUnavailable: a part does not answer.
    """
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate.upgrade, url)
    store = wiring.open_store(settings)
    try:
        await store.ensure_bucket(["*"])
    finally:
        store.close()
    client = await temporal.connect()
    await temporal.register_search_attributes(client, SEARCH_ATTRIBUTES)
    db = Database(url, pool_size=1)
    try:
        return await _library_and_key(db, library, api_key)
    finally:
        await db.close()


async def _library_and_key(db: Database, slug: str, api_key: str | None) -> str:
    async with db.transaction() as tx:
        library = await tx.access.ensure_library(slug, name=slug.capitalize(), settings={"watermark": DEMO_WATERMARK})
        if api_key and await _is_valid(tx, api_key):
            return api_key
        issued = api_keys.issue()
        tx.access.add_key(
            ApiKey(
                prefix=issued.prefix,
                digest=issued.digest,
                name="local stack",
                library_id=library.id,
                scopes=[scope.value for scope in (Scope.UPLOADS_WRITE, Scope.MEDIA_READ, Scope.REVIEW_WRITE)],
            )
        )
    return issued.token


async def _is_valid(tx: Transaction, token: str) -> bool:
    try:
        prefix, _ = api_keys.parse(token)
    except NotAuthenticated:
        return False
    key = await tx.access.valid_key(prefix)
    return key is not None and api_keys.matches(token, key.digest)
