"""Restricted items whose evidence is sealed, for tests of what becomes of it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import psycopg
from pydantic import SecretStr

from activities.evidence import Evidence
from db import migrate
from db.tables import EvidenceRecord, InboxEvent, MediaDecision
from mediagate.media.values import Status
from mediagate.settings import Settings
from mediagate.vault import Vault
from tests.world import World, picture
from workflows.messages import SealInput


def sealing_keys(*names: str) -> tuple[SecretStr, ...]:
    """Settings of key-encryption keys, the same secret for the same name."""
    return tuple(
        SecretStr(f"{name}:{base64.b64encode(name.encode().ljust(32, b'.')).decode()}") for name in names or ("k1",)
    )


@contextmanager
def migrated_database(settings: Settings) -> Iterator[str]:
    """The URL of a migrated database without a row, to be copied; nobody may connect to it."""
    with new_database(settings.database_url.get_secret_value(), "") as url:
        migrate.upgrade(url)
        yield url


@contextmanager
def copy_of(template: str) -> Iterator[str]:
    """The URL of a copy of such a database, for tests that look at whole chains."""
    base, _, name = template.rpartition("/")
    with new_database(f"{base}/postgres", f'TEMPLATE "{name}"') as url:
        yield url


@contextmanager
def new_database(admin_url: str, options: str) -> Iterator[str]:
    """The URL of a database without a table, for the time of the block. `options`: of CREATE DATABASE."""
    name = f"copy_{uuid4().hex[:12]}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" {options}'.encode())
        yield f"{admin_url.rpartition('/')[0]}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


RAW = b'{"event_id": "1", "verdict": "reject", "caf\xc3\xa9": 1}'
"""What the vendor sent about every item here, to the byte."""


@dataclass(frozen=True)
class Restricted:
    """An item that was rejected by its policy, and the bytes that were uploaded."""

    media_id: str
    data: bytes


async def restricted(world: World, *, data: bytes = b"", decided_by: str = "policy", round_: int = 0) -> Restricted:
    """As an upload that was rejected and filed leaves it, but without a run."""
    data = data or picture()
    media_id = await world.seal(data, status=Status.REJECTED, reason="policy:nudity")
    async with world.db.transaction() as tx:
        await tx.inbox.store(
            InboxEvent(vendor="memory", event_id=uuid4().hex, media_id=UUID(media_id), event={"a": 1}, body=RAW)
        )
        await tx.decisions.record(
            MediaDecision(
                media_id=UUID(media_id),
                round=round_,
                final=True,
                verdict="reject",
                policy_version="v7",
                reasons=[{"code": "policy:nudity", "detail": "0.97"}],
                findings=[{"category": "nudity", "score": 0.97}],
                decided_by=decided_by,
            )
        )
        await tx.media.record(UUID(media_id), "decided:0:True", "decided", {"verdict": "reject"})
    return Restricted(media_id, data)


async def seal(world: World, media_id: str, *, round_: int = 0, vault: Vault | None = None) -> EvidenceRecord:
    """Seal it, outside an activity; the record."""
    deps = replace(world.deps, vault=vault) if vault else world.deps
    await Evidence(deps).seal(SealInput(media_id=media_id, library=world.library.slug, round=round_))
    async with world.db.transaction() as tx:
        record = await tx.evidence.of_round(UUID(media_id), round_)
    assert record
    return record


async def sealed(world: World, *, vault: Vault | None = None) -> EvidenceRecord:
    """The evidence of an item that was rejected; in the world's own vault, unless it is given another one."""
    return await seal(world, (await restricted(world)).media_id, vault=vault)
