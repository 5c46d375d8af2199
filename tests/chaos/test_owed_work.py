"""What a crash leaves owed, and the sweep pays: starts and deliveries."""

import asyncio
import json
from random import Random
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr
from temporalio.service import RPCError

from tests.chaos import ledger
from tests.chaos.killable import KillableStack, until
from tests.chaos.load import shipment
from tests.chaos.uploader import Uploader
from tests.world import signed
from workflows.names import workflow_id

pytestmark = pytest.mark.timeout(300)


def one(stack: KillableStack, query: str, *values: object) -> dict[str, Any] | None:
    """The first row."""
    with psycopg.connect(stack.addresses["database_url"], row_factory=dict_row) as connection:
        return connection.execute(query.encode(), values or None).fetchone()


async def assert_no_run(stack: KillableStack, media_id: str) -> None:
    """Temporal knows nothing of the item."""
    client = await stack.temporal()
    with pytest.raises(RPCError, match="not found"):
        await client.get_workflow_handle(workflow_id(media_id)).describe()


class TestApiKilled:
    async def test_between_commit_and_start_leaves_the_start_to_the_sweep(self, stack: KillableStack) -> None:
        file = shipment("between.jpg", "approve", Random(1))
        accepted = "SELECT id::text, started_at FROM media WHERE filename = 'between.jpg' AND accepted_at IS NOT NULL"
        async with stack.without_sweeps(), stack.http() as http:
            sending = asyncio.create_task(Uploader(http, stack.addresses["library"], Random(1)).send(file))
            async with stack.replaced("api"), stack.replaced("temporal"), stack.frozen("temporal") as server:
                await until(lambda: one(stack, accepted) is not None, seconds=30, what="the row is accepted")
                await stack.kill("api")
                sending.cancel()  # nobody asks again
                server.kill()  # so that it never reads what the API sent it
            row = one(stack, accepted)
            assert row is not None
            assert row["started_at"] is None
            await assert_no_run(stack, row["id"])

            assert (await stack.sweep("owed-start")).started == 1

            ended = await ledger.settled(stack, seconds=60)
        ledger.assert_promises_kept(ended, {row["id"]: file})
        ledger.assert_once(ended)

    async def test_in_the_middle_of_a_form_the_same_key_goes_on_where_it_was(self, stack: KillableStack) -> None:
        files = [shipment(f"form-{number}.jpg", "approve", Random(number)) for number in range(3)]
        rows = "SELECT count(*) AS n, count(DISTINCT batch_id) AS batches FROM media WHERE filename LIKE 'form-%'"
        taken = "SELECT count(*) AS n FROM idempotent_request WHERE status IS NULL AND route LIKE '%/media'"
        async with stack.http() as http:
            uploader = Uploader(http, stack.addresses["library"], Random(8))
            async with stack.replaced("api"), stack.frozen("s3"):
                sending = asyncio.create_task(uploader.send_together(files))
                await until(lambda: one(stack, rows) == {"n": 3, "batches": 1}, seconds=30, what="the rows are there")
                await stack.kill("api")
                assert one(stack, taken) == {"n": 1}  # whoever asks now is told that it is in progress
            await sending
            ended = await ledger.settled(stack, seconds=60)
        assert one(stack, rows) == {"n": 3, "batches": 1}
        assert uploader.retries["API away"] > 0
        ledger.assert_promises_kept(ended, uploader.promised)
        ledger.assert_once(ended)
        ledger.assert_batches_summed_up(ended)


class TestTemporalAway:
    async def test_a_stored_webhook_is_delivered_by_the_sweep(self, stack: KillableStack) -> None:
        file = shipment("silent.jpg", "silent", Random(2))
        async with stack.without_sweeps(), stack.http() as http:
            media_id = await Uploader(http, stack.addresses["library"], Random(2)).send(file)
            submitted = "SELECT 1 FROM media_event WHERE media_id = %s AND kind = 'submitted'"
            await until(lambda: one(stack, submitted, media_id) is not None, seconds=60, what="it is submitted")
            async with stack.replaced("temporal"), stack.frozen("temporal") as server:
                answer = await reject(stack, http, media_id)
                assert (answer.status_code, answer.json()["stored"]) == (200, 1)
                server.kill()
            assert one(stack, "SELECT state FROM inbox WHERE media_id = %s", media_id) == {"state": "stored"}

            assert (await stack.sweep("owed-delivery")).delivered == 1

            ended = await ledger.settled(stack, seconds=60)
        assert one(stack, "SELECT state FROM inbox WHERE media_id = %s", media_id) == {"state": "delivered"}
        assert one(stack, "SELECT status FROM media WHERE id = %s", media_id) == {"status": "rejected"}
        ledger.assert_once(ended)


async def reject(stack: KillableStack, http: httpx.AsyncClient, media_id: str) -> httpx.Response:
    """The vendor's webhook, sent by hand."""
    vendor = stack.addresses["vendor"]
    event = {"event_id": f"evt-{media_id}", "media_id": media_id, "vendor": vendor["name"], "verdict": "reject"}
    event |= {"occurred_at": "2026-01-02T03:04:05Z", "scores": {"violence": 0.97}, "labels": [], "final": True}
    body = json.dumps(event).encode()
    headers = signed(body, secret=SecretStr(vendor["webhook_secret"]))
    return await http.post(vendor["webhook_url"], content=body, headers=headers)
