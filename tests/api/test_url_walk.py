"""Every URL that the system hands out, in every status: what is not approved is readable by nobody without a key."""

import asyncio
import hashlib
import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from db.tables import MediaVariant
from mediagate.access.delivery import DeliverySigner, Purpose, file_url
from mediagate.media.values import Status, VariantName
from tests.api.serving import PREFIX, assert_problem
from tests.world import PATIENCE, World, picture

NOBODY = {"Authorization": ""}
FILES = [*(name.value for name in VariantName), "source"]
ENDS = [
    ("approve", {}, Status.APPROVED),
    ("reject", {"nudity": 0.95}, Status.REJECTED),
    ("reject", {"csam": 0.97}, Status.QUARANTINED),
]


async def public(world: World, url: str) -> httpx.Response:
    """What somebody without a key gets."""
    return await world.http.get(url, headers=NOBODY)


def query(world: World, media_id: str, name: str, purpose: Purpose, *, lifetime: int = 60) -> str:
    """The signed URL of a file, as the system would sign it."""
    signer = DeliverySigner(world.settings.delivery_secrets)
    signed = signer.query(
        media_id, name, library=world.library.slug, purpose=purpose, expires_at=int(time.time()) + lifetime
    )
    return file_url(world.settings.public_url, media_id, name, signed)


async def handed_out(world: World, media_id: str) -> list[str]:
    """Every URL of an item's files that anybody was ever given by now, and every one that could be thought of."""
    shown = await world.read(media_id)
    submission = world.vendor.submissions.get(media_id)
    urls = [variant["url"] for variant in shown["variants"]]
    urls += [submission.media_url] if submission else []
    urls += [file_url(world.settings.public_url, media_id, name) for name in FILES]
    return urls + [query(world, media_id, name, purpose) for name in FILES for purpose in Purpose]


async def readable(world: World, urls: list[str]) -> set[str]:
    """The names of the files that open without a key."""
    answers = {url: await public(world, url) for url in urls}
    for answer in answers.values():
        assert answer.status_code in {200, 401, 404}, answer.text
        assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"
    return {urlsplit(url).path.rpartition("/")[2] for url, answer in answers.items() if answer.status_code == 200}


async def bucket_urls(world: World, media_id: str) -> list[str]:
    """Where the store itself has the item's objects."""
    found = []
    for prefix in (world.library.slug, "work/", "staging/"):
        found += [stat.key async for stat in world.store.list(prefix) if media_id in stat.key]
    return [f"{world.settings.uploads_url}/{world.settings.s3_bucket}/{key}" for key in found]


async def closed_store(world: World, media_id: str, *more: str) -> int:
    """How many objects there are; none of them opens without a signature."""
    urls = [*await bucket_urls(world, media_id), *more]
    async with httpx.AsyncClient() as browser:
        for url in urls:
            assert (await browser.get(url)).status_code == 403
    return len(urls) - len(more)


async def given_to_the_vendor(world: World, media_id: str) -> str:
    """The URL of the moderation copy, once the vendor has it."""
    async with asyncio.timeout(PATIENCE):
        while not (submission := world.vendor.submissions.get(media_id)):
            await world.media(media_id)  # the status comes before the vendor is called
    return submission.media_url


async def decided(world: World, verdict: str = "approve", scores: dict[str, float] | None = None) -> str:
    """An item that went all the way."""
    media_id = await world.upload(picture())
    await world.until(media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id, verdict, scores=scores or {}))
    await world.ended(media_id)
    return media_id


class TestBeforeTheDecision:
    async def test_awaiting_upload(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        media_id = announced["media_id"]
        assert await readable(quiet_world, await handed_out(quiet_world, media_id)) == set()
        staged = f"{announced['url']}/{announced['fields']['key']}"
        assert await closed_store(quiet_world, media_id, announced["url"], staged) == 1
        signed = {name: value for name, value in announced["fields"].items() if name.startswith("x-amz-")}
        async with httpx.AsyncClient() as browser:  # what the uploader holds opens nothing
            assert (await browser.get(f"{staged}?{urlencode(signed)}")).is_client_error

    async def test_accepted(self, quiet_world: World) -> None:
        media_id = await quiet_world.upload(picture())
        assert await readable(quiet_world, await handed_out(quiet_world, media_id)) == set()
        assert await closed_store(quiet_world, media_id) == 1

    async def test_under_moderation_the_vendor_alone_sees_the_unmarked_copy(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        given = await given_to_the_vendor(world, media_id)
        shown = await public(world, given)
        assert hashlib.sha256(shown.content).hexdigest() == world.vendor.submissions[media_id].sha256
        assert await readable(world, await handed_out(world, media_id)) == {"moderation"}
        assert await closed_store(world, media_id) == 5
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}))
        await world.until(media_id, Status.IN_REVIEW)
        assert await readable(world, await handed_out(world, media_id)) == {"moderation"}
        await world.http.post(f"{PREFIX}/media/{media_id}/decision", json={"verdict": "reject"})
        await world.ended(media_id)
        assert_problem(await public(world, given), 404, "not_found")


class TestAfterTheDecision:
    @pytest.mark.parametrize(("verdict", "scores", "status"), ENDS)
    async def test_only_what_is_approved_opens(
        self, world: World, verdict: str, scores: dict[str, float], status: Status
    ) -> None:
        media_id = await decided(world, verdict, scores)
        assert (await world.media(media_id)).status is status
        opened = {"original", "medium", "thumb"} if status is Status.APPROVED else set()
        assert await readable(world, await handed_out(world, media_id)) == opened
        assert await closed_store(world, media_id) >= 4
        assert_problem(await public(world, world.vendor.submissions[media_id].media_url), 404, "not_found")

    async def test_a_takedown_closes_urls_that_are_out_already(self, world: World) -> None:
        media_id = await decided(world)
        urls = [variant["url"] for variant in (await world.read(media_id))["variants"]]
        assert len(await readable(world, urls)) == 3
        async with world.db.transaction() as tx:
            await tx.media.move(await tx.media.get((await world.media(media_id)).id, lock=True), Status.REJECTED)
        assert await readable(world, urls) == set()
        fresh = [variant["url"] for variant in (await world.read(media_id))["variants"]]
        assert all(urlsplit(url).query == "" for url in fresh)


