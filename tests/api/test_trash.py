"""Throwing away and restoring over HTTP: closed at once, caches told, and only by whoever may."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from activities.evidence_access import place_hold
from activities.storage_usage import tend
from db.repositories.audit import Actor
from db.tables import AuditRecord, Library, TrashedItem
from mediagate.access.api_keys import Scope
from mediagate.errors import PurgeUnavailable
from mediagate.media.values import Status
from mediagate.notify.purging import MemoryPurger
from tests.api.serving import PREFIX, assert_problem, bearer
from tests.workflows import runs
from tests.world import GateWith, World, issue_key, picture
from workflows.names import trash_id

HOOK: dict[str, Any] = {"purge_url": "http://cdn.test/purge", "purge_secret": SecretStr("whsec_" + "a" * 32)}


async def admin(world: World, library: UUID | None = None) -> dict[str, str]:
    return bearer(await issue_key(world.db, library or world.library.id, Scope.ADMIN))


async def public_urls(world: World, media_id: str) -> list[str]:
    return [variant["url"] for variant in (await world.read(media_id))["variants"]]


async def opens(world: World, url: str) -> int:
    """The status that a stranger gets."""
    return (await world.http.get(url, headers={"Authorization": ""})).status_code


class TestDelete:
    async def test_closes_every_public_url_and_restore_opens_them_again(self, world: World) -> None:
        media_id, key = await runs.to_approved(world), await admin(world)
        urls = await public_urls(world, media_id)
        assert [await opens(world, url) for url in urls] == [200] * 3
        url = f"{PREFIX}/media/{media_id}"
        thrown = await world.http.delete(url, params={"reason": "spring cleaning"}, headers=key)
        assert thrown.status_code == 200
        assert [await opens(world, url) for url in urls] == [404] * 3
        shown = thrown.json()
        assert (shown["status"], shown["status_before"], shown["reason"]) == ("trashed", "approved", "spring cleaning")
        assert (await world.read(media_id))["status"] == "trashed"
        assert (await world.http.delete(url, headers=key)).json() == shown
        restored = await world.http.post(f"{url}/restore", json={}, headers=key)
        assert restored.json() == {"media_id": media_id, "status": "approved"}
        assert [await opens(world, url) for url in urls] == [200] * 3

    async def test_who_did_it_is_on_record(self, quiet_world: World) -> None:
        world, key = quiet_world, await admin(quiet_world)
        media_id = await world.seal(picture(), status=Status.REJECTED)
        headers = {**key, "X-Tracking-Id": "trash-0001"}
        await world.http.delete(f"{PREFIX}/media/{media_id}", params={"reason": "asked to"}, headers=headers)
        await world.http.post(f"{PREFIX}/media/{media_id}/restore", json={"reason": "wrong one"}, headers=headers)
        async with world.db.transaction() as tx:
            mine = select(AuditRecord).where(col(AuditRecord.subject) == f"media:{media_id}")
            acts = (await tx.session.scalars(mine.order_by(col(AuditRecord.seq)))).all()
        assert [(act.action, act.reason, act.tracking_id) for act in acts] == [
            ("media.trashed", "asked to", "trash-0001"),
            ("media.restored", "wrong one", "trash-0001"),
        ]
        assert {(act.actor, act.via[:4], act.library) for act in acts} == {("tester", "api:", world.library.slug)}

    async def test_another_tenants_is_unknown(self, quiet_world: World, other_library: Library) -> None:
        world, key = quiet_world, await admin(quiet_world, other_library.id)
        media_id = await world.seal(picture(), status=Status.REJECTED)
        for wanted in (media_id, str(uuid4())):
            assert_problem(await world.http.delete(f"{PREFIX}/media/{wanted}", headers=key), 404, "not_found")
            restored = await world.http.post(f"{PREFIX}/media/{wanted}/restore", json={}, headers=key)
            assert_problem(restored, 404, "not_found")

    async def test_what_cannot_be_is_said_so(self, quiet_world: World) -> None:
        world, key = quiet_world, await admin(quiet_world)
        undecided = await world.seal(picture(), status=Status.IN_REVIEW)
        refused = assert_problem(await world.http.delete(f"{PREFIX}/media/{undecided}", headers=key), 409, "conflict")
        assert "abort" in refused["detail"]
        held = await world.seal(picture(), status=Status.APPROVED)
        await place_hold(world.db, None, UUID(held), Actor("ada", "cli:ada"), reason="case 1")
        refused = assert_problem(await world.http.delete(f"{PREFIX}/media/{held}", headers=key), 409, "conflict")
        assert "legal hold" in refused["detail"]
        for media_id in (undecided, held):
            answer = await world.http.post(f"{PREFIX}/media/{media_id}/restore", json={}, headers=key)
            assert_problem(answer, 409, "conflict")
        too_long = await world.http.delete(f"{PREFIX}/media/{held}", params={"reason": "x" * 501}, headers=key)
        assert_problem(too_long, 422, "invalid_request")

    async def test_restoring_under_a_key_has_its_effect_once(self, quiet_world: World) -> None:
        world, key = quiet_world, {**await admin(quiet_world), "Idempotency-Key": "once"}
        media_id = await world.seal(picture(), status=Status.REJECTED)
        await world.http.delete(f"{PREFIX}/media/{media_id}", headers=key)
        answers = [await world.http.post(f"{PREFIX}/media/{media_id}/restore", json={}, headers=key) for _ in range(2)]
        assert [answer.json()["status"] for answer in answers] == ["rejected"] * 2
        assert answers[1].headers["idempotent-replayed"] == "true"

    async def test_the_trash_is_listed_by_its_status(self, quiet_world: World) -> None:
        world, key = quiet_world, await admin(quiet_world)
        media_id = await world.seal(picture(), status=Status.REJECTED)
        await world.http.delete(f"{PREFIX}/media/{media_id}", headers=key)
        listed = await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/media", params={"status": "trashed"})
        assert [item["id"] for item in listed.json()["items"]] == [media_id]


class TestCaches:
    async def test_are_told_twice(self, gate_with: GateWith) -> None:
        async with gate_with(skip_time=True, **HOOK) as world:
            media_id = await world.seal(picture(), status=Status.APPROVED)
            await world.http.delete(f"{PREFIX}/media/{media_id}", headers=await admin(world))
            await world.client.get_workflow_handle(trash_id(media_id)).result()
            purger = world.deps.purger
            assert isinstance(purger, MemoryPurger)
            assert [order.media_id for order in purger.orders.values()] == [media_id] * 2
            assert not await owed(world, media_id)

    async def test_what_was_never_public_is_not_purged(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(), **HOOK) as world:
            media_id = await world.seal(picture(), status=Status.REJECTED)
            await world.http.delete(f"{PREFIX}/media/{media_id}", headers=await admin(world))
            assert not await owed(world, media_id)

    async def test_a_start_that_was_lost_is_made_up_for(self, gate_with: GateWith) -> None:
        async with gate_with(skip_time=True, **HOOK) as world:
            media_id = await world.seal(picture(), status=Status.APPROVED)
            async with world.db.transaction() as tx:
                await tx.media.move(await tx.media.get(UUID(media_id), lock=True), Status.TRASHED)
                item = TrashedItem(
                    media_id=UUID(media_id),
                    library_id=world.library.id,
                    status_before=Status.APPROVED,
                    round=0,
                    trashed_by="ada",
                    erase_after=(await tx.media.get(UUID(media_id))).created_at + timedelta(days=1),
                    purge_owed=True,
                )
                tx.trash.put(item)
            await tend(world.deps, purges_after=timedelta(seconds=-60), limit=500)
            await world.client.get_workflow_handle(trash_id(media_id)).result()
            assert not await owed(world, media_id)

    async def test_a_hook_that_is_away_is_told_of(self, gate_with: GateWith) -> None:
        async with gate_with(skip_time=True, **HOOK) as world:
            purger = world.deps.purger
            assert isinstance(purger, MemoryPurger)
            purger.trouble = PurgeUnavailable(retry_after=600)
            media_id = await world.seal(picture(), status=Status.APPROVED)
            await world.http.delete(f"{PREFIX}/media/{media_id}", headers=await admin(world))
            await runs.until(lambda: alerted(world, media_id))
            purger.trouble = None
            await world.client.get_workflow_handle(trash_id(media_id)).result()
            assert not await owed(world, media_id)


async def owed(world: World, media_id: str) -> bool:
    """Whether caches are still to be told."""
    async with world.db.transaction() as tx:
        item = await tx.trash.get(UUID(media_id))
    assert item
    return item.purge_owed


async def alerted(world: World, media_id: str) -> bool:
    async with world.db.transaction() as tx:
        return [note.kind for note in await tx.notifications.of_media(UUID(media_id))] == ["system_alert"]
