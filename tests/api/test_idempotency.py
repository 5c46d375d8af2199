"""`Idempotency-Key`: the same key and body give the same answer, and have their effect once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs

from db.tables import IdempotentRequest, now
from mediagate.access.api_keys import Scope
from mediagate.errors import StorageUnavailable
from mediagate.media.values import Status
from mediagate.storage.memory import MemoryStore
from mediagate.storage.store import ObjectStat, PresignedUpload
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.world import World, issue_key, picture

BODY = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 10}


def uploads(world: World) -> str:
    return f"{PREFIX}/libraries/{world.library.slug}/uploads"


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def items(world: World) -> Sequence[dict[str, Any]]:
    """Everything in the library."""
    page = await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/media")
    found: list[dict[str, Any]] = page.json()["items"]
    return found


class TestTheSameAgain:
    async def test_init_announces_one_upload(self, quiet_world: World) -> None:
        headers = keyed()
        first = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        again = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        assert len(await items(quiet_world)) == 1

    async def test_without_a_key_each_request_counts(self, quiet_world: World) -> None:
        for _ in range(2):
            await quiet_world.http.post(uploads(quiet_world), json=BODY)
        assert len(await items(quiet_world)) == 2

    async def test_complete_answers_what_it_answered(self, quiet_world: World) -> None:
        data, headers = picture(), keyed()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        body = {"upload_token": announced["upload_token"], "file_hash": "0" * 64, "file_size": len(data)}
        url = f"{PREFIX}/uploads/{announced['media_id']}/complete"
        assert_problem(await quiet_world.http.post(url, json=body, headers=headers), 422, "hash_mismatch")
        # What failed had no effect, so the key is free; the right hash is another body and takes it.
        first = await quiet_world.complete(announced, data)
        assert first.status_code == 202

    async def test_a_direct_upload_is_taken_once(self, quiet_world: World) -> None:
        url, headers = f"{PREFIX}/libraries/{quiet_world.library.slug}/media", keyed()
        files = [("files", ("a.jpg", picture(), "image/jpeg"))]
        first = await quiet_world.http.post(url, files=files, headers=headers)
        again = await quiet_world.http.post(url, files=files, headers=headers)
        assert first.json() == again.json()
        assert len(await items(quiet_world)) == 1
        for other in (("a.jpg", picture(seed=1), "image/jpeg"), ("b.jpg", picture(), "image/jpeg")):
            refused = await quiet_world.http.post(url, files=[("files", other)], headers=headers)
            assert_problem(refused, 422, "idempotency_key_reused")

    async def test_another_declared_type_is_another_body(self, quiet_world: World) -> None:
        url, headers = f"{PREFIX}/libraries/{quiet_world.library.slug}/media", keyed()
        await quiet_world.http.post(url, files=[("files", ("a.jpg", picture(), "image/jpeg"))], headers=headers)
        other = await quiet_world.http.post(url, files=[("files", ("a.jpg", picture(), "image/png"))], headers=headers)
        assert_problem(other, 422, "idempotency_key_reused")

    async def test_a_decision_answers_what_it_answered(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}))
        await world.until(media_id, Status.IN_REVIEW)
        url, headers = f"{PREFIX}/media/{media_id}/decision", keyed()
        first = await world.http.post(url, json={"verdict": "approve"}, headers=headers)
        again = await world.http.post(url, json={"verdict": "approve"}, headers=headers)
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json() == again.json()
        assert_problem(
            await world.http.post(url, json={"verdict": "reject"}, headers=headers), 422, "idempotency_key_reused"
        )
        await world.ended(media_id)

    async def test_an_abort_answers_what_it_answered(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        url, headers = f"{PREFIX}/media/{media_id}/abort", keyed()
        first = await world.http.post(url, json={}, headers=headers)
        await world.ended(media_id)
        again = await world.http.post(url, json={}, headers=headers)
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json() == again.json()


class TestTheSameKeyElsewhere:
    async def test_another_body_is_refused(self, quiet_world: World) -> None:
        headers = keyed()
        await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        other = await quiet_world.http.post(uploads(quiet_world), json=BODY | {"file_size": 11}, headers=headers)
        assert_problem(other, 422, "idempotency_key_reused")
        assert len(await items(quiet_world)) == 1

    async def test_it_belongs_to_one_api_key(self, quiet_world: World) -> None:
        headers = keyed()
        mine = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        theirs = bearer(await issue_key(quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE))
        other = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers | theirs)
        assert other.status_code == 201
        assert other.json()["media_id"] != mine.json()["media_id"]

    async def test_it_belongs_to_one_route(self, quiet_world: World) -> None:
        headers = keyed()
        announced = (await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)).json()
        url = f"{PREFIX}/media/{announced['media_id']}/abort"
        assert_problem(await quiet_world.http.post(url, json=BODY, headers=headers), 409, "conflict")

    @pytest.mark.parametrize("key", ["", "k" * 256])
    async def test_keys_have_a_length(self, quiet_world: World, key: str) -> None:
        answer = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers={"Idempotency-Key": key})
        assert_problem(answer, 422, "invalid_request")
        assert await items(quiet_world) == []


class StuckStore(MemoryStore):
    """Presigns when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.trouble: Exception | None = None

    async def presign_upload(self, key: str, *, content_type: str, max_bytes: int, expires: timedelta) -> Any:
        self.asked.set()
        await self.go_on.wait()
        if self.trouble:
            raise self.trouble
        return PresignedUpload(method="POST", url="http://s3.test/bucket", expires_in=900)

    async def stat(self, key: str) -> ObjectStat:
        raise StorageUnavailable


