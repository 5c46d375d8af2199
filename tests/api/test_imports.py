"""Imports over HTTP: what is taken and refused, sent twice, looked at, and ordered about."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio.client import Client

from db.tables import Import, ImportItem, Library
from mediagate.access.api_keys import Scope
from mediagate.media.imports import ImportItemState, ImportState, item_id
from mediagate.media.values import Status
from mediagate.storage import keys
from mediagate.temporal import DATA_CONVERTER
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.imports import SOURCE, folder, importing
from tests.world import GateWith, World, issue_key
from workflows.client import Flows
from workflows.names import import_id

READ = {
    *("id", "state", "detail", "source", "prefix", "at_once", "round", "total", "waiting", "under_way", "imported"),
    *("failed", "cancelled", "outcomes", "per_second", "seconds_left", "workflow_id", "tracking_id", "created_by"),
    *("created_at", "started_at", "ended_at"),
}


@pytest.fixture
async def world(gate_with: GateWith, library: Library) -> AsyncIterator[World]:
    """A gate without workers whose library may import; its client carries an admin's key."""
    async with importing(gate_with, library, roles=()) as opened:
        opened.http.headers.update(bearer(await issue_key(opened.db, library.id, Scope.ADMIN)))
        yield opened


def url(world: World, *parts: object) -> str:
    return "/".join(map(str, (f"{PREFIX}/libraries/{world.library.slug}/imports", *parts)))


async def send(world: World, body: str | bytes, kind: str = "application/jsonl", **headers: str) -> httpx.Response:
    """A manifest."""
    headers = {"Content-Type": kind, **headers}
    return await world.http.post(url(world), params={"source": SOURCE}, content=body, headers=headers)


def lines(world: World, *objects: dict[str, Any]) -> str:
    """JSON lines; keys are below the source."""
    return "\n".join(json.dumps({**one, "key": folder(world.library) + one["key"]}) for one in objects)


async def stored(world: World, answer: httpx.Response) -> list[dict[str, Any]]:
    """The manifest as it is kept."""
    assert answer.status_code == 202, answer.text
    key = keys.manifest(world.library.slug, answer.json()["id"])
    data = await world.store.get_bytes(key, max_bytes=10**6)
    return [json.loads(line) for line in data.splitlines()]


