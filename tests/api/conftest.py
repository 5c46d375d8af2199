"""A gate without workers: what is accepted waits, so that these tests are about HTTP alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from db.session import Database
from db.tables import Library
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from tests.world import World, open_world


@pytest.fixture
async def quiet_world(
    stack_settings: Settings, temporal_client: Client, db: Database, store: S3Store, library: Library, tmp_path: Path
) -> AsyncIterator[World]:
    """As `world`, but nobody works on what is accepted."""
    opening = open_world(stack_settings, temporal_client, db, store, library, tmp_path, roles=())
    async with opening as opened:
        yield opened


@pytest.fixture
async def other_library(db: Database) -> Library:
    """Another tenant."""
    async with db.transaction() as tx:
        return await tx.access.ensure_library(f"other-{uuid4().hex[:12]}", name="Other", settings={})