class TestSignatures:
    async def approved(self, world: World, name: str = "thumb") -> tuple[str, str, dict[str, str]]:
        """Of an approved item with one file: its id, the file's URL without a query, and the query."""
        media_id = await world.seal(picture(), status=Status.APPROVED)
        row = await world.media(media_id)
        async with world.db.transaction() as tx:
            tx.session.add(
                MediaVariant(
                    media_id=row.id,
                    name=name,
                    format="jpeg",
                    width=1,
                    height=1,
                    bytes=row.bytes or 0,
                    quality=80,
                    sha256=row.sha256 or "",
                    engine="test",
                    key=row.master_key or "",
                )
            )
        [variant] = (await world.read(media_id))["variants"]
        base, _, signed = variant["url"].partition("?")
        return media_id, base, {key: values[0] for key, values in parse_qs(signed).items()}

    async def test_a_public_signature_opens_one_file_of_one_item(self, quiet_world: World) -> None:
        media_id, base, signed = await self.approved(quiet_world)
        other_id, _, _ = await self.approved(quiet_world)
        assert (await public(quiet_world, f"{base}?{urlencode(signed)}")).status_code == 200
        assert set(signed) == {"library", "v", "purpose", "expires", "kid", "signature"}
        for name in ("original", "medium", "moderation", "source", "nothing", "THUMB"):
            elsewhere = file_url(quiet_world.settings.public_url, media_id, name, urlencode(signed))
            assert_problem(await public(quiet_world, elsewhere), 401, "bad_signature")
        elsewhere = file_url(quiet_world.settings.public_url, other_id, "thumb", urlencode(signed))
        assert_problem(await public(quiet_world, elsewhere), 401, "bad_signature")

    @pytest.mark.parametrize(
        "change",
        [
            {"signature": ""},
            {"signature": "A" * 43},
            {"signature": "é"},
            {"purpose": "moderation"},
            {"purpose": "admin"},
            {"purpose": ""},
            {"expires": "99999999999"},
            {"expires": "-1"},
            {"expires": ""},
            {"expires": "9" * 400},
            {"expires": "1e12"},
            {"library": "other"},
            {"library": ""},
            {"v": "00000000"},
            {"kid": ""},
            {"kid": "00000000"},
        ],
    )
    async def test_a_changed_query_is_no_signature(self, quiet_world: World, change: dict[str, str]) -> None:
        _, base, signed = await self.approved(quiet_world)
        assert_problem(await public(quiet_world, f"{base}?{urlencode(signed | change)}"), 401, "bad_signature")

    async def test_a_signature_ends(self, quiet_world: World) -> None:
        media_id, _, _ = await self.approved(quiet_world)
        over = query(quiet_world, media_id, "thumb", Purpose.PUBLIC, lifetime=-1)
        assert_problem(await public(quiet_world, over), 410, "expired")

    async def test_a_bad_signature_is_not_mended_by_a_key(self, quiet_world: World) -> None:
        _, base, signed = await self.approved(quiet_world)
        url = f"{base}?{urlencode(signed | {'signature': 'A' * 43})}"
        assert_problem(await quiet_world.http.get(url), 401, "bad_signature")

    async def test_of_an_item_that_does_not_exist(self, quiet_world: World) -> None:
        ghost = "00000000-0000-4000-8000-000000000000"
        assert_problem(await public(quiet_world, query(quiet_world, ghost, "thumb", Purpose.PUBLIC)), 404, "not_found")

    async def test_answers_cannot_run_or_be_kept(self, quiet_world: World) -> None:
        media_id, base, signed = await self.approved(quiet_world)
        row = await quiet_world.media(media_id)
        shown = await public(quiet_world, f"{base}?{urlencode(signed)}")
        expected = {
            "content-type": "image/jpeg",
            "content-length": str(row.bytes),
            "content-disposition": "inline",
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
            "cache-control": "private, no-cache",
            "etag": f'"{row.sha256}"',
        }
        assert {name: shown.headers[name] for name in expected} == expected
        source = await quiet_world.http.get(file_url(quiet_world.settings.public_url, media_id, "source"))
        assert source.headers["content-type"] == "application/octet-stream"
        assert source.headers["content-disposition"] == "attachment"
        assert hashlib.sha256(source.content).hexdigest() == row.sha256

    async def test_what_is_known_is_not_sent_again(self, quiet_world: World) -> None:
        _, base, signed = await self.approved(quiet_world)
        url = f"{base}?{urlencode(signed)}"
        etag = (await public(quiet_world, url)).headers["etag"]
        again = await quiet_world.http.get(url, headers={"Authorization": "", "If-None-Match": f'"old", W/{etag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        tampered = f"{base}?{urlencode(signed | {'signature': 'A' * 43})}"
        refused = await quiet_world.http.get(tampered, headers={"Authorization": "", "If-None-Match": etag})
        assert refused.status_code == 401

    async def test_the_inits_answer_names_no_other_place(self, quiet_world: World) -> None:
        announced: dict[str, Any] = await quiet_world.announce(b"x")
        base = f"{quiet_world.settings.uploads_url}/{quiet_world.settings.s3_bucket}"
        assert announced["url"] == base
        assert "X-Amz-Signature" not in announced["url"]