class TestManifests:
    async def test_json_lines(self, world: World) -> None:
        body = lines(
            world,
            {"key": "a.jpg", "sha256": "A" * 64, "caption": "A boat", "tags": ["#Boat", "boat"], "filename": "b.jpg"},
            {"key": "c d.jpg"},
        )
        answer = await send(world, body)
        assert await stored(world, answer) == [
            {
                "line": 1,
                "key": folder(world.library) + "a.jpg",
                "filename": "b.jpg",
                "sha256": "a" * 64,
                "texts": {"caption": "A boat", "tags": ["boat"]},
            },
            {"line": 2, "key": folder(world.library) + "c d.jpg"},
        ]
        shown = answer.json()
        assert set(shown) == READ
        assert (shown["state"], shown["source"], shown["prefix"], shown["at_once"]) == ("listing", SOURCE, None, 20)
        assert shown["workflow_id"] == import_id(shown["id"])
        assert shown["started_at"]
        described = await world.client.get_workflow_handle(shown["workflow_id"]).describe()
        assert described.typed_search_attributes.search_attributes
        async with world.db.transaction() as tx:
            [record] = await tx.audit.page(subject=f"import:{shown['id']}", limit=5)
        assert (record.action, record.actor, record.document["objects"]) == ("import.begin", "tester", 2)

    async def test_csv(self, world: World) -> None:
        key = folder(world.library) + "a.jpg"
        place = f"s3://{world.settings.s3_bucket}/{folder(world.library)}b.jpg"
        body = f'key,url,caption,tags\n{key},,"two\nlines","boat, sea"\n,{place},,\n'
        found = await stored(world, await send(world, body, "text/csv; charset=utf-8"))
        assert found == [
            {"line": 2, "key": key, "texts": {"caption": "two\nlines", "tags": ["boat", "sea"]}},
            {"line": 4, "key": folder(world.library) + "b.jpg"},
        ]

    async def test_all_that_is_wrong_is_told_by_line(self, world: World) -> None:
        good = folder(world.library) + "a.jpg"
        body = "\n".join(
            [
                json.dumps({"key": good}),
                "{",
                "[]",
                json.dumps({"key": "elsewhere/a.jpg"}),
                json.dumps({"key": good}),
                json.dumps({"key": good, "url": "s3://x/y"}),
                json.dumps({"key": f"{folder(world.library)}b.jpg", "sha256": "no", "colour": "red"}),
                "",
                json.dumps({"url": "http://169.254.169.254/latest/meta-data"}),
            ]
        )
        detail = assert_problem(await send(world, body), 422, "invalid_request")["detail"]
        assert detail.startswith("Nothing was imported; line 2: it is not JSON; line 3: it is no JSON object; line 4: ")
        for told in (
            f"line 4: the key is not below '{folder(world.library)}'",
            "line 5: the same object as in line 1",
            "line 6: name the object by its key, or by its url",
            "line 7: sha256: ",
            "colour: Extra inputs",
            "line 9: the URL is not in the bucket of this source",
        ):
            assert told in detail
        assert (await world.http.get(url(world))).json()["items"] == []

    @pytest.mark.parametrize(
        ("kind", "body", "told"),
        [
            ("application/jsonl", b"", "names no object"),
            ("application/jsonl", b"\xff", "not UTF-8: byte 0"),
            ("application/jsonl", b"[" * 100_000, "line 1: it is not JSON"),
            ("text/csv", b"key,colour\na,red", "line 1: unknown columns: colour"),
            ("text/csv", b"key\na,b", "line 2: it has more cells than there are columns"),
            ("text/csv", b'key\n"a', "line 2: unexpected end of data"),
            ("text/csv", b'key\n"a"b', "line 2: "),
        ],
        ids=["empty", "not UTF-8", "deep", "column", "cells", "open quote", "text behind a quote"],
    )
    async def test_what_is_no_manifest(self, world: World, kind: str, body: bytes, told: str) -> None:
        assert told in assert_problem(await send(world, body, kind), 422, "invalid_request")["detail"]

    async def test_as_many_lines_as_are_allowed(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, roles=(), import_max_items=2) as world:
            world.http.headers.update(bearer(await issue_key(world.db, library.id, Scope.ADMIN)))
            objects = [{"key": f"{n}.jpg"} for n in range(3)]
            assert (await send(world, lines(world, *objects[:2]))).status_code == 202
            assert_problem(await send(world, lines(world, *objects)), 413, "too_large")

    async def test_a_body_may_be_larger_than_others(self, world: World) -> None:
        caption = "x" * 2000
        body = lines(world, *({"key": f"{n}.jpg", "caption": caption} for n in range(600)))
        assert len(body) > 1_200_000
        assert (await send(world, body)).status_code == 202