class TestAtTheSameTime:
    async def serve_both(
        self, world: World, store: StuckStore
    ) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        """The first request's answer, that of one during it, and that of one after it; all with one key."""
        token = await issue_key(world.db, world.library.id, Scope.UPLOADS_WRITE)
        gate = replace(gate_of(world), store=store)
        async with serving(gate, bearer(token) | keyed()) as http:
            first = asyncio.create_task(http.post(uploads(world), json=BODY))
            await store.asked.wait()
            during = await http.post(uploads(world), json=BODY)
            store.go_on.set()
            answered = await first
            store.trouble = None
            return answered, during, await http.post(uploads(world), json=BODY)

    async def test_one_works_and_the_other_is_told_to_wait(self, quiet_world: World) -> None:
        first, during, after = await self.serve_both(quiet_world, StuckStore())
        assert_problem(during, 409, "request_in_progress")
        assert int(during.headers["retry-after"]) >= 1
        assert (first.status_code, after.json()) == (201, first.json())
        assert len(await items(quiet_world)) == 1

    @pytest.mark.parametrize(("trouble", "status"), [(StorageUnavailable(), 503), (RuntimeError("a bug"), 500)])
    async def test_what_failed_may_be_sent_again(self, quiet_world: World, trouble: Exception, status: int) -> None:
        store = StuckStore()
        store.trouble = trouble
        with capture_logs():
            first, _, after = await self.serve_both(quiet_world, store)
        assert first.status_code == status
        assert after.status_code == 201
        assert "idempotent-replayed" not in after.headers
        assert len(await items(quiet_world)) == 1

    async def test_a_key_whose_process_died_is_free_after_a_while(self, quiet_world: World) -> None:
        headers = keyed()
        await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        this = col(IdempotentRequest.key) == headers["Idempotency-Key"]
        async with quiet_world.db.transaction() as tx:
            await tx.session.execute(update(IdempotentRequest).where(this).values(status=None, answer=None))
        waiting = await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)
        assert_problem(waiting, 409, "request_in_progress")
        async with quiet_world.db.transaction() as tx:
            long_ago = now() - timedelta(minutes=3)
            await tx.session.execute(update(IdempotentRequest).where(this).values(created_at=long_ago))
        assert (await quiet_world.http.post(uploads(quiet_world), json=BODY, headers=headers)).status_code == 201
