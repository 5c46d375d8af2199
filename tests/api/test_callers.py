"""Who may do what: every route without a key, with a bad one, with too little of one, and with another tenant's."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import SQLModel, col

from db.tables import (
    ApiKey,
    Bank,
    Batch,
    Import,
    Library,
    Media,
    MediaDecision,
    MediaEvent,
    MediaVariant,
    Notification,
    PolicyRun,
    now,
)
from mediagate.access.api_keys import Scope
from mediagate.evidence.keys import MemoryKeys
from mediagate.media.values import Status
from mediagate.moderation.banks import EntryKind, KnownHash
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.vault import Vault
from tests.api.serving import PREFIX, assert_problem, bearer, routes
from tests.evidence import sealed
from tests.policies import stored
from tests.world import VENDOR, World, issue_key, picture

OPEN = {
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health/deep"),
}
"""Documented as open; webhooks are signed instead."""
WEBHOOK = ("POST", f"{PREFIX}/webhooks/moderation/{{vendor}}")
NEEDS = {
    ("POST", f"{PREFIX}/libraries/{{slug}}/uploads"): Scope.UPLOADS_WRITE,
    ("POST", f"{PREFIX}/libraries/{{slug}}/media"): Scope.UPLOADS_WRITE,
    ("POST", f"{PREFIX}/uploads/{{media_id}}/complete"): Scope.UPLOADS_WRITE,
    ("POST", f"{PREFIX}/media/{{media_id}}/abort"): Scope.UPLOADS_WRITE,
    ("POST", f"{PREFIX}/media/{{media_id}}/decision"): Scope.REVIEW_WRITE,
    ("POST", f"{PREFIX}/media/{{media_id}}/takedown"): Scope.REVIEW_WRITE,
    ("DELETE", f"{PREFIX}/media/{{media_id}}"): Scope.ADMIN,
    ("POST", f"{PREFIX}/media/{{media_id}}/restore"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/storage"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/media"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/notifications"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/media/{{media_id}}"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/media/{{media_id}}/timeline"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/media/{{media_id}}/duplicates"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/media/{{media_id}}/decision/card"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/media/{{media_id}}/files/{{name}}"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/settings"): Scope.MEDIA_READ,
    ("PATCH", f"{PREFIX}/libraries/{{slug}}/settings"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/texts/check"): Scope.MEDIA_READ,
    ("PUT", f"{PREFIX}/libraries/{{slug}}/watermark/image"): Scope.ADMIN,
    ("DELETE", f"{PREFIX}/libraries/{{slug}}/watermark/image"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/watermark/preview"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/evidence"): Scope.EVIDENCE_READ,
    ("POST", f"{PREFIX}/evidence/{{evidence_id}}/open"): Scope.EVIDENCE_READ,
    ("GET", f"{PREFIX}/evidence/{{evidence_id}}/accesses"): Scope.EVIDENCE_READ,
    ("PUT", f"{PREFIX}/media/{{media_id}}/legal-hold"): Scope.ADMIN,
    ("DELETE", f"{PREFIX}/media/{{media_id}}/legal-hold"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies"): Scope.MEDIA_READ,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies/validate"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies/{{number}}"): Scope.MEDIA_READ,
    ("PATCH", f"{PREFIX}/libraries/{{slug}}/policies/{{number}}"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies/{{number}}/dry-run"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies/{{number}}/shadow-report"): Scope.MEDIA_READ,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies/{{number}}/runs"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies/runs"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies/runs/{{run_id}}"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/policies/runs/{{run_id}}/items"): Scope.MEDIA_READ,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies/runs/{{run_id}}/undo"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/policies/runs/{{run_id}}/{{order}}"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/banks"): Scope.MEDIA_READ,
    ("POST", f"{PREFIX}/libraries/{{slug}}/banks"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}"): Scope.MEDIA_READ,
    ("PATCH", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/entries"): Scope.REVIEW_WRITE,
    ("POST", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/entries"): Scope.REVIEW_WRITE,
    ("POST", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/entries/{{entry_id}}/release"): Scope.ADMIN,
    ("DELETE", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/entries/{{entry_id}}"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/matches"): Scope.REVIEW_WRITE,
    ("POST", f"{PREFIX}/libraries/{{slug}}/imports"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/imports"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/imports/{{import_id}}"): Scope.MEDIA_READ,
    ("GET", f"{PREFIX}/libraries/{{slug}}/imports/{{import_id}}/items"): Scope.MEDIA_READ,
    ("POST", f"{PREFIX}/libraries/{{slug}}/imports/{{import_id}}/{{order}}"): Scope.ADMIN,
    ("POST", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/import"): Scope.ADMIN,
    ("GET", f"{PREFIX}/libraries/{{slug}}/banks/{{name}}/export"): Scope.ADMIN,
}
OPERATORS = {
    ("GET", f"{PREFIX}/vendors"): 200,
    ("GET", f"{PREFIX}/storage"): 200,
    ("GET", f"{PREFIX}/flags"): 200,
    ("GET", f"{PREFIX}/flags/{{name}}"): 404,
    ("PUT", f"{PREFIX}/flags/{{name}}"): 200,
    ("DELETE", f"{PREFIX}/flags/{{name}}"): 200,
    ("POST", f"{PREFIX}/flags/{{name}}/evaluate"): 404,
    ("POST", f"{PREFIX}/vendors/{{name}}/breaker"): 404,
    ("GET", f"{PREFIX}/dead-letters"): 200,
    ("GET", f"{PREFIX}/dead-letters/{{letter_id}}"): 404,
    ("POST", f"{PREFIX}/dead-letters/{{letter_id}}/redeliver"): 404,
}
"""About the whole deployment: for admins with a key for all libraries, who get this where nothing is there."""
HEADS = {("HEAD", f"{PREFIX}/media/{{media_id}}/files/{{name}}")}
"""Answer as GET does, without a body: tests/api/test_delivery.py."""
BODIES: dict[str, dict[str, Any]] = {
    "/uploads": {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 10},
    "/complete": {"upload_token": "x" * 43, "file_hash": "a" * 64, "file_size": 10},
    "/decision": {"verdict": "approve"},
    "/takedown": {"reason": "copyright"},
    "/abort": {},
    "/restore": {},
    "/settings": {"watermark": {"opacity": 0.4}},
    "/preview": {},
    "/check": {"text": "A boat"},
    "/open": {"reason": "case 4711"},
    "/legal-hold": {"reason": "case 4711"},
    "/banks": {"name": "source", "category": "gore"},
    "/banks/{name}": {"enabled": False},
    "/entries": {"media_id": str(UUID(int=0))},
    "/import": {"data": []},
    "/imports": {"source": "archive"},
    "/policies": {"name": "mine"},
    "/validate": {"name": "mine"},
    "/policies/{number}": {"mode": "shadow"},
    "/dry-run": {"last": 10},
    "/runs": {"mode": "dry_run"},
}
"""Bodies that are valid, so that only the caller can be what is refused."""

Call = Callable[[str, str], Awaitable[httpx.Response]]


def calling(
    world: World,
    headers: dict[str, str],
    *,
    slug: str | None = None,
    media_id: str = "",
    entry_id: str = "",
    evidence_id: str = "",
    run_id: str = "",
    import_id: str = "",
) -> Call:
    """Calls a route of the table with a valid body."""

    async def call(method: str, path: str) -> httpx.Response:
        names = {"slug": slug or world.library.slug, "media_id": media_id or str(uuid4())}
        names["entry_id"] = entry_id or str(uuid4())
        names["evidence_id"] = evidence_id or str(uuid4())
        names |= {"number": "1", "run_id": run_id or str(uuid4()), "order": "cancel"}
        names["import_id"] = import_id or str(uuid4())
        url = path.format(**names, name="source", vendor=VENDOR)
        if method == "POST" and path.endswith("/media"):
            files = [("files", ("a.jpg", picture(), "image/jpeg"))]
            return await world.http.post(url, files=files, headers=headers)
        if method == "PUT" and path.endswith("/image"):
            return await world.http.put(url, content=picture(), headers=headers)
        body = next((body for end, body in BODIES.items() if path.endswith(end)), None)
        return await world.http.request(method, url, json=body, headers=headers)

    return call


async def banked(world: World) -> str:
    """An entry of a bank that has the name which `calling` puts into paths."""
    bank = Bank(library_id=world.library.id, name="source", category="gore")
    async with world.db.transaction() as tx:
        await tx.banks.add(bank)
        (entry,) = await tx.banks.restore(bank.id, [KnownHash(EntryKind.SHA256, "a" * 64)], by="ada")
    return str(entry.id)


async def policied(world: World, media_id: str) -> str:
    """A run of the library's first policy, and a decision on the item."""
    policy = await stored(world.db, world.library, "name: mine\n")
    run = PolicyRun(library_id=world.library.id, policy_id=policy.id, created_by="ada")
    opened: dict[str, Any] = {
        "final": False,
        "verdict": "review",
        "policy_version": policy.version,
        "decided_by": "policy",
    }
    async with world.db.transaction() as tx:
        await tx.policies.begin_run(run)
        await tx.decisions.record(MediaDecision(media_id=UUID(media_id), **opened))
    return str(run.id)


