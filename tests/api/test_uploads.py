"""Announce, send, complete: what is refused leaves the session usable, and what is accepted cannot be exchanged."""

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from db.tables import now
from mediagate import wiring
from mediagate.access.api_keys import Scope
from mediagate.media.values import MIB, Status
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.world import World, issue_key, picture


async def complete(http: httpx.AsyncClient, announced: dict[str, Any], data: bytes) -> httpx.Response:
    """Complete over another client."""
    body = {
        "upload_token": announced["upload_token"],
        "file_hash": hashlib.sha256(data).hexdigest(),
        "file_size": len(data),
    }
    return await http.post(f"{PREFIX}/uploads/{announced['media_id']}/complete", json=body)


def address_of(settings: Settings) -> S3Address:
    """The store of these settings."""
    return S3Address(
        url=settings.s3_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        bucket=settings.s3_bucket,
    )


class TestInit:
    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"file_size": 0}, 422, "empty_file"),
            ({"file_size": -1}, 422, "empty_file"),
            ({"file_size": 64 * MIB + 1}, 413, "too_large"),
            ({"file_size": 10**30}, 413, "too_large"),
            ({"file_size": "many"}, 422, "invalid_request"),
            ({"file_size": None}, 422, "invalid_request"),
            ({"content_type": "text/html"}, 415, "unsupported_type"),
            ({"content_type": "image/svg+xml"}, 415, "unsupported_type"),
            ({"content_type": ""}, 415, "unsupported_type"),
            ({"filename": ""}, 422, "invalid_request"),
            ({"filename": "../.."}, 422, "invalid_request"),
            ({"filename": "a\x00.jpg"}, 422, "invalid_request"),
            ({"filename": "a\r\nb.jpg"}, 422, "invalid_request"),
            ({"filename": "x" * 256}, 422, "invalid_request"),
            ({"caption": "x" * 2001}, 422, "invalid_request"),
            ({"caption": "NUL \x00"}, 422, "invalid_request"),
            ({"caption": "half a pair \ud800"}, 422, "invalid_request"),
            ({"sha256": "abc"}, 422, "invalid_request"),
            ({"sha256": "g" * 64}, 422, "invalid_request"),
            ({"sha256": "a" * 64 + "\n"}, 422, "invalid_request"),
        ],
    )
    async def test_refused(self, quiet_world: World, change: dict[str, Any], status: int, code: str) -> None:
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 10} | change
        url, content = f"{PREFIX}/libraries/{quiet_world.library.slug}/uploads", json.dumps(body)
        answer = await quiet_world.http.post(url, content=content, headers={"Content-Type": "application/json"})
        assert_problem(answer, status, code)

    async def test_the_limit_itself_is_taken(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x", file_size=64 * MIB)
        assert announced["media_id"]

    async def test_a_library_has_limits_of_its_own(self, quiet_world: World) -> None:
        slug = f"small-{quiet_world.library.slug}"
        async with quiet_world.db.transaction() as tx:
            await tx.access.ensure_library(slug, name="", settings={"limits": {"max_bytes": 100}})
        token = await issue_key(quiet_world.db, None, Scope.UPLOADS_WRITE)
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 101}
        answer = await quiet_world.http.post(f"{PREFIX}/libraries/{slug}/uploads", json=body, headers=bearer(token))
        assert_problem(answer, 413, "too_large")

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("../../etc/passwd.jpg", "passwd.jpg"),
            ("C:\\temp\\a.jpg", "a.jpg"),
            ("photo\u202egpj.exe", "photogpj.exe"),
            ("été ☃.jpg", "été ☃.jpg"),
        ],
    )
    async def test_names_are_kept_clean(self, quiet_world: World, sent: str, kept: str) -> None:
        announced = await quiet_world.announce(b"x", filename=sent)
        assert (await quiet_world.media(announced["media_id"])).filename == kept

    async def test_types_have_one_name(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x", content_type="IMAGE/JPG; q=1")
        assert announced["fields"]["Content-Type"] == "image/jpeg"


class TestPresigned:
    async def test_the_store_refuses_more_than_was_announced(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 100)
        assert (await quiet_world.put(announced, b"x" * 101)).is_client_error
        assert (await quiet_world.put(announced, b"")).is_client_error
        assert await quiet_world.objects(announced["media_id"]) == []

    @pytest.mark.parametrize(
        "change", [{"Content-Type": "text/html"}, {"key": "staging/other"}, {"key": "lib/media/approved/x/thumb.jpg"}]
    )
    async def test_the_store_refuses_another_type_or_place(self, quiet_world: World, change: dict[str, str]) -> None:
        announced = await quiet_world.announce(b"x" * 100)
        forged = {**announced, "fields": announced["fields"] | change}
        assert (await quiet_world.put(forged, b"x" * 100)).is_client_error
        assert await quiet_world.objects(announced["media_id"]) == []

    async def test_put_mode_is_bounded_at_complete(self, quiet_world: World) -> None:
        settings = quiet_world.settings.model_copy(update={"s3_presign": "put"})
        store = wiring.open_store(settings)
        gate = replace(gate_of(quiet_world), settings=settings, store=store)
        token = await issue_key(quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE)
        data = picture()
        async with serving(gate, bearer(token)) as http, httpx.AsyncClient() as browser:
            body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": len(data)}
            url = f"{PREFIX}/libraries/{quiet_world.library.slug}/uploads"
            announced = (await http.post(url, json=body)).json()
            assert (announced["method"], announced["fields"]) == ("PUT", {})
            sent = await browser.put(announced["url"], content=data + b"more", headers=announced["headers"])
            assert sent.status_code == 200
            assert_problem(await complete(http, announced, data + b"more"), 422, "size_mismatch")
            await browser.put(announced["url"], content=data, headers=announced["headers"])
            assert (await complete(http, announced, data)).status_code == 202
        store.close()


class TestComplete:
    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"upload_token": "wrong"}, 403, "wrong_upload_token"),
            ({"file_hash": "0" * 64}, 422, "hash_mismatch"),
            ({"file_hash": "short"}, 422, "invalid_request"),
            ({"file_size": 1}, 422, "size_mismatch"),
            ({"file_size": "x"}, 422, "invalid_request"),
            ({"upload_token": None}, 422, "invalid_request"),
        ],
    )
    async def test_what_is_wrong_leaves_the_session_open(
        self, quiet_world: World, change: dict[str, Any], status: int, code: str
    ) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        assert_problem(await quiet_world.complete(announced, data, **change), status, code)
        assert (await quiet_world.media(announced["media_id"])).status is Status.AWAITING_UPLOAD
        assert await quiet_world.objects(announced["media_id"]) == ["staging/ID"]
        assert (await quiet_world.complete(announced, data)).status_code == 202

    async def test_too_early(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        assert_problem(await quiet_world.complete(announced, data), 409, "not_uploaded")
        await quiet_world.put(announced, data)
        assert (await quiet_world.complete(announced, data)).status_code == 202

    async def test_other_bytes_of_the_same_size(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, bytes(len(data)))
        assert_problem(await quiet_world.complete(announced, data), 422, "hash_mismatch")
        assert await quiet_world.objects(announced["media_id"]) == ["staging/ID"]
        await quiet_world.put(announced, data)
        assert (await quiet_world.complete(announced, data)).status_code == 202

    async def test_another_hash_than_was_announced(self, quiet_world: World) -> None:
        data, other = picture(), picture(seed=1)
        announced = await quiet_world.announce(
            data, sha256=hashlib.sha256(data).hexdigest(), file_size=max(len(data), len(other))
        )
        await quiet_world.put(announced, other)
        assert_problem(await quiet_world.complete(announced, other), 422, "hash_mismatch")
        await quiet_world.put(announced, data)
        assert (await quiet_world.complete(announced, data)).status_code == 202

    async def test_smaller_than_announced_is_fine(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data, file_size=len(data) + 1000)
        await quiet_world.put(announced, data)
        assert (await quiet_world.complete(announced, data)).status_code == 202
        assert (await quiet_world.media(announced["media_id"])).bytes == len(data)

    async def test_twice_answers_the_same(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        first, again = [await quiet_world.complete(announced, data) for _ in range(2)]
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json() == again.json()
        assert_problem(await quiet_world.complete(announced, data, file_hash="0" * 64), 422, "hash_mismatch")
        assert_problem(await quiet_world.complete(announced, data, upload_token="x"), 403, "wrong_upload_token")
        kinds = await quiet_world.timeline(announced["media_id"])
        assert (kinds.count("accepted"), kinds.count("started")) == (1, 1)

    async def test_two_at_once_accept_it_once(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        answers = await asyncio.gather(*(quiet_world.complete(announced, data) for _ in range(4)))
        assert [answer.status_code for answer in answers] == [202] * 4
        assert len({answer.text for answer in answers}) == 1
        kinds = await quiet_world.timeline(announced["media_id"])
        assert (kinds.count("accepted"), kinds.count("started")) == (1, 1)

    async def test_the_sealed_copy_cannot_be_exchanged(self, quiet_world: World) -> None:
        data = picture()
        media_id = await quiet_world.upload(data)
        row = await quiet_world.media(media_id)
        assert row.master_key == keys.master(quiet_world.library.slug, media_id)
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        await quiet_world.complete(announced, data)
        await quiet_world.put(announced, bytes(len(data)))  # the presigned form still works, and reaches nothing
        key = keys.master(quiet_world.library.slug, announced["media_id"])
        assert await quiet_world.store.sha256(key) == hashlib.sha256(data).hexdigest()
        assert (await quiet_world.complete(announced, data)).status_code == 202

    async def test_bytes_that_are_exchanged_while_it_is_sealed(self, quiet_world: World) -> None:
        """The size is that of the copy, not of what was there a moment before."""
        small, large = picture(), picture() + bytes(100)
        announced = await quiet_world.announce(large)
        await quiet_world.put(announced, small)

        class Exchanging(S3Store):
            async def copy(self, source: str, target: str) -> None:
                await quiet_world.put(announced, large)
                await super().copy(source, target)

        store = Exchanging(address_of(quiet_world.settings))
        token = await issue_key(quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE)
        async with serving(replace(gate_of(quiet_world), store=store), bearer(token)) as http:
            body = {"upload_token": announced["upload_token"], "file_size": len(small)}
            body |= {"file_hash": hashlib.sha256(large).hexdigest()}
            answer = await http.post(f"{PREFIX}/uploads/{announced['media_id']}/complete", json=body)
        store.close()
        assert_problem(answer, 422, "size_mismatch")
        assert await quiet_world.objects(announced["media_id"]) == ["staging/ID"]

    async def test_after_its_time(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        async with quiet_world.db.transaction() as tx:
            row = await tx.media.get((await quiet_world.media(announced["media_id"])).id, lock=True)
            row.expires_at = now() - timedelta(seconds=1)
        assert_problem(await quiet_world.complete(announced, data), 410, "expired")
        async with quiet_world.db.transaction() as tx:
            await tx.media.move(await tx.media.get(row.id, lock=True), Status.EXPIRED)
        assert_problem(await quiet_world.complete(announced, data), 410, "expired")
        assert (await quiet_world.media(announced["media_id"])).master_key is None

    async def test_a_token_opens_its_own_upload_only(self, quiet_world: World) -> None:
        data = picture()
        mine, other = await quiet_world.announce(data), await quiet_world.announce(data)
        await quiet_world.put(other, data)
        answer = await quiet_world.complete(other, data, upload_token=mine["upload_token"])
        assert_problem(answer, 403, "wrong_upload_token")
