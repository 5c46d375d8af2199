"""Delivery as browsers and CDNs meet it: stable URLs, rotation, what may be kept and for how long."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
from pydantic import SecretStr

from api.deps import Gate
from db.tables import Library, MediaVariant
from mediagate.access.api_keys import Scope
from mediagate.access.delivery import DeliverySigner, Purpose, file_url, key_id
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.world import World, issue_key, picture

OLD, NEW = SecretStr("old" * 12), SecretStr("new" * 12)
CDN = "https://pictures.example.test"
KEPT = {"delivery_url": CDN, "delivery_max_age": 600, "purge_url": "http://cdn.test/purge"}


async def approved(world: World, *names: str, status: Status = Status.APPROVED) -> str:
    """An item with these pictures (none named: `thumb`), all of them the same bytes."""
    media_id = await world.seal(picture(), status=status)
    row = await world.media(media_id)
    facts: dict[str, Any] = {"width": 1, "height": 1, "bytes": row.bytes or 0, "quality": 80, "engine": "test"}
    async with world.db.transaction() as tx:
        for name in names or ("thumb",):
            stem, _, form = name.partition(".")
            variant: dict[str, Any] = {
                "name": stem,
                "format": form or "jpeg",
                "sha256": row.sha256 or "",
                "key": row.master_key or "",
            }
            tx.session.add(MediaVariant(media_id=row.id, **facts, **variant))
    return media_id


@asynccontextmanager
async def gated(world: World, *secrets: SecretStr, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the world's gate with other settings, and other secrets if any are given."""
    gate = gate_of(world)
    signer = DeliverySigner(secrets or world.settings.delivery_secrets)
    own: Gate = replace(gate, settings=world.settings.model_copy(update=settings), signer=signer)
    async with serving(own, {"Authorization": world.http.headers["Authorization"]}) as client:
        yield client


async def url_of(client: httpx.AsyncClient, media_id: str) -> str:
    """The URL that is handed out for the only picture of an item."""
    answer = await client.get(f"{PREFIX}/media/{media_id}")
    [variant] = answer.json()["variants"]
    url: str = variant["url"]
    return url