class TestPrefixes:
    async def begin(self, world: World, **body: Any) -> httpx.Response:
        return await world.http.post(url(world), json={"source": SOURCE, **body})

    async def test_all_of_the_source_by_default(self, world: World) -> None:
        shown = (await self.begin(world, caption="From the archive", at_once=3)).json()
        assert (shown["prefix"], shown["at_once"]) == (folder(world.library), 3)
        async with world.db.transaction() as tx:
            assert (await tx.imports.get(UUID(shown["id"]))).texts == {"caption": "From the archive"}

    @pytest.mark.parametrize("prefix", ["", "2019/", "2019/a", "2019"])
    async def test_below_that_of_the_source(self, world: World, prefix: str) -> None:
        answer = await self.begin(world, prefix=folder(world.library) + prefix)
        assert answer.json()["prefix"] == folder(world.library) + prefix

    @pytest.mark.parametrize("prefix", ["{own}/../", "{own}-other/", "imports/", "staging/", "/{own}/", "{own}//"])
    async def test_nowhere_else(self, world: World, prefix: str) -> None:
        prefix = prefix.format(own=folder(world.library).rstrip("/"))
        detail = assert_problem(await self.begin(world, prefix=prefix), 422, "invalid_request")["detail"]
        assert detail.startswith("prefix: ")

    @pytest.mark.parametrize(
        "body",
        [{"source": "Archive"}, {"at_once": 0}, {"at_once": 501}, {"tags": [""]}, {"url": "http://x"}, {"at_once": 21}],
        ids=["name", "too few", "far too many", "tag", "url", "too many"],
    )
    async def test_what_is_refused(self, world: World, body: dict[str, Any]) -> None:
        assert_problem(await self.begin(world, **body), 422, "invalid_request")

    async def test_a_source_of_nobody_and_one_of_others_are_unknown_alike(self, world: World) -> None:
        theirs = world.settings.import_sources[SOURCE].model_copy(update={"libraries": ("another",)})
        gate = replace(
            gate_of(world), settings=world.settings.model_copy(update={"import_sources": {"theirs": theirs}})
        )
        async with serving(gate, dict(world.http.headers)) as http:
            details = []
            for name in ("theirs", "nobody"):
                for sent in ({"json": {"source": name}}, {"params": {"source": name}, "content": "{}"}):
                    kind = {} if "json" in sent else {"Content-Type": "text/csv"}
                    answer = await http.post(url(world), headers=kind, **sent)
                    details.append(assert_problem(answer, 404, "not_found")["detail"].replace(name, "NAME"))
        assert len(set(details)) == 1

    async def test_a_manifest_names_its_source(self, world: World) -> None:
        answer = await world.http.post(url(world), content="{}", headers={"Content-Type": "application/jsonl"})
        assert "source:" in assert_problem(answer, 422, "invalid_request")["detail"]


class TestSentAgain:
    async def test_under_its_key_it_is_the_same_import(self, world: World) -> None:
        body = lines(world, {"key": "a.jpg"})
        first, second = [await send(world, body, **{"Idempotency-Key": "k-1"}) for _ in range(2)]
        assert first.json() == second.json()
        other = await send(world, lines(world, {"key": "b.jpg"}), **{"Idempotency-Key": "k-1"})
        assert_problem(other, 422, "idempotency_key_reused")
        assert len((await world.http.get(url(world))).json()["items"]) == 1

    async def test_a_library_has_few_at_a_time(self, world: World) -> None:
        answers = [await send(world, lines(world, {"key": "a.jpg"})) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429]
        assert "5 imports that have not ended" in assert_problem(answers[-1], 429, "quota_exceeded")["detail"]

    async def test_while_the_workflow_service_is_away_it_is_accepted(self, world: World) -> None:
        client = await Client.connect("127.0.0.1:1", data_converter=DATA_CONVERTER, lazy=True)
        gate = replace(gate_of(world), flows=Flows(client, prefix=world.flows.prefix))
        async with serving(gate, dict(world.http.headers)) as http:
            answer = await http.post(url(world), json={"source": SOURCE})
        assert (answer.status_code, answer.json()["started_at"]) == (202, None)


async def made(world: World, *states: ImportItemState, **fields: Any) -> Import:
    """An import that has ended, with objects in these states."""
    one = Import(id=uuid4(), library_id=world.library.id, source=SOURCE, at_once=3, created_by="ada", **fields)
    async with world.db.transaction() as tx:
        one = await tx.imports.begin(one)
        objects = [
            ImportItem(
                import_id=one.id,
                key=f"k-{n}",
                line=n,
                media_id=item_id(one.id, f"k-{n}"),
                filename=f"{n}.jpg",
                state=state,
                reason="object_missing" if state is ImportItemState.FAILED else "",
            )
            for n, state in enumerate(states)
        ]
        await tx.imports.put_items(objects)
        await tx.imports.recount(one)
    return one


