"""What must be true of a stack after whatever was done to it: the whole list of invariants."""

import asyncio
import time

import psycopg

from mediagate.media.values import Status
from tests.chaos import ledger
from tests.chaos.killable import KillableStack, until
from tests.chaos.uploader import Uploader
from workflows.messages import SweepResult


async def assert_in_order(stack: KillableStack, rows: ledger.Ledger, uploader: Uploader) -> tuple[int, int]:
    """Accepted = finished, one decision, one filing, one notification that went out, objects = rows byte for byte, no
    orphan, nothing public but what is approved, every run closed, the audit chain whole. The number of objects, and
    the length of the longest history.
    """
    ledger.assert_promises_kept(rows, uploader.promised)
    await until(lambda: not _open_sessions(stack), seconds=60, what="sessions that were given up run out")
    first = await stack.sweep(f"first-{time.time_ns()}")
    assert (first.started, first.delivered) == (0, 0), "the settled state owed something"
    assert await stack.sweep(f"second-{time.time_ns()}") == SweepResult()
    rows = await asyncio.to_thread(ledger.read, stack.addresses["database_url"])
    assert {row["status"] for key, row in rows.media.items() if key not in rows.accepted} <= {Status.EXPIRED}
    ledger.assert_once(rows)
    ledger.assert_batches_summed_up(rows)
    longest = await ledger.assert_runs_completed(stack, rows.accepted)
    await ledger.assert_only_approved_is_public(stack, rows)
    await ledger.assert_chains_whole(stack)
    return await ledger.assert_objects_match(stack, rows), longest


def _open_sessions(stack: KillableStack) -> bool:
    with psycopg.connect(stack.addresses["database_url"]) as connection:
        query = "SELECT count(*) FROM media WHERE status = 'awaiting_upload' AND expires_at > now()"
        row = connection.execute(query).fetchone()
    return row is not None and row[0] > 0
