"""The middleware around every request, with applications that behave badly."""

import json
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from api.envelope import Envelope
from mediagate.errors import TooLarge

LIMIT = 10


def client(app: ASGIApp, *, raises: bool = False) -> httpx.AsyncClient:
    """A client of that application inside the envelope."""
    envelope = Envelope(app, max_body=lambda _path: LIMIT)
    transport = httpx.ASGITransport(envelope, raise_app_exceptions=raises)
    return httpx.AsyncClient(transport=transport, base_url="http://gate.test")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and tells its length."""
    body = await Request(scope, receive).body()
    await JSONResponse({"bytes": len(body)})(scope, receive, send)


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def crash_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("a bug after the answer began")


class TestBodies:
    @pytest.mark.parametrize(("size", "status"), [(0, 200), (LIMIT, 200), (LIMIT + 1, 413)])
    async def test_the_limit_is_taken(self, size: int, status: int) -> None:
        async with client(echo) as http:
            assert (await http.post("/", content=bytes(size))).status_code == status

    @pytest.mark.parametrize("length", ["1", "-1", "²", "many", "", "9" * 5000])
    async def test_a_length_that_lies_is_not_believed(self, length: str) -> None:
        headers = [(b"Content-Length", length.encode("latin-1"))]
        async with client(echo) as http:
            answer = await http.post("/", content=bytes(LIMIT + 1), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    async def test_a_body_is_not_read_when_its_length_says_enough(self) -> None:
        asked = []

        async def receive() -> Message:
            asked.append(1)
            return {"type": "http.request", "body": b"", "more_body": False}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
        scope["headers"] = [(b"content-length", b"11")]
        with capture_logs():
            await Envelope(echo, max_body=lambda _path: LIMIT)(scope, receive, send)
        assert (sent[0]["status"], asked) == (413, [])


class TestFailures:
    async def test_a_bug_is_a_problem_and_is_logged(self) -> None:
        with capture_logs() as logs:
            async with client(crash, raises=True) as http:
                answer = await http.get("/")
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert "a bug" not in answer.text
        assert logs[0]["event"] == "request.crashed"
        expected = {"event": "request", "method": "GET", "path": "/", "status": 500}
        assert {name: logs[-1][name] for name in expected} == expected

    @pytest.mark.parametrize("app", [crash_late])
    async def test_an_answer_that_began_is_not_begun_again(self, app: ASGIApp) -> None:
        with capture_logs() as logs:
            async with client(app, raises=True) as http:
                with pytest.raises(RuntimeError, match="after the answer began"):
                    await http.get("/")
        assert [line["event"] for line in logs] == ["request.crashed", "request"]

    async def test_a_limit_that_is_met_after_the_answer_began(self) -> None:
        async def answer_first(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await Request(scope, receive).body()

        async def chunks() -> Any:
            yield bytes(LIMIT + 1)

        async with client(answer_first, raises=True) as http:
            with pytest.raises(TooLarge):
                await http.post("/", content=chunks())


class TestUrls:
    @pytest.mark.parametrize("url", ["/a%00b", "/?q=%00", "/?%00"])
    async def test_nul_is_refused(self, url: str) -> None:
        async with client(echo) as http:
            answer = await http.get(url)
        assert (answer.status_code, json.loads(answer.text)["code"]) == (422, "invalid_request")


class TestHeaders:
    async def test_an_applications_own_are_kept(self) -> None:
        async def own(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {"Cache-Control": "private", "X-Tracking-Id": "forged-by-application"}
            await JSONResponse({}, headers=headers)(scope, receive, send)

        async with client(own) as http:
            answer = await http.get("/", headers={"X-Tracking-Id": "caller-123"})
        assert answer.headers["cache-control"] == "private"
        assert answer.headers.get_list("x-tracking-id") == ["caller-123"]
        assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_other_protocols_pass_by(self) -> None:
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        async def nothing(*_: Any) -> Any:
            return {}

        await Envelope(app, max_body=lambda _path: 0)({"type": "lifespan"}, nothing, nothing)
        assert seen == ["lifespan"]