class TestLooking:
    async def test_pages_newest_first(self, world: World) -> None:
        ids = [str((await made(world)).id) for _ in range(3)]
        first = (await world.http.get(url(world), params={"limit": 2})).json()
        assert [one["id"] for one in first["items"]] == ids[:0:-1]
        rest = (await world.http.get(url(world), params={"limit": 2, "cursor": first["next_cursor"]})).json()
        assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == (ids[:1], None)

    async def test_progress_rate_and_what_is_left(self, world: World) -> None:
        done, waiting = ImportItemState.IMPORTED, ImportItemState.WAITING
        one = await made(world, done, done, ImportItemState.FAILED, waiting, ImportItemState.TAKEN, worked=6.0)
        shown = (await world.http.get(url(world, one.id))).json()
        assert (shown["total"], shown["imported"], shown["failed"], shown["waiting"]) == (5, 2, 1, 2)
        assert (shown["per_second"], shown["seconds_left"]) == (0.5, 4.0)

    async def test_objects_in_their_order(self, world: World) -> None:
        one = await made(world, *[ImportItemState.FAILED, ImportItemState.TAKEN] * 2)
        media_id = item_id(one.id, "k-1")
        await world.seal(b"x", id=media_id, status=Status.REJECTED, reason="empty_file")
        first = (await world.http.get(url(world, one.id, "items"), params={"limit": 3})).json()
        cursor = first["next_cursor"]
        rest = (await world.http.get(url(world, one.id, "items"), params={"limit": 3, "cursor": cursor})).json()
        assert [item["key"] for item in first["items"] + rest["items"]] == ["k-0", "k-1", "k-2", "k-3"]
        assert first["items"][:2] == [
            {
                "key": "k-0",
                "line": 0,
                "filename": "0.jpg",
                "state": "failed",
                "media_id": None,
                "status": None,
                "reason": "object_missing",
                "detail": "",
            },
            {
                "key": "k-1",
                "line": 1,
                "filename": "1.jpg",
                "state": "waiting",
                "media_id": str(media_id),
                "status": "rejected",
                "reason": "empty_file",
                "detail": "",
            },
        ]
        for state, places in (("failed", [0, 2]), ("waiting", [1, 3])):
            some = (await world.http.get(url(world, one.id, "items"), params={"state": state})).json()
            assert [item["line"] for item in some["items"]] == places

    @pytest.mark.parametrize("cursor", ["!", "é", "LTE", "MTIz" * 20, "eA"])
    async def test_cursors_that_are_not_ours(self, world: World, cursor: str) -> None:
        one = await made(world)
        answer = await world.http.get(url(world, one.id, "items"), params={"cursor": cursor})
        assert_problem(answer, 422, "invalid_request")

    async def test_another_librarys_are_unknown(self, world: World, other_library: Library) -> None:
        one = await made(world)
        mine = f"{PREFIX}/libraries/{other_library.slug}/imports/{one.id}"
        headers = bearer(await issue_key(world.db, None, Scope.ADMIN))
        for method, path in (("GET", mine), ("GET", f"{mine}/items"), ("POST", f"{mine}/cancel")):
            assert_problem(await world.http.request(method, path, headers=headers), 404, "not_found")


class TestOrders:
    async def test_one_that_has_ended_takes_none(self, world: World) -> None:
        one = await made(world, state=ImportState.DONE, ended_at=world.library.created_at)
        for order in ("pause", "resume", "cancel", "retry"):
            assert_problem(await world.http.post(url(world, one.id, order)), 409, "conflict")
        assert (await world.http.post(url(world, one.id, "explode"))).status_code == 422

    async def test_cancelled_before_it_was_started(self, world: World) -> None:
        one = await made(world, ImportItemState.WAITING, ImportItemState.TAKEN)
        assert_problem(await world.http.post(url(world, one.id, "pause")), 409, "conflict")
        cancelled = (await world.http.post(url(world, one.id, "cancel"))).json()
        assert (cancelled["state"], cancelled["cancelled"]) == ("cancelled", 2)

    async def test_what_failed_is_tried_again(self, world: World) -> None:
        one = await made(world, ImportItemState.FAILED, state=ImportState.DONE, ended_at=world.library.created_at)
        again = (await world.http.post(url(world, one.id, "retry"))).json()
        assert (again["state"], again["round"], again["waiting"], again["ended_at"]) == ("importing", 2, 1, None)
        assert again["workflow_id"] == f"import-{one.id}-2"
        assert await world.client.get_workflow_handle(again["workflow_id"]).describe()
