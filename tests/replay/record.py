"""`python -m tests.replay.record [BRANCH…]`: drive the gate through its branches on real services, keep the histories
and their fingerprints.

The services are started in a temporary folder and discarded afterwards. When to run it: see README.md.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError

from db import migrate
from db.session import Database
from devstack.discard import discard
from devstack.environment import settings_from
from devstack.stack import Options, running_stack
from mediagate import temporal, wiring
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from tests.replay import corpus, fingerprints
from tests.replay.branches import BRANCHES, Branch
from tests.world import PATIENCE, open_world
from worker import WORKFLOWS
from workflows.names import SEARCH_ATTRIBUTES


async def record(names: Sequence[str]) -> None:
    """Write one file for each of these branches."""
    with tempfile.TemporaryDirectory(prefix="mediagate-record-") as name:
        folder = Path(name)
        try:
            async with running_stack(folder, Options(apps=False, time_skipping=True)) as stack:
                os.environ.update({k: v for k, v in stack.environment.items() if k.startswith("TEMPORAL_")})
                await _record_on(
                    settings_from({**stack.environment, "MEDIAGATE_PUBLIC_URL": "http://gate.test"}), names
                )
        finally:
            await asyncio.to_thread(discard, folder)


async def _record_on(settings: Settings, names: Sequence[str]) -> None:
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate.upgrade, url)
    client = await temporal.connect()
    await temporal.register_search_attributes(client, SEARCH_ATTRIBUTES)
    async with AsyncExitStack() as stack:
        store = wiring.open_store(settings)
        stack.callback(store.close)
        await store.ensure_bucket()
        db = Database(url)
        stack.push_async_callback(db.close)
        for name in names:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            await _one(name, BRANCHES[name], settings, client, db, store, folder)


async def _one(
    name: str, branch: Branch, settings: Settings, client: Client, db: Database, store: S3Store, folder: Path
) -> None:
    async with db.transaction() as tx:
        library = await tx.access.ensure_library(f"lib-{uuid4().hex[:12]}", name="Replay", settings={})
    options = dict(branch.world)
    opening = {name: options.pop(name) for name in ("skip_time", "roles") if name in options}
    own = settings.model_copy(update=options)
    async with open_world(own, client, db, store, library, folder, **opening) as world:
        handle = client.get_workflow_handle(await branch.drive(world))
        async with asyncio.timeout(PATIENCE):
            with suppress(WorkflowFailureError):
                await handle.result()
        history = await handle.fetch_history()
    corpus.path_of(name).write_text(corpus.scrubbed(history), encoding="utf-8")
    taken = await fingerprints.taken(corpus.load(corpus.path_of(name)), WORKFLOWS)
    known = fingerprints.stored()
    did = "new" if name not in known else "as before" if known[name] == taken else "CHANGED"
    fingerprints.store({other: lines for other, lines in known.items() if other in BRANCHES} | {name: taken})
    sys.stdout.write(f"{name}: {len(history.events)} events, fingerprint {did}\n")


if __name__ == "__main__":
    corpus.FOLDER.mkdir(exist_ok=True)
    asyncio.run(record(sys.argv[1:] or list(BRANCHES)))
