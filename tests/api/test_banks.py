"""Hash banks over HTTP: who may do what, lists in and out, and entries that wait for a person."""

import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.routes.banks import MOST_LIST
from db.tables import Library, Media
from mediagate.access.api_keys import Scope
from mediagate.moderation.banks import EntryKind, KnownHash
from tests.api.serving import PREFIX, assert_problem, bearer
from tests.world import World, issue_key, picture

SHA, PHASH = "ab" * 32, "0123456789abcdef"
GOOD = {"polarity": "good", "action": "approve"}


class Banks:
    """Calls about the banks of a library, with a key that has every scope there."""

    def __init__(self, world: World, token: str, slug: str | None = None) -> None:
        self.world = world
        self.headers = bearer(token)
        self.url = f"{PREFIX}/libraries/{slug or world.library.slug}/banks"

    async def call(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.world.http.request(method, f"{self.url}{path}", headers=headers, **options)

    async def made(self, **fields: Any) -> str:
        body = {"name": f"bank-{uuid4().hex[:8]}", "category": "gore", "action": "reject", **fields}
        body = {name: value for name, value in body.items() if value is not None}
        answer = await self.call("POST", json=body)
        assert answer.status_code == 201, answer.text
        return str(body["name"])

    async def send(self, name: str, text: str, content_type: str = "text/csv", **headers: str) -> httpx.Response:
        headers = {"content-type": content_type, **headers}
        return await self.call("POST", f"/{name}/import", content=text.encode(), headers=headers)

    async def entries(self, name: str, **params: Any) -> list[dict[str, Any]]:
        answer = await self.call("GET", f"/{name}/entries", params=params)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])


@pytest.fixture
async def admin(quiet_world: World) -> Banks:
    return Banks(quiet_world, await issue_key(quiet_world.db, quiet_world.library.id, Scope.ADMIN))


@pytest.fixture
async def reviewer(quiet_world: World) -> Banks:
    scopes = (Scope.REVIEW_WRITE, Scope.MEDIA_READ)
    return Banks(quiet_world, await issue_key(quiet_world.db, quiet_world.library.id, *scopes))


@pytest.fixture
async def everywhere(quiet_world: World) -> Banks:
    return Banks(quiet_world, await issue_key(quiet_world.db, None, Scope.ADMIN))