async def imported(world: World) -> str:
    """An import that has ended."""
    one = Import(library_id=world.library.id, id=uuid4(), source="archive", at_once=1, created_by="ada", ended_at=now())
    async with world.db.transaction() as tx:
        await tx.imports.begin(one)
    return str(one.id)


class TestEveryRoute:
    def test_each_is_in_one_of_the_lists(self) -> None:
        assert set(routes()) == OPEN | {WEBHOOK} | set(NEEDS) | set(OPERATORS) | HEADS

    async def test_without_a_key_there_is_nothing(self, quiet_world: World) -> None:
        call = calling(quiet_world, {"Authorization": ""})
        for method, path in NEEDS:
            answer = await call(method, path)
            assert_problem(answer, 401, "not_authenticated")
            assert answer.headers["www-authenticate"] == "Bearer"

    async def test_the_open_ones_ask_for_none(self, quiet_world: World) -> None:
        call = calling(quiet_world, {"Authorization": ""})
        statuses = {path: (await call(method, path)).status_code for method, path in OPEN}
        # No worker serves the quiet world, and the deep look says so.
        assert statuses == {path: 503 if path == "/health/deep" else 200 for _, path in OPEN}
        assert_problem(await call(*WEBHOOK), 401, "bad_signature")

    async def test_a_key_does_not_stand_in_for_a_signature(self, quiet_world: World) -> None:
        admin = bearer(await issue_key(quiet_world.db, None, Scope.ADMIN))
        assert_problem(await calling(quiet_world, admin)(*WEBHOOK), 401, "bad_signature")

    @pytest.mark.parametrize("scope", [*Scope])
    async def test_a_scope_opens_its_own_routes_only(self, quiet_world: World, scope: Scope) -> None:
        media_id = await quiet_world.seal(picture())
        key = bearer(await issue_key(quiet_world.db, quiet_world.library.id, scope))
        vault = Vault(MemoryKeys(), MemoryLockedStore(), timedelta(days=1))
        evidence_id = str((await sealed(quiet_world, vault=vault)).id)
        entry_id = await banked(quiet_world)
        run_id = await policied(quiet_world, media_id)
        ids = {"media_id": media_id, "entry_id": entry_id, "evidence_id": evidence_id, "run_id": run_id}
        call = calling(quiet_world, key, **ids, import_id=await imported(quiet_world))
        for (method, path), needed in NEEDS.items():
            answer = await call(method, path)
            if scope in {needed, Scope.ADMIN}:
                assert answer.status_code != 401, path
                assert answer.is_success or (method in {"POST", "DELETE"} and answer.json()["code"] != "not_allowed"), (
                    path
                )
            else:
                assert_problem(answer, 403, "not_allowed")


