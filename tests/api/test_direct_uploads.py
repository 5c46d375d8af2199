"""Files in the request itself: one bad file never fails the others."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mediagate.media.values import MIB, Status
from tests.api.serving import PREFIX, assert_problem, gate_of, serving
from tests.world import World, picture

Part = tuple[str, bytes, str]


async def send(world: World, *parts: Part, **fields: str) -> httpx.Response:
    """Send these files (name, bytes, declared type)."""
    url = f"{PREFIX}/libraries/{world.library.slug}/media"
    return await world.http.post(url, files=[("files", part) for part in parts], data=fields)


def form(disposition: bytes, data: bytes, *, content_type: bytes = b"image/jpeg") -> bytes:
    """A multipart body of one part, written by hand: clients escape what is tried here."""
    head = b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\nContent-Type: " + content_type
    return head + b"\r\n\r\n" + data + b"\r\n--b--\r\n"


async def send_raw(world: World, body: bytes, kind: str = "multipart/form-data; boundary=b") -> httpx.Response:
    url = f"{PREFIX}/libraries/{world.library.slug}/media"
    return await world.http.post(url, content=body, headers={"Content-Type": kind})


class TestMixedFiles:
    async def test_each_has_its_own_answer_in_order(self, quiet_world: World) -> None:
        parts: list[tuple[Part, str | None]] = [
            (("good.jpg", picture(), "image/jpeg"), None),
            (("empty.jpg", b"", "image/jpeg"), "empty_file"),
            (("page.html", b"<html>", "text/html"), "unsupported_type"),
            (("x" * 300 + ".jpg", picture(), "image/jpeg"), "invalid_request"),
            (("../../up.png", picture(kind="PNG"), "image/png"), None),
            (("\u202egpj.exe", picture(seed=2), "image/jpeg"), None),
        ]
        answer = await send(quiet_world, *(part for part, _ in parts))
        assert answer.status_code == 202
        items = answer.json()["items"]
        assert [item["filename"] for item in items] == [part[0] for part, _ in parts]
        assert [(item["error"] or {}).get("code") for item in items] == [code for _, code in parts]
        taken = [item["media_id"] for item in items if item["media_id"]]
        rows = [await quiet_world.media(media_id) for media_id in taken]
        assert [row.filename for row in rows] == ["good.jpg", "up.png", "gpj.exe"]
        assert {row.status for row in rows} == {Status.ACCEPTED}
        assert {str(row.batch_id) for row in rows} == {answer.json()["batch_id"]}

    async def test_only_bad_ones_is_still_an_answer(self, quiet_world: World) -> None:
        answer = await send(quiet_world, ("a.txt", b"x", "text/plain"))
        assert answer.status_code == 202
        assert answer.json()["items"][0]["error"]["code"] == "unsupported_type"

    async def test_one_that_is_too_large(self, quiet_world: World) -> None:
        settings = quiet_world.settings.model_copy(update={"max_file_size": 50_000})
        gate = gate_of(quiet_world)
        parts = [("files", ("big.jpg", bytes(50_001), "image/jpeg")), ("files", ("a.jpg", picture(), "image/jpeg"))]
        async with serving(replace(gate, settings=settings), dict(quiet_world.http.headers)) as http:
            answer = await http.post(f"{PREFIX}/libraries/{quiet_world.library.slug}/media", files=parts)
        big, good = answer.json()["items"]
        assert (big["error"]["code"], good["status"]) == ("too_large", "accepted")

    @pytest.mark.parametrize("name", [b"a\x00.jpg", b"a\x01.jpg", b"a\x7f.jpg"])
    async def test_a_name_with_control_characters(self, quiet_world: World, name: bytes) -> None:
        answer = await send_raw(quiet_world, form(b'name="files"; filename="' + name + b'"', picture()))
        [item] = answer.json()["items"]
        assert (item["filename"], item["error"]["code"]) == (name.decode(), "invalid_request")

    @pytest.mark.parametrize("charset", ["utf-7", "punycode", "idna", "unicode_escape", "hex", "nothing", "utf-16"])
    async def test_the_caller_does_not_choose_a_codec(self, quiet_world: World, charset: str) -> None:
        body = form(rb'name="files"; filename="\ud800+2AA-.jpg"', picture())
        answer = await send_raw(quiet_world, body, f"multipart/form-data; boundary=b; charset={charset}")
        assert_problem(answer, 422, "invalid_request")

    async def test_a_name_that_is_not_utf_8_is_read_as_latin_1(self, quiet_world: World) -> None:
        body = form(b'name="files"; filename="\xe9t\xe9.jpg"', picture())
        answer = await send_raw(quiet_world, body, "multipart/form-data; boundary=b; charset=UTF-8")
        [item] = answer.json()["items"]
        assert (item["filename"], item["status"]) == ("été.jpg", "accepted")

    async def test_twenty_are_taken_and_twenty_one_are_not(self, quiet_world: World) -> None:
        parts = [(f"{n}.txt", b"x", "text/plain") for n in range(21)]
        assert_problem(await send(quiet_world, *parts), 422, "too_many_files")
        assert_problem(await send(quiet_world, *parts, *parts), 422, "too_many_files")
        answer = await send(quiet_world, *parts[:20])
        assert len(answer.json()["items"]) == 20


class TestForms:
    async def test_without_files(self, quiet_world: World) -> None:
        assert_problem(await send(quiet_world, caption="none"), 422, "invalid_request")
        other = await send_raw(quiet_world, form(b'name="other"; filename="a.jpg"', picture()))
        assert_problem(other, 422, "invalid_request")
        text = await send_raw(quiet_world, form(b'name="files"', b"a text field"))
        assert_problem(text, 422, "invalid_request")

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", "multipart/form-data; boundary=b"),
            (b"garbage", "multipart/form-data; boundary=b"),
            (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
            (b"--b\r\nX", "multipart/form-data; boundary=b"),
            (b"--b--", "multipart/form-data"),
            (b'{"files": []}', "application/json"),
            (b"files=a", "application/x-www-form-urlencoded"),
            (b"\xff\xd8", "image/jpeg"),
        ],
    )
    async def test_a_form_that_is_none(self, quiet_world: World, body: bytes, kind: str) -> None:
        assert_problem(await send_raw(quiet_world, body, kind), 422, "invalid_request")

    @pytest.mark.parametrize("caption", ["NUL \x00", "x" * 2001])
    async def test_a_caption_that_cannot_be_kept(self, quiet_world: World, caption: str) -> None:
        answer = await send(quiet_world, ("a.jpg", picture(), "image/jpeg"), caption=caption)
        assert_problem(answer, 422, "invalid_request")

    async def test_a_body_that_was_cut_takes_nothing(self, quiet_world: World) -> None:
        body = form(b'name="files"; filename="a.jpg"', picture())
        assert_problem(await send_raw(quiet_world, body[:-20]), 422, "invalid_request")
        page = await quiet_world.http.get(f"{PREFIX}/libraries/{quiet_world.library.slug}/media")
        assert page.json()["items"] == []


class TestLimits:
    @pytest.fixture
    async def small(self, quiet_world: World) -> AsyncIterator[httpx.AsyncClient]:
        """A gate whose direct uploads may have 1 MiB and a bit."""
        settings = quiet_world.settings.model_copy(update={"max_file_size": 1000, "max_files_per_request": 1})
        gate = gate_of(quiet_world)
        async with serving(replace(gate, settings=settings), dict(quiet_world.http.headers)) as http:
            yield http

    async def test_a_body_that_says_it_is_too_large(self, small: httpx.AsyncClient, quiet_world: World) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        answer = await small.post(url, files=[("files", ("a.jpg", bytes(2 * MIB), "image/jpeg"))])
        assert_problem(answer, 413, "too_large")

    @pytest.mark.parametrize(
        ("path", "kind"),
        [("media", "multipart/form-data; boundary=b"), ("uploads", "application/json"), ("uploads", "text/plain")],
    )
    async def test_a_body_that_does_not_say_its_size(
        self, small: httpx.AsyncClient, quiet_world: World, path: str, kind: str
    ) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
            for _ in range(64):
                sent += 64 * 1024
                yield bytes(64 * 1024)

        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/{path}"
        answer = await small.post(url, content=endless(), headers={"Content-Type": kind})
        assert_problem(answer, 413, "too_large")
        assert sent < 2 * MIB


class TestBatches:
    async def summaries(self, world: World) -> list[dict[str, Any]]:
        page = await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/notifications")
        return [note for note in page.json()["items"] if note["kind"] == "batch_summary"]

    async def test_one_summary_when_the_last_file_has_ended(self, world: World) -> None:
        parts = [(f"{n}.jpg", picture(64, 48, seed=n), "image/jpeg") for n in range(2)]
        broken = ("broken.jpg", b"\xff\xd8\xff nothing", "image/jpeg")
        answer = await send(world, *parts, broken)
        first, second, refused = [item["media_id"] for item in answer.json()["items"]]
        for media_id in (first, second):
            await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(first))
        await world.ended(first)
        await world.ended(refused)
        assert await self.summaries(world) == []
        await world.webhook(world.event(second, "reject", scores={"nudity": 0.95}))
        await world.ended(second)
        [summary] = await self.summaries(world)
        assert "Approved: 1" in summary["body"]
        assert "Rejected: 2" in summary["body"]
        assert "Files: 3" in summary["body"]
        assert [mail.text for mail in world.mailer.sent if mail.subject == summary["subject"]] == [summary["body"]]