class TestBanks:
    async def test_are_made_read_and_changed(self, admin: Banks, reviewer: Banks) -> None:
        name = await admin.made(distance=6, flood_limit=5)
        shown = (await reviewer.call("GET", f"/{name}")).json()
        assert shown.pop("created_at").endswith("Z")
        assert shown == {
            "name": name,
            "everywhere": False,
            "polarity": "bad",
            "action": "reject",
            "category": "gore",
            "distance": 6,
            "flood_limit": 5,
            "enabled": True,
            "created_by": "tester",
        }
        changed = await admin.call("PATCH", f"/{name}", json={"distance": None, "enabled": False})
        assert (changed.json()["distance"], changed.json()["enabled"]) == (4, False)
        assert (await reviewer.call("GET", f"/{name}")).json() == changed.json()
        assert [bank for bank in (await reviewer.call("GET")).json()["items"] if bank["name"] == name] == [
            changed.json()
        ]

    @pytest.mark.parametrize(
        "fields",
        [
            {"action": "approve"},
            {"polarity": "good"},
            {"category": None},
            {"distance": 9},
            {"flood_limit": 0},
            {"name": "Ünsafe"},
            {"name": "x" * 64},
            {"colour": "red"},
        ],
        ids=str,
    )
    async def test_rules_that_do_not_agree_are_refused(self, admin: Banks, fields: dict[str, Any]) -> None:
        body = {"name": "b", "category": "gore", "action": "reject", **fields}
        body = {name: value for name, value in body.items() if value is not None}
        assert_problem(await admin.call("POST", json=body), 422, "invalid_request")

    @pytest.mark.parametrize(
        "patch",
        [{"action": "approve"}, {"category": ""}, {"distance": 9}, {"action": None}, {"name": "other"}],
        ids=str,
    )
    async def test_changes_that_do_not_agree_are_refused(self, admin: Banks, patch: dict[str, Any]) -> None:
        name = await admin.made()
        before = (await admin.call("GET", f"/{name}")).json()
        assert_problem(await admin.call("PATCH", f"/{name}", json=patch), 422, "invalid_request")
        assert (await admin.call("GET", f"/{name}")).json() == before

    async def test_a_name_is_taken_once(self, admin: Banks) -> None:
        name = await admin.made()
        answer = await admin.call("POST", json={"name": name, "category": "gore"})
        assert_problem(answer, 409, "conflict")

    async def test_the_same_request_again_has_the_same_answer(self, admin: Banks) -> None:
        body, headers = {"name": "once", "category": "gore"}, {"Idempotency-Key": "k-1"}
        first, second = [await admin.call("POST", json=body, headers=headers) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()


class TestForEveryLibrary:
    async def test_only_a_key_for_all_may_make_change_or_export_them(
        self, admin: Banks, reviewer: Banks, everywhere: Banks
    ) -> None:
        name = await everywhere.made(everywhere=True)
        assert (await reviewer.call("GET", f"/{name}")).json()["everywhere"] is True
        media_id = await admin.world.seal(picture())
        refused = [
            await admin.call("POST", json={"name": "mine", "category": "gore", "everywhere": True}),
            await admin.call("PATCH", f"/{name}", json={"enabled": False}),
            await admin.send(name, f"kind,value\nsha256,{SHA}\n"),
            await admin.call("GET", f"/{name}/export"),
            await admin.call("DELETE", f"/{name}/entries/{uuid4()}"),
            await reviewer.call("POST", f"/{name}/entries", json={"media_id": media_id}),
        ]
        for answer in refused:
            assert_problem(answer, 403, "not_allowed")
        assert (await everywhere.send(name, f"kind,value\nsha256,{SHA}\n")).json()["added"] == 1
        assert len(await reviewer.entries(name)) == 1

    async def test_another_tenants_bank_is_unknown(
        self, admin: Banks, everywhere: Banks, quiet_world: World, other_library: Library
    ) -> None:
        name = await Banks(quiet_world, everywhere.headers["Authorization"][7:], other_library.slug).made()
        for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/entries"), ("GET", "/export"), ("GET", "/matches")):
            answer = await admin.call(method, f"/{name}{path}", json={} if method == "PATCH" else None)
            assert_problem(answer, 404, "not_found")


class TestEntries:
    async def test_a_reviewer_adds_an_items_file_and_picture(self, admin: Banks, reviewer: Banks) -> None:
        name, data = await admin.made(), picture()
        media_id = await admin.world.seal(data)
        async with admin.world.db.transaction() as tx:
            await tx.fingerprints.put(UUID(media_id), admin.world.library.id, 0xFEDC_BA98_7654_3210)
        body = {"media_id": media_id, "note": "reported twice"}
        answer = await reviewer.call("POST", f"/{name}/entries", json=body)
        assert answer.status_code == 201
        items = {item["kind"]: item for item in answer.json()["items"]}
        assert items["sha256"]["value"] == hashlib.sha256(data).hexdigest()
        assert items["phash"]["value"] == "fedcba9876543210"
        assert {item["note"] for item in items.values()} == {"reported twice"}
        assert {item["source"] for item in items.values()} == {f"media {media_id}"}
        again = await reviewer.call("POST", f"/{name}/entries", json=body)
        assert {item["id"] for item in again.json()["items"]} == {item["id"] for item in items.values()}
        assert len(await reviewer.entries(name)) == 2

    async def test_a_hash_by_itself_needs_an_admin(self, admin: Banks, reviewer: Banks) -> None:
        name, body = await admin.made(), {"kind": "sha256", "value": SHA.upper()}
        assert_problem(await reviewer.call("POST", f"/{name}/entries", json=body), 403, "not_allowed")
        (item,) = (await admin.call("POST", f"/{name}/entries", json=body)).json()["items"]
        assert (item["value"], item["source"], item["added_by"]) == (SHA, "by hand", "tester")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"kind": "sha256"},
            {"kind": "pdq", "value": SHA},
            {"kind": "phash", "value": SHA},
            {"kind": "sha256", "value": SHA, "note": "two\nlines"},
            {"kind": "sha256", "value": SHA, "media_id": str(UUID(int=1))},
        ],
        ids=str,
    )
    async def test_what_is_no_entry_is_refused(self, admin: Banks, body: dict[str, Any]) -> None:
        name = await admin.made()
        assert_problem(await admin.call("POST", f"/{name}/entries", json=body), 422, "invalid_request")
        assert await admin.entries(name) == []

    async def test_only_items_of_the_library_whose_file_is_there(
        self, admin: Banks, everywhere: Banks, other_library: Library
    ) -> None:
        name = await admin.made()
        theirs = await admin.world.seal(picture(), library_id=other_library.id)
        announced = await admin.world.announce(picture(), sha256=SHA)
        for caller in (admin, everywhere):
            answer = await caller.call("POST", f"/{name}/entries", json={"media_id": theirs})
            assert_problem(answer, 404, "not_found")
        answer = await admin.call("POST", f"/{name}/entries", json={"media_id": announced["media_id"]})
        assert_problem(answer, 409, "conflict")

    async def test_removed_and_added_again(self, admin: Banks) -> None:
        name, body = await admin.made(), {"kind": "sha256", "value": SHA}
        (item,) = (await admin.call("POST", f"/{name}/entries", json=body)).json()["items"]
        removed = (await admin.call("DELETE", f"/{name}/entries/{item['id']}")).json()
        assert (removed["state"], removed["reviewed_by"]) == ("removed", "tester")
        assert_problem(await admin.call("POST", f"/{name}/entries/{item['id']}/release"), 409, "conflict")
        assert (await admin.send(name, f"kind,value\nsha256,{SHA}\n")).json()["known"] == 1
        assert [entry["state"] for entry in await admin.entries(name)] == ["removed"]
        (again,) = (await admin.call("POST", f"/{name}/entries", json=body)).json()["items"]
        assert (again["id"], again["state"]) == (item["id"], "active")

    async def test_pages(self, admin: Banks) -> None:
        name = await admin.made()
        await admin.send(name, "kind,value\n" + "".join(f"sha256,{number:064x}\n" for number in range(5)))
        seen, cursor = [], None
        while True:
            params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await admin.call("GET", f"/{name}/entries", params=params)).json()
            seen += [item["value"] for item in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert sorted(seen) == [f"{number:064x}" for number in range(5)]


class TestFlood:
    async def test_an_entry_that_is_held_back_is_found_released_and_told(self, admin: Banks, reviewer: Banks) -> None:
        name, data = await admin.made(flood_limit=1), picture()
        media = [await admin.world.media(await admin.world.seal(data)) for _ in range(3)]
        await reviewer.call("POST", f"/{name}/entries", json={"media_id": str(media[0].id)})
        for item in media:
            await hit(admin.world, item)
        (held,) = await reviewer.entries(name, state="quarantined")
        assert (held["floods"], held["reviewed_at"]) == (1, None)
        matches = (await reviewer.call("GET", f"/{name}/matches")).json()["items"]
        assert [(match["media_id"], match["action"], match["held"]) for match in matches] == [
            (str(media[2].id), "review", True),
            (str(media[1].id), "review", True),
            (str(media[0].id), "reject", False),
        ]
        page = (await reviewer.call("GET", f"/{name}/matches", params={"limit": 2})).json()
        rest = (await reviewer.call("GET", f"/{name}/matches", params={"cursor": page["next_cursor"]})).json()
        assert page["items"] + rest["items"] == matches
        assert_problem(await reviewer.call("POST", f"/{name}/entries/{held['id']}/release"), 403, "not_allowed")
        released = (await admin.call("POST", f"/{name}/entries/{held['id']}/release")).json()
        assert (released["state"], released["reviewed_by"]) == ("active", "tester")
        assert await reviewer.entries(name, state="quarantined") == []


class TestLists:
    async def test_twice_is_once_and_what_is_no_entry_is_told(self, admin: Banks) -> None:
        name = await admin.made()
        text = f"kind,value,note\nsha256,{SHA},=1+1\npdq,{SHA},\nphash,{PHASH},\nsha256,{SHA},again\n"
        skipped = [{"line": 3, "why": "pdq cannot be compared here: only sha256 and phash can"}]
        first = (await admin.send(name, text)).json()
        assert first == {"added": 2, "known": 1, "skipped": skipped, "skipped_count": 1}
        second = (await admin.send(name, text)).json()
        assert second == {"added": 0, "known": 3, "skipped": skipped, "skipped_count": 1}

    @pytest.mark.parametrize(("form", "content_type"), [("csv", "text/csv"), ("json", "application/json")])
    @pytest.mark.parametrize("good", [False, True])
    async def test_what_is_exported_is_imported(self, admin: Banks, form: str, content_type: str, good: bool) -> None:
        rules = {**GOOD, "category": None} if good else {}
        name, copy = await admin.made(**rules), await admin.made(**rules)
        lines = "".join(f"sha256,{number:064x},'-note,src\n" for number in range(1001))
        await admin.send(name, f"kind,value,note,source\n{lines}phash,{PHASH},,\n")
        async with admin.world.db.transaction() as tx:
            bank = await tx.banks.named(admin.world.library.id, name)
            (gone,) = await tx.banks.restore(bank.id, [KnownHash(EntryKind.SHA256, "f" * 64)], by="ada")
            await tx.banks.remove(bank.id, gone.id, by="ada")
        exported = await admin.call("GET", f"/{name}/export", params={"format": form})
        assert exported.headers["content-type"].partition(";")[0] == content_type
        assert exported.headers["content-disposition"] == f'attachment; filename="{name}.{form}"'
        report = (await admin.send(copy, exported.text, content_type)).json()
        assert report == {"added": 1002, "known": 0, "skipped": [], "skipped_count": 0}
        again = await admin.call("GET", f"/{copy}/export", params={"format": form})
        assert sorted(again.text.replace(",\n", "\n").splitlines()) == sorted(
            exported.text.replace(",\n", "\n").splitlines()
        )

    @pytest.mark.parametrize("form", ["csv", "json"])
    async def test_an_empty_bank_has_an_empty_list(self, admin: Banks, form: str) -> None:
        name = await admin.made()
        exported = await admin.call("GET", f"/{name}/export", params={"format": form})
        report = await admin.send(name, exported.text, exported.headers["content-type"])
        assert report.json() == {"added": 0, "known": 0, "skipped": [], "skipped_count": 0}

    async def test_many_bad_lines_are_counted(self, admin: Banks) -> None:
        report = (await admin.send(await admin.made(), "kind,value\n" + "md5,x\n" * 2500)).json()
        assert (len(report["skipped"]), report["skipped_count"]) == (1000, 2500)

    @pytest.mark.parametrize(
        ("text", "content_type", "status", "code"),
        [
            ("kind,value\n", "text/plain", 415, "unsupported_type"),
            ("kind,value\n", "", 415, "unsupported_type"),
            ("no header\n", "text/csv", 422, "invalid_request"),
            ("", "text/csv; charset=utf-8", 422, "invalid_request"),
            ("{}", "application/json", 422, "invalid_request"),
            ("nonsense", "application/json", 422, "invalid_request"),
        ],
    )
    async def test_what_is_no_list_is_refused(
        self, admin: Banks, text: str, content_type: str, status: int, code: str
    ) -> None:
        assert_problem(await admin.send(await admin.made(), text, content_type), status, code)

    async def test_bytes_that_are_no_text_are_refused(self, admin: Banks) -> None:
        headers = {"content-type": "text/csv"}
        answer = await admin.call("POST", f"/{await admin.made()}/import", content=b"kind\xff", headers=headers)
        assert_problem(answer, 422, "invalid_request")

    async def test_a_body_beyond_the_limit_is_refused(self, admin: Banks) -> None:
        headers = {"content-type": "text/csv", "content-length": str(MOST_LIST + 1)}
        answer = await admin.call("POST", f"/{await admin.made()}/import", content=b"x", headers=headers)
        assert_problem(answer, 413, "too_large")

    async def test_a_list_of_threat_exchange(self, admin: Banks) -> None:
        descriptors = [
            {"type": "HASH_SHA256", "raw_indicator": SHA, "status": "MALICIOUS"},
            {"type": "HASH_PDQ", "raw_indicator": SHA, "status": "MALICIOUS"},
        ]
        text = json.dumps({"data": descriptors}, indent=1)
        report = (await admin.send(await admin.made(), text, "application/json")).json()
        assert (report["added"], report["skipped_count"]) == (1, 1)
        assert report["skipped"][0]["line"] == 8


async def hit(world: World, media: Media) -> None:
    """What the pictures' step does."""
    async with world.db.transaction() as tx:
        locked = await tx.media.get(media.id, lock=True)
        await tx.banks.hit(locked, await tx.banks.agreeing(media.library_id, sha256=media.sha256 or "", phash=None))