class TestOperators:
    @pytest.mark.parametrize("everywhere", [True, False])
    @pytest.mark.parametrize("scope", [*Scope])
    async def test_only_an_admin_of_all_libraries(self, quiet_world: World, scope: Scope, everywhere: bool) -> None:
        key = bearer(await issue_key(quiet_world.db, None if everywhere else quiet_world.library.id, scope))
        for (method, path), status in OPERATORS.items():
            url, body = path.format(name="nobody", letter_id=uuid4()), {"state": "open"} if "vendors" in path else {}
            answer = await quiet_world.http.request(method, url, json=body, headers=key)
            if everywhere and scope is Scope.ADMIN:
                assert answer.status_code == status, path
            else:
                assert_problem(answer, 403, "not_allowed")

    async def test_without_a_key_there_is_nothing(self, quiet_world: World) -> None:
        for method, path in OPERATORS:
            url = path.format(name="nobody", letter_id=uuid4())
            answer = await quiet_world.http.request(method, url, headers={"Authorization": ""})
            assert_problem(answer, 401, "not_authenticated")


class TestBadKeys:
    async def test_why_a_key_is_refused_is_not_told(self, quiet_world: World) -> None:
        """Revoked, expired, wrong secret, unknown, malformed: one answer."""
        revoked, expired, good = [
            await issue_key(quiet_world.db, quiet_world.library.id, Scope.MEDIA_READ) for _ in range(3)
        ]
        async with quiet_world.db.transaction() as tx:
            for token, change in ((revoked, "revoked_at"), (expired, "expires_at")):
                key = col(ApiKey.prefix) == token.split("_")[1]
                await tx.session.execute(update(ApiKey).where(key).values({change: now() - timedelta(seconds=1)}))
        other_secret = good[:-1] + ("A" if good[-1] != "A" else "B")
        other_prefix = f"mg_{'z' * 8}_{good[12:]}"
        headers = [
            *(f"Bearer {token}" for token in (revoked, expired, other_secret, other_prefix, good.upper(), "x", "mg_")),
            *("Bearer", "Bearer ", "", f"Basic {good}", good, f"Bearer {good} {good}", f"Bearer {good}\x00"),
            *("Bearer " + "x" * 5000, "Bearer mg_éééééééé_x", f"Bearer {good}'--"),
        ]
        bodies = []
        for value in headers:
            raw = value.encode("utf-8")
            answer = await quiet_world.http.get(
                f"{PREFIX}/libraries/{quiet_world.library.slug}/media", headers=[(b"Authorization", raw)]
            )
            document = assert_problem(answer, 401, "not_authenticated")
            bodies.append({name: value for name, value in document.items() if name != "tracking_id"})
        assert all(body == bodies[0] for body in bodies)
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        for spelling in ("Bearer", "bearer", "BEARER"):
            answer = await quiet_world.http.get(url, headers={"Authorization": f"{spelling} {good}"})
            assert answer.status_code == 200

    async def test_a_key_that_is_revoked_dies_at_once(self, quiet_world: World) -> None:
        token = await issue_key(quiet_world.db, quiet_world.library.id, Scope.MEDIA_READ)
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        assert (await quiet_world.http.get(url, headers=bearer(token))).status_code == 200
        async with quiet_world.db.transaction() as tx:
            key = col(ApiKey.prefix) == token.split("_")[1]
            await tx.session.execute(update(ApiKey).where(key).values(revoked_at=now()))
        assert_problem(await quiet_world.http.get(url, headers=bearer(token)), 401, "not_authenticated")


