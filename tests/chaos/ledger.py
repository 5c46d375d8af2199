"""What a stack holds, read from its database, its bucket and its Temporal server; and what must be true of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row
from temporalio.client import WorkflowExecutionStatus

from mediagate import wiring
from mediagate.access.delivery import DeliverySigner, Purpose, file_url
from mediagate.evidence.chain import START, Chain, Link, break_at
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status
from tests.chaos.killable import KillableStack
from tests.chaos.load import Shipment
from tests.chaos.waits import Waits
from workflows.names import workflow_id

Row = dict[str, Any]

OVER = DECIDED | {Status.TRASHED, Status.ERASED}
"""Of an item of which nothing more is to come."""

RESULTS = frozenset({"moderation_result", "upload_failed"})

CLOSE_SECONDS = 90
"""How long a run may outlive its last row: the longest time-out of a step, and a try after it."""

MOST_EVENTS = 200
"""In one run's history, with all its retries; a quiet upload has fewer than 100."""


@dataclass(frozen=True)
class Ledger:
    """All rows, as of one moment."""

    libraries: dict[UUID, str]
    """Slugs."""
    media: dict[UUID, Row]
    variants: list[Row]
    decisions: list[Row]
    notifications: list[Row]
    inbox: list[Row]
    events: list[Row]

    @property
    def accepted(self) -> dict[UUID, Row]:
        """What the gate answers for."""
        return {key: row for key, row in self.media.items() if row["accepted_at"]}

    @property
    def results(self) -> list[Row]:
        """The notifications of the outcome."""
        return [row for row in self.notifications if row["kind"] in RESULTS]

    def unsettled(self) -> dict[str, str]:
        """What is not at its end, and why as far as rows say; empty if nothing is left to wait for.

        Where they do not say, the name is that of a workflow (`Waits.look`).
        """
        at_work = {
            workflow_id(str(key)): "" if row["started_at"] else "its start is owed"
            for key, row in self.accepted.items()
            if row["status"] not in OVER
        }
        told = {row["media_id"] for row in self.results}
        untold = {key for key, row in self.accepted.items() if row["status"] in OVER} - told
        mails = {
            f"mail {row['kind']} of {row['media_id'] or row['key']}": "claimed" if row["mail_claimed_at"] else "owed"
            for row in self.notifications
            if row["by_mail"] and not (row["mailed_at"] or row["mail_error"])
        }
        stored = {f"event {row['event_id']}": "stored" for row in self.inbox if row["state"] == "stored"}
        return at_work | dict.fromkeys((workflow_id(str(key)) for key in untold), "") | mails | stored


def read(database_url: str) -> Ledger:
    """The present rows. Raises psycopg.Error while the database is away."""
    with psycopg.connect(database_url, connect_timeout=5, row_factory=dict_row) as connection:

        def rows(table: str) -> list[Row]:
            query = psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(table))
            return connection.execute(query).fetchall()

        return Ledger(
            libraries={row["id"]: row["slug"] for row in rows("library")},
            media={row["id"]: row for row in rows("media")},
            variants=rows("variant"),
            decisions=rows("decision"),
            notifications=rows("notification"),
            inbox=rows("inbox"),
            events=rows("media_event"),
        )


async def settled(stack: KillableStack, *, seconds: float, waits: Waits | None = None) -> Ledger:
    """The rows, once everything that was accepted is at its end. `waits`: note what was waited for."""
    deadline = time.monotonic() + seconds
    missing, waits = {"the database": "did not answer"}, waits or Waits(stack)
    while time.monotonic() < deadline:
        try:
            ledger = await asyncio.to_thread(read, stack.addresses["database_url"])
        except psycopg.OperationalError:
            await asyncio.sleep(0.2)
            continue
        missing = ledger.unsettled()
        if not missing:
            return ledger
        await waits.look(missing)
        await asyncio.sleep(0.2)
    raise AssertionError(f"{len(missing)} not at their end after {seconds:g} s: {waits.longest(12)}")


def assert_promises_kept(ledger: Ledger, promised: Mapping[str, Shipment]) -> None:
    """Every answer of acceptance led to the right end."""
    ends = {str(key): (row["filename"], Status(row["status"])) for key, row in ledger.accepted.items()}
    assert {key: ends.get(key) for key in promised} == {key: (s.filename, s.status) for key, s in promised.items()}
    refused = {key: s.reason for key, s in promised.items() if s.reason}
    assert {key: ledger.accepted[UUID(key)]["reason"] for key in refused} == refused


