"""The long work that a gate does beside uploads, as a test has it done while things are killed: an import, a move
between stores, scrubs that repair, retention."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from activities.evidence_access import place_hold
from db.repositories.audit import Actor
from db.session import Database
from db.tables import ApiKey
from mediagate import wiring
from mediagate.access import api_keys
from mediagate.errors import ObjectMissing, Unavailable
from mediagate.media.values import Status
from mediagate.storage.s3 import S3Store
from tests.chaos.killable import KillableStack
from tests.chaos.manifests import JPEG, MOST_BYTES, Line
from tests.chaos.waits import reason
from workflows import storage_client, store_client
from workflows.client import Flows
from workflows.names import import_id, store_move_id
from workflows.operations.runs import described
from workflows.storage_messages import RetentionInput, ScrubInput
from workflows.store_messages import StoreAct, StoreMoveInput

T = TypeVar("T")

OTHER = "archive"
"""The store that the library moves to."""
SOURCE, IMPORTING = "camera", "photos"
"""Where objects are imported from, and the library that imports them."""
ADA = Actor("ada", "cli:ada")
DAYS = 5
"""For which the library that moves keeps what is decided."""


LONGEST_AWAY = 60.0
"""Seconds that a part may be away."""


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """What the call brings, as soon as the parts that it needs are there."""
    deadline = time.monotonic() + LONGEST_AWAY
    while True:
        try:
            return await call()
        except (Unavailable, RPCError, RuntimeError, psycopg.OperationalError, httpx.TransportError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.3)


@dataclass
class Care:
    """Who gives the orders, and what they have come to so far."""

    stack: KillableStack
    http: httpx.AsyncClient
    """With an admin's key for all libraries."""
    stores: Mapping[str, S3Store]
    db: Database
    lines: list[Line] = field(default_factory=list)
    import_id: str = ""
    paused: list[datetime] = field(default_factory=list)
    """Between these two moments nothing may begin."""
    waiting: int = 0
    """Objects that had not begun when the import was paused."""
    broken: dict[str, str | None] = field(default_factory=dict)
    """Key → SHA-256 of the bytes that were put there in place of the right ones; None: deleted."""
    held: set[UUID] = field(default_factory=set)
    aged: set[UUID] = field(default_factory=set)
    """Items whose time is up."""
    started: dict[str, int] = field(default_factory=dict)
    """Id of a workflow → how often it was asked for."""

    async def flows(self) -> Flows:
        """The way to the workflow service."""
        return Flows(await self.stack.temporal())

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What the database says."""
        with psycopg.connect(
            self.stack.addresses["database_url"], connect_timeout=5, row_factory=dict_row
        ) as connection:
            done = connection.execute(query.encode(), values or None)
            return done.fetchall() if done.description else []

    # The import

    async def stock(self, lines: list[Line]) -> None:
        """Put the manifest's objects into the source."""
        self.lines = lines
        store = wiring.open_import_sources(self.stack.settings)[SOURCE]
        try:
            await store.ensure_bucket()
            for line in lines:
                if line.data is not None:
                    await store.put(line.key, line.data, content_type=line.content_type)
        finally:
            store.close()

    async def begin_import(self) -> None:
        """Send the manifest."""
        body = "\n".join(json.dumps({"key": line.key, **line.fields}) for line in self.lines)
        headers = {"Content-Type": "application/jsonl", "Idempotency-Key": "the-import"}
        path = f"/libraries/{IMPORTING}/imports?source={SOURCE}"
        begun = await self._answer("POST", path, content=body, headers=headers)
        assert begun.status_code == 202, begun.text
        self.import_id = begun.json()["id"]

    async def pause(self) -> None:
        """Pause the import; from the answer on nothing of it may begin."""
        shown = await self._order("pause", {"paused"})
        self.paused, self.waiting = [shown["seen_at"]], shown["waiting"]

    async def resume(self) -> None:
        """Let it go on."""
        self.paused.append(await insist(self._now))
        await self._order("resume", {"importing", "done"})

    async def _order(self, act: str, wanted: set[str]) -> dict[str, Any]:
        path = f"/libraries/{IMPORTING}/imports/{self.import_id}"

        async def ask() -> dict[str, Any]:
            answer = await self._answer("POST", f"{path}/{act}")
            assert answer.status_code in {200, 409}, answer.text  # 409 also: an attempt without an answer did it
            shown: dict[str, Any] = (await self._answer("GET", path)).json()
            if shown["state"] not in wanted:
                raise Unavailable(f"{act}: it is {shown['state']}")
            return shown

        return {**await insist(ask), "seen_at": await insist(self._now)}

    async def _now(self) -> datetime:
        (row,) = self.rows("SELECT clock_timestamp() AS at")
        found: datetime = row["at"]
        return found

    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self.http.request(method, path, **request)
            busy = answer.status_code == 409 and answer.json()["code"] == "request_in_progress"
            if answer.status_code >= 500 or busy:
                raise Unavailable(f"{answer.status_code}: {answer.text}")
            return answer

        return await insist(ask)

    # The move

    async def move(self) -> None:
        """Have the library live in the other store."""
        slug = self.stack.addresses["library"]
        job = StoreMoveInput(
            library=slug,
            act=StoreAct.MOVE,
            store=OTHER,
            actor=ADA.name,
            via=ADA.via,
            page=3,
            at_once=1,
            grace=timedelta(seconds=2),
        )

        async def start() -> None:
            await store_client.start(await self.flows(), job)

        await insist(start)
        self._asked(store_move_id(slug))

    # Scrubs

    async def scrub(self, **choices: Any) -> str:
        """Begin a scrub of everything that repairs, or join the one that is under way; the id of its workflow."""
        job = ScrubInput(actor=ADA.name, via=ADA.via, **{"repair": True, "items": 4, "keys": 100, **choices})

        async def start() -> str:
            return (await storage_client.start_scrub(await self.flows(), job)).id

        return self._asked(await insist(start))

    async def keys_of(self, media_id: UUID) -> dict[str, str]:
        """The keys of an item's objects by what they are."""

        async def look() -> dict[str, str]:
            found = self.rows("SELECT name, key FROM variant WHERE media_id = %s", media_id)
            (own,) = self.rows("SELECT master_key AS master, backup_key AS backup FROM media WHERE id = %s", media_id)
            return {row["name"]: row["key"] for row in found} | own

        return await insist(look)

    async def damage(self, key: str, *, alter: bool) -> None:
        """Lose or alter an object, wherever it is."""
        other = b"other bytes of " + key.encode()
        self.broken[key] = sha256(other).hexdigest() if alter else None
        for store in self.stores.values():
            await insist(lambda store=store: self._damage(store, key, other if alter else None))  # type: ignore[misc]

    async def _damage(self, store: S3Store, key: str, data: bytes | None) -> None:
        try:
            await store.stat(key)
        except ObjectMissing:
            return
        if data is None:
            await store.delete(key)
        else:
            await store.put(key, data, content_type=JPEG)

    # Retention

    async def hold(self, media_id: UUID) -> None:
        """Put an item on legal hold."""
        await place_hold(self.db, None, media_id, ADA, reason="a case")
        self.held.add(media_id)

    async def age(self, media_ids: Sequence[UUID]) -> None:
        """Make items so old that their time is up."""
        old, change = timedelta(days=DAYS + 4), "created_at = %s, updated_at = %s, filed_at = %s"
        at = datetime.now(UTC) - old

        async def alter() -> None:
            self.rows(f"UPDATE media SET {change} WHERE id = ANY (%s)", at, at, at, list(media_ids))

        await insist(alter)
        self.aged |= set(media_ids)

    async def retain(self) -> str:
        """Begin a retention of every library, or join the one that is under way; the id of its workflow."""
        job = RetentionInput(actor=ADA.name, via=ADA.via, limit=2, stretch=4)

        async def start() -> str:
            return (await storage_client.start_retention(await self.flows(), job)).id

        return self._asked(await insist(start))

    # Ends

    async def open_runs(self) -> dict[str, str]:
        """Ids of the workflows that were asked for and run yet, and what they wait for."""

        async def look() -> dict[str, str]:
            client = await self.stack.temporal()
            names = [import_id(self.import_id), *self.started]
            found = [await client.get_workflow_handle(name).describe() for name in names]
            runs = [described(one.raw_description) for one in found if one.status is WorkflowExecutionStatus.RUNNING]
            return {run.workflow_id: reason(run) for run in runs}

        return await insist(look)

    async def finished(self, workflow_id: str) -> None:
        """Return when that run has ended well."""
        await (await self.stack.temporal()).get_workflow_handle(workflow_id).result()

    def open_sessions(self) -> bool:
        """True while an upload that was announced and given up may still come."""
        query = "SELECT 1 FROM media WHERE status = 'awaiting_upload' AND expires_at > now() LIMIT 1"
        return bool(self.rows(query))

    def _asked(self, workflow_id: str) -> str:
        self.started[workflow_id] = self.started.get(workflow_id, 0) + 1
        return workflow_id


async def admin_key(db: Database) -> str:
    """A new admin's key for all libraries."""
    issued = api_keys.issue()
    async with db.transaction() as tx:
        tx.access.add_key(ApiKey(prefix=issued.prefix, digest=issued.digest, name=ADA.name, scopes=["admin"]))
    return issued.token


async def prepare_libraries(care: Care) -> None:
    """A library that imports, beside the stack's own one; which keeps nothing for ever."""
    async with care.db.transaction() as tx:
        limits = {"limits": {"max_bytes": MOST_BYTES}}
        await tx.access.ensure_library(IMPORTING, name="", settings=limits)
        own = await tx.access.library(care.stack.addresses["library"], lock=True)
        assert own
        kept = {status.value: DAYS for status in (Status.APPROVED, Status.REJECTED, Status.QUARANTINED)}
        own.settings = {**own.settings, "retention": kept}