async def snapshot(world: World, library: Library) -> dict[str, list[dict[str, Any]]]:
    """Everything that is stored about a library."""
    async with world.db.transaction() as tx:
        mine = select(col(Media.id)).where(col(Media.library_id) == library.id)
        tables: list[tuple[type[SQLModel], Any]] = [
            (Library, col(Library.id) == library.id),
            (Media, col(Media.library_id) == library.id),
            (Batch, col(Batch.library_id) == library.id),
            (Notification, col(Notification.library_id) == library.id),
            (MediaVariant, col(MediaVariant.media_id).in_(mine)),
            (MediaEvent, col(MediaEvent.media_id).in_(mine)),
        ]
        found = {}
        for table, condition in tables:
            rows = (await tx.session.scalars(select(table).where(condition))).all()
            found[table.__name__] = sorted((row.model_dump() for row in rows), key=repr)
    return found


class TestOtherTenants:
    @pytest.mark.parametrize("scopes", [(Scope.ADMIN,), tuple(Scope)])
    async def test_every_id_of_a_library_is_unknown_to_another(
        self, quiet_world: World, other_library: Library, scopes: tuple[Scope, ...]
    ) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        ids = [announced["media_id"], await quiet_world.seal(data)]
        statuses = (Status.IN_REVIEW, Status.APPROVED, Status.REJECTED, Status.QUARANTINED)
        ids += [await quiet_world.seal(data, status=status) for status in statuses]
        before = await snapshot(quiet_world, quiet_world.library)
        theirs = bearer(await issue_key(quiet_world.db, other_library.id, *scopes))
        for media_id in ids:
            call = calling(quiet_world, theirs, media_id=media_id)
            unknown = calling(quiet_world, theirs, slug="nobody")
            for method, path in NEEDS:
                answer, control = await call(method, path), await unknown(method, path)
                assert (
                    assert_problem(answer, 404, "not_found")["detail"]
                    == assert_problem(control, 404, "not_found")["detail"]
                )
        token = {
            "upload_token": announced["upload_token"],
            "file_hash": sha256(data).hexdigest(),
            "file_size": len(data),
        }
        stolen = await quiet_world.http.post(
            f"{PREFIX}/uploads/{announced['media_id']}/complete", json=token, headers=theirs
        )
        assert_problem(stolen, 404, "not_found")
        assert await snapshot(quiet_world, quiet_world.library) == before
        assert (await snapshot(quiet_world, other_library))["Media"] == []

    async def test_lists_show_ones_own_only(self, quiet_world: World, other_library: Library) -> None:
        await quiet_world.seal(picture())
        theirs = bearer(await issue_key(quiet_world.db, other_library.id, Scope.MEDIA_READ))
        page = await quiet_world.http.get(f"{PREFIX}/libraries/{other_library.slug}/media", headers=theirs)
        assert page.json() == {"items": [], "next_cursor": None}

    async def test_a_key_of_no_library_sees_all(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture())
        everywhere = bearer(await issue_key(quiet_world.db, None, Scope.MEDIA_READ))
        assert (await quiet_world.http.get(f"{PREFIX}/media/{media_id}", headers=everywhere)).status_code == 200

    async def test_a_cursor_of_another_library_leads_nowhere_else(
        self, quiet_world: World, other_library: Library
    ) -> None:
        for _ in range(2):
            await quiet_world.seal(picture())
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        cursor = (await quiet_world.http.get(url, params={"limit": 1})).json()["next_cursor"]
        theirs = bearer(await issue_key(quiet_world.db, other_library.id, Scope.MEDIA_READ))
        page = await quiet_world.http.get(
            f"{PREFIX}/libraries/{other_library.slug}/media", params={"cursor": cursor}, headers=theirs
        )
        assert page.json()["items"] == []