def assert_once(ledger: Ledger) -> None:
    """One final decision, one filing and one notification for each accepted item, one summary for each batch."""
    once = Counter(list(ledger.accepted))
    assert Counter(row["media_id"] for row in ledger.decisions if row["final"]) == once
    assert Counter(row["media_id"] for row in ledger.events if row["kind"] == "filed") == once
    assert Counter(row["media_id"] for row in ledger.events if row["kind"] == "accepted") == once
    assert Counter(row["media_id"] for row in ledger.results) == once
    lines = Counter((row["media_id"], row["key"]) for row in ledger.events)
    assert [line for line, count in lines.items() if count > 1] == []


def assert_batches_summed_up(ledger: Ledger) -> None:
    """One summary for each batch of which something was accepted, and it counts every file."""
    sizes = Counter(str(row["batch_id"]) for row in ledger.media.values() if row["batch_id"])
    live = {str(row["batch_id"]) for row in ledger.accepted.values() if row["batch_id"]}
    summaries = [row for row in ledger.notifications if row["kind"] == "batch_summary"]
    assert Counter(row["key"].partition(":")[0] for row in summaries) == Counter(live)
    counted = {row["key"].partition(":")[0]: files_counted(row["body"]) for row in summaries}
    assert counted == {batch: sizes[batch] for batch in live}


def files_counted(body: str) -> int:
    """How many files a summary counts, over all statuses."""
    statuses = {status.value for status in Status}
    lines = (line.partition(":") for line in body.splitlines())
    return sum(int(count) for name, _, count in lines if name.strip().lower().replace(" ", "_") in statuses)


def keys_of(ledger: Ledger) -> dict[str, str]:
    """Object key → SHA-256 as the rows have them."""
    keys = {row["key"]: row["sha256"] for row in ledger.variants}
    for row in ledger.accepted.values():
        keys |= {row[column]: row["sha256"] for column in ("master_key", "backup_key") if row[column]}
    return keys


async def assert_objects_match(stack: KillableStack, ledger: Ledger) -> int:
    """The bucket holds what the rows name, byte for byte, and nothing else. The number of objects."""
    store = wiring.open_store(stack.settings)
    try:
        found = [stat.key async for stat in store.list("")]
        named = keys_of(ledger)
        assert sorted(set(found) - set(named)) == [], "orphans"
        assert sorted(set(named) - set(found)) == [], "missing"
        digests = dict(zip(found, await asyncio.gather(*(store.sha256(key) for key in found)), strict=True))
        assert digests == named
        return len(found)
    finally:
        store.close()


async def assert_runs_completed(stack: KillableStack, media_ids: Iterable[UUID]) -> int:
    """Each run ended well, within the bound on its history. The longest history.

    A run may outlive its last row: the step that wrote it was killed before it could say so, and is tried again.
    """
    client = await stack.temporal()
    handles = [client.get_workflow_handle(workflow_id(str(media_id))) for media_id in media_ids]
    async with asyncio.timeout(CLOSE_SECONDS):
        while True:
            descriptions = await asyncio.gather(*(handle.describe() for handle in handles))
            if WorkflowExecutionStatus.RUNNING not in {description.status for description in descriptions}:
                break
            await asyncio.sleep(0.5)
    assert {description.status for description in descriptions} == {WorkflowExecutionStatus.COMPLETED}
    longest = max(description.history_length for description in descriptions)
    assert longest < MOST_EVENTS
    return longest


async def assert_only_approved_is_public(stack: KillableStack, ledger: Ledger) -> None:
    """A valid public signature opens the pictures of approved items only; without one there is nothing at all."""
    signer, turns = DeliverySigner(stack.settings.delivery_secrets), asyncio.Semaphore(4)
    base = stack.settings.public_url

    async def check(public: httpx.AsyncClient, key: UUID, row: Row) -> None:
        query = signer.query(
            str(key),
            "thumb",
            library=ledger.libraries[row["library_id"]],
            purpose=Purpose.PUBLIC,
            expires_at=int(time.time()) + 600,
        )
        async with turns:
            signed = await public.get(file_url(base, str(key), "thumb", query))
            bare = await public.get(f"{base}/api/v1/media/{key}/files/thumb")
        assert (signed.status_code, bare.status_code) == (200 if row["status"] == Status.APPROVED else 404, 401), row

    async with httpx.AsyncClient(trust_env=False, timeout=30) as public:
        await asyncio.gather(*(check(public, key, row) for key, row in ledger.accepted.items()))


async def assert_chains_whole(stack: KillableStack) -> None:
    """Nobody changed, took out or put in a record of the audit trail."""
    with psycopg.connect(stack.addresses["database_url"], row_factory=dict_row) as connection:
        before = START
        for row in connection.execute("SELECT * FROM audit ORDER BY seq"):
            found = Link(row["seq"], row["hash"])
            assert break_at(Chain.AUDIT, before, found, row["prev_hash"], row) is None
            before = found
