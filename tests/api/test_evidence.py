"""Evidence over HTTP: lists without content, openings with a reason and on record, legal holds."""

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db.tables import EvidenceRecord, Library
from mediagate.access.api_keys import Scope
from mediagate.evidence.keys import LocalKeys
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.evidence import restricted, seal, sealed, sealing_keys
from tests.world import GateWith, World, issue_key


@pytest.fixture
async def gate(gate_with: GateWith) -> AsyncIterator[World]:
    """A gate with a vault, and nobody who works."""
    async with gate_with(roles=(), evidence_keys=sealing_keys()) as world:
        yield world


@pytest.fixture
async def http(gate: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose key may read evidence and nothing else."""
    key = bearer(await issue_key(gate.db, gate.library.id, Scope.EVIDENCE_READ))
    async with serving(gate_of(gate), key) as client:
        yield client


@pytest.fixture
async def admin(gate: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose key may do everything."""
    async with serving(gate_of(gate), bearer(await issue_key(gate.db, gate.library.id, Scope.ADMIN))) as client:
        yield client


def open_url(record: EvidenceRecord) -> str:
    return f"{PREFIX}/evidence/{record.id}/open"


async def accesses(http: httpx.AsyncClient, record: EvidenceRecord) -> list[dict[str, Any]]:
    answer = await http.get(f"{PREFIX}/evidence/{record.id}/accesses")
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


class TestList:
    async def test_pages_newest_first_without_content_and_keys(self, gate: World, http: httpx.AsyncClient) -> None:
        made = [await sealed(gate) for _ in range(3)]
        url = f"{PREFIX}/libraries/{gate.library.slug}/evidence"
        first = (await http.get(url, params={"limit": 2})).json()
        rest = (await http.get(url, params={"limit": 2, "cursor": first["next_cursor"]})).json()
        items = [*first["items"], *rest["items"]]
        assert [item["id"] for item in items] == [str(record.id) for record in reversed(made)]
        assert rest["next_cursor"] is None
        assert items[0]["hash"] == made[2].hash
        assert items[0]["verdict"] == "reject"
        assert not {"wrapped_key", "filename", "caption"} & set(items[0])

    async def test_says_what_is_on_hold(self, gate: World, http: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        await admin.put(f"{PREFIX}/media/{record.media_id}/legal-hold", json={"reason": "court order"})
        (item,) = (await http.get(f"{PREFIX}/libraries/{gate.library.slug}/evidence")).json()["items"]
        assert item["legal_hold"] is True


class TestOpen:
    async def test_the_archive_with_the_original(self, gate: World, http: httpx.AsyncClient) -> None:
        item = await restricted(gate)
        record = await seal(gate, item.media_id)
        answer = await http.post(open_url(record), json={"reason": "case 4711"})
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == record.sha256
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            original = archive.extractfile("original")
            assert original
            assert original.read() == item.data
        assert answer.headers["content-type"] == "application/x-tar"
        assert answer.headers["content-disposition"] == f'attachment; filename="evidence-{record.seq}.tar"'
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    async def test_the_record_alone(self, gate: World, http: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        answer = await http.post(open_url(record), json={"reason": "case 4711", "what": "record"})
        assert answer.json()["media"]["id"] == str(record.media_id)
        assert answer.headers["cache-control"] == "no-store"

    async def test_every_opening_is_on_record(self, gate: World, http: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        for reason, what in (("first", "bundle"), ("second", "record")):
            answer = await http.post(open_url(record), json={"reason": reason, "what": what})
            assert answer.status_code == 200
        second, first = await accesses(http, record)
        assert (first["reason"], first["what"], first["actor"]) == ("first", "bundle", "tester")
        assert (second["reason"], second["what"]) == ("second", "record")
        assert second["prev_hash"] == first["hash"]
        assert second["tracking_id"] == answer.headers["x-tracking-id"]
        assert UUID(second["via"].removeprefix("api:"))
        url = f"{PREFIX}/evidence/{record.id}/accesses"
        page = (await http.get(url, params={"limit": 1})).json()
        rest = (await http.get(url, params={"limit": 1, "cursor": page["next_cursor"]})).json()
        assert [*page["items"], *rest["items"]] == [second, first]

    @pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 2001}, {"reason": None}])
    async def test_without_a_reason_it_stays_closed(
        self, gate: World, http: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        record = await sealed(gate)
        assert_problem(await http.post(open_url(record), json=body), 422, "invalid_request")
        assert await accesses(http, record) == []

    async def test_a_key_that_is_missing_is_said_and_the_attempt_is_on_record(
        self, gate: World, http: httpx.AsyncClient
    ) -> None:
        record = await sealed(gate)
        assert gate.deps.vault
        other = replace(gate_of(gate), vault=replace(gate.deps.vault, keys=LocalKeys(sealing_keys("k2"))))
        async with serving(other, dict(http.headers)) as client:
            answer = await client.post(open_url(record), json={"reason": "case 4711"})
        assert_problem(answer, 503, "evidence_key_missing")
        assert len(await accesses(http, record)) == 1

    async def test_without_a_vault(self, gate: World, http: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        async with serving(replace(gate_of(gate), vault=None), dict(http.headers)) as client:
            answer = await client.post(open_url(record), json={"reason": "case 4711"})
        assert_problem(answer, 503, "evidence_key_missing")
        assert await accesses(http, record) == []

    async def test_what_does_not_exist(self, http: httpx.AsyncClient) -> None:
        answer = await http.post(f"{PREFIX}/evidence/{uuid4()}/open", json={"reason": "case 4711"})
        assert_problem(answer, 404, "not_found")


class TestHolds:
    async def test_placed_and_released(self, gate: World, admin: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        url = f"{PREFIX}/media/{record.media_id}/legal-hold"
        placed = (await admin.put(url, json={"reason": "court order"})).json()
        assert (placed["reason"], placed["released_at"]) == ("court order", None)
        assert placed["placed_by"].startswith("tester (api:")
        assert (await admin.put(url, json={"reason": "again"})).json() == placed
        released = (await admin.request("DELETE", url, json={"reason": "closed"})).json()
        assert (released["id"], released["release_reason"]) == (placed["id"], "closed")
        assert released["released_at"]
        assert_problem(await admin.request("DELETE", url, json={"reason": "closed"}), 409, "conflict")

    async def test_a_reason_is_needed(self, gate: World, admin: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        url = f"{PREFIX}/media/{record.media_id}/legal-hold"
        for method in ("PUT", "DELETE"):
            assert_problem(await admin.request(method, url, json={"reason": " "}), 422, "invalid_request")

    async def test_reading_evidence_is_no_right_to_hold(self, gate: World, http: httpx.AsyncClient) -> None:
        record = await sealed(gate)
        url = f"{PREFIX}/media/{record.media_id}/legal-hold"
        assert_problem(await http.put(url, json={"reason": "court order"}), 403, "not_allowed")


class TestTenants:
    async def test_anothers_evidence_is_as_unknown_as_none(self, gate: World, other_library: Library) -> None:
        record = await sealed(gate)
        key = bearer(await issue_key(gate.db, other_library.id, Scope.ADMIN))
        async with serving(gate_of(gate), key) as theirs:
            for id_ in (record.id, uuid4()):
                answers = [
                    await theirs.post(f"{PREFIX}/evidence/{id_}/open", json={"reason": "curious"}),
                    await theirs.get(f"{PREFIX}/evidence/{id_}/accesses"),
                ]
                details = {assert_problem(answer, 404, "not_found")["detail"] for answer in answers}
                assert details == {"There is no evidence with this id."}
            page = await theirs.get(f"{PREFIX}/libraries/{other_library.slug}/evidence")
            assert page.json() == {"items": [], "next_cursor": None}
        async with gate.db.transaction() as tx:
            assert await tx.evidence.accesses(record.id, after=None, limit=5) == []