async def fetched(client: httpx.AsyncClient, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """What somebody without a key gets from the API; a CDN asks for the same path and query."""
    parts = urlsplit(url)
    place = f"{parts.path}?{parts.query}"
    return await client.request(method, place, headers={"Authorization": "", **headers})


class TestUrls:
    async def test_the_same_picture_keeps_its_url_for_a_while(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        settings = {"delivery_expires": 4_000_000_000}
        async with gated(quiet_world, **settings) as client:
            assert await url_of(client, media_id) == await url_of(client, media_id)

    async def test_other_bytes_have_another_url_and_the_old_one_opens_them_too(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            old = await url_of(client, media_id)
            data = picture(seed=5)
            key = f"{quiet_world.library.slug}/media/thumbs/{media_id}-new.jpg"
            await quiet_world.store.put(key, data, content_type="image/jpeg")
            async with quiet_world.db.transaction() as tx:
                [row] = await tx.media.variants((await quiet_world.media(media_id)).id)
                row.key, row.sha256, row.bytes = key, "b" * 64, len(data)
            new = await url_of(client, media_id)
            assert parse_qs(urlsplit(new).query)["v"] == ["b" * 8] != parse_qs(urlsplit(old).query)["v"]
            before, after = await fetched(client, old), await fetched(client, new)
        assert before.content == after.content == data
        assert before.headers["cache-control"] == "private, no-cache"
        assert after.headers["cache-control"] == "public, max-age=600"

    async def test_public_ones_are_on_the_cdn_and_all_others_are_not(self, quiet_world: World) -> None:
        public, private = await approved(quiet_world), await approved(quiet_world, status=Status.QUARANTINED)
        async with gated(quiet_world, **KEPT) as client:
            assert (await url_of(client, public)).startswith(f"{CDN}{PREFIX}/media/{public}/files/thumb?library=")
            assert await url_of(client, private) == file_url(quiet_world.settings.public_url, private, "thumb")

    async def test_a_library_that_is_not_the_items_opens_nothing(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        signer = DeliverySigner(quiet_world.settings.delivery_secrets)
        expires_at = int(time.time()) + 60
        query = signer.query(media_id, "thumb", library="other", purpose=Purpose.PUBLIC, expires_at=expires_at)
        answer = await fetched(quiet_world.http, file_url("", media_id, "thumb", query))
        assert_problem(answer, 404, "not_found")


class TestRotation:
    async def test_no_url_breaks_on_the_way(self, quiet_world: World) -> None:
        """The runbook, step by step; `urls` are all that were handed out and have not expired."""
        media_id = await approved(quiet_world)
        urls: list[str] = []
        for secrets in ((OLD,), (OLD, NEW), (NEW, OLD)):
            async with gated(quiet_world, *secrets) as client:
                urls.append(await url_of(client, media_id))
                assert [(await fetched(client, url)).status_code for url in urls] == [200] * len(urls)
        assert [parse_qs(urlsplit(url).query)["kid"] for url in urls] == [[key_id(s)] for s in (OLD, OLD, NEW)]
        async with gated(quiet_world, NEW) as client:
            assert (await fetched(client, urls[2])).status_code == 200
            assert_problem(await fetched(client, urls[0]), 401, "bad_signature")

    async def test_while_processes_are_replaced_each_believes_the_others(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        for before, after in pairwise([(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]):
            async with gated(quiet_world, *before) as one, gated(quiet_world, *after) as other:
                assert (await fetched(other, await url_of(one, media_id))).status_code == 200
                assert (await fetched(one, await url_of(other, media_id))).status_code == 200


class TestCaching:
    async def test_without_a_purge_hook_nothing_is_kept(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world) as client:
            answer = await fetched(client, await url_of(client, media_id))
        assert answer.headers["cache-control"] == "private, no-cache"

    async def test_what_is_kept_is_kept_until_the_url_ends_at_most(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **{**KEPT, "delivery_max_age": 80_000}) as client:
            url = await url_of(client, media_id)
            answer = await fetched(client, url)
            left = int(parse_qs(urlsplit(url).query)["expires"][0]) - time.time()
        scope, _, age = answer.headers["cache-control"].partition(", max-age=")
        assert scope == "public"
        assert left - 1 < int(age) <= left + 5

    async def test_it_is_known_by_the_tags_that_a_purge_names(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            answer = await fetched(client, await url_of(client, media_id))
        item, library = f"media-{media_id}", f"library-{quiet_world.library.slug}"
        assert answer.headers["cache-tag"] == f"{item},{library}"
        assert answer.headers["surrogate-key"] == f"{item} {library}"

    async def test_not_modified_says_the_same(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            url = await url_of(client, media_id)
            full = await fetched(client, url)
            again = await fetched(client, url, **{"If-None-Match": full.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        own = {"x-tracking-id", "content-length", "content-type"}
        assert {k: v for k, v in again.headers.items() if k not in own} == {
            k: v for k, v in full.headers.items() if k not in own
        }

    async def test_another_spelling_of_the_url_is_not_kept(self, quiet_world: World) -> None:
        """Or anybody could leave copies in a CDN that a purge by URL does not find."""
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            url = await url_of(client, media_id)
            parts = urlsplit(url)
            pairs = parse_qsl(parts.query)
            shuffled = f"{parts.path}?{urlencode(pairs[::-1])}"
            shouted = url.replace(media_id, media_id.upper())
            escaped = url.replace("/thumb?", "/th%75mb?")
            for spelled in (shuffled, shouted, escaped, f"{parts.path}?x=1&{parts.query}"):
                answer = await fetched(client, spelled)
                assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-cache"), spelled
            assert (await fetched(client, url)).headers["cache-control"] == "public, max-age=600"

    async def test_what_a_key_opens_is_nobody_elses(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            answer = await client.get(file_url("", media_id, "thumb"))
        assert answer.headers["cache-control"] == "private, no-cache"
        assert not {"cache-tag", "surrogate-key"} & set(answer.headers)

    async def test_the_vendors_copy_is_nobody_elses(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world, "moderation", status=Status.AWAITING_MODERATION)
        async with gated(quiet_world, **KEPT) as client:
            signer = DeliverySigner(quiet_world.settings.delivery_secrets)
            parts: dict[str, Any] = {"library": quiet_world.library.slug, "expires_at": int(time.time()) + 60}
            version = ((await quiet_world.media(media_id)).sha256 or "")[:8]
            query = signer.query(media_id, "moderation", purpose=Purpose.MODERATION, version=version, **parts)
            answer = await fetched(client, file_url("", media_id, "moderation", query))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-cache")
        assert not {"cache-tag", "surrogate-key"} & set(answer.headers)

    async def test_a_refusal_is_never_kept(self, quiet_world: World) -> None:
        """From before the approval, say: it would hide the picture for as long as it is kept."""
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            url = await url_of(client, media_id)
            late: dict[str, Any] = {"library": quiet_world.library.slug, "expires_at": int(time.time()) - 1}
            expired = DeliverySigner(quiet_world.settings.delivery_secrets).query(
                media_id, "thumb", purpose=Purpose.PUBLIC, **late
            )
            async with quiet_world.db.transaction() as tx:
                row = await tx.media.get((await quiet_world.media(media_id)).id, lock=True)
                await tx.media.move(row, Status.IN_REVIEW)
            answers = [
                (await fetched(client, url), 404, "not_found"),
                (await fetched(client, url.replace("signature=", "signature=x")), 401, "bad_signature"),
                (await fetched(client, file_url("", media_id, "thumb", expired)), 410, "expired"),
                (await fetched(client, file_url("", media_id, "thumb")), 401, "not_authenticated"),
            ]
        for answer, status, code in answers:
            assert_problem(answer, status, code)
            assert answer.headers["cache-control"] == "no-store"
            assert not {"cache-tag", "surrogate-key", "etag"} & set(answer.headers)


class TestHead:
    async def test_says_what_get_says_without_the_bytes(self, quiet_world: World) -> None:
        media_id = await approved(quiet_world)
        async with gated(quiet_world, **KEPT) as client:
            url = await url_of(client, media_id)
            full, head = await fetched(client, url), await fetched(client, url, "HEAD")
            known = await fetched(client, url, "HEAD", **{"If-None-Match": full.headers["etag"]})
        assert (head.status_code, head.content) == (200, b"")
        without = {name: value for name, value in full.headers.items() if name != "x-tracking-id"}
        assert {name: value for name, value in head.headers.items() if name != "x-tracking-id"} == without
        assert int(head.headers["content-length"]) == len(full.content)
        assert known.status_code == 304

    async def test_asks_for_the_same_rights(self, quiet_world: World, other_library: Library) -> None:
        media_id = await approved(quiet_world)
        assert (await quiet_world.http.head(file_url("", media_id, "source"))).status_code == 200
        uploader = bearer(await issue_key(quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE))
        stranger = bearer(await issue_key(quiet_world.db, other_library.id, Scope.MEDIA_READ))
        for caller, status in (({"Authorization": ""}, 401), (uploader, 403), (stranger, 404)):
            answer = await quiet_world.http.head(file_url("", media_id, "thumb"), headers=caller)
            assert (answer.status_code, answer.content) == (status, b"")
