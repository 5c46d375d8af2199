"""What every purger does, shown on the hook's client over HTTP and on the twin."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from mediagate import wiring
from mediagate.errors import PurgeUnavailable
from mediagate.notify.purging import HookPurger, MemoryPurger, PurgeOrder, Purger
from mediagate.settings import Settings
from mediagate.vendors import signatures
from tests.contracts.loopback import served

SECRET = SecretStr("whsec_" + base64.b64encode(b"contract secret of 24 bytes!").decode())
ORDER = PurgeOrder(
    media_id="0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69",
    library="demo",
    tags=("media-0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69",),
    urls=("/api/v1/media/0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69/files/thumb",),
    reason="takedown:größe",
)


class Side(Protocol):
    """A purger, and the cache at its other end."""

    purger: Purger

    def received(self) -> dict[str, PurgeOrder]: ...
    def ask_for_patience(self, seconds: int) -> None: ...
    def recover(self) -> None: ...


class MemorySide:
    def __init__(self) -> None:
        self._memory = MemoryPurger()
        self.purger: Purger = self._memory

    def received(self) -> dict[str, PurgeOrder]:
        return self._memory.orders

    def ask_for_patience(self, seconds: int) -> None:
        self._memory.trouble = PurgeUnavailable(retry_after=seconds)

    def recover(self) -> None:
        self._memory.trouble = None


class HookSide:
    """The operator's end: checks signatures as they are told to, and answers as it is set."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.answer = Response(status_code=204)
        self.elsewhere = 0
        self._received: dict[str, PurgeOrder] = {}
        self.purger: Purger

        @self.app.post("/purge")
        async def purge(request: Request) -> Response:
            body = await request.body()
            envelope = signatures.verify([SECRET], request.headers, body, now=datetime.now(UTC))
            if self.answer.status_code < 300:
                self._received[envelope.webhook_id] = PurgeOrder.model_validate_json(body)
            return self.answer

        @self.app.post("/elsewhere")
        async def elsewhere() -> None:
            self.elsewhere += 1

    def received(self) -> dict[str, PurgeOrder]:
        return self._received

    def ask_for_patience(self, seconds: int) -> None:
        self.answer = Response(status_code=503, headers={"Retry-After": str(seconds)})

    def recover(self) -> None:
        self.answer = Response(status_code=200, content=b"done")


@pytest.fixture
async def hook() -> AsyncIterator[HookSide]:
    side = HookSide()
    async with served(side.app) as url:
        settings = Settings(purge_url=f"{url}/purge", purge_secret=SECRET)
        async with wiring.open_purger(settings) as purger:
            assert purger
            side.purger = purger
            yield side


@pytest.fixture(params=["hook", "memory"])
def side(request: pytest.FixtureRequest) -> Side:
    if request.param == "memory":
        return MemorySide()
    made: HookSide = request.getfixturevalue("hook")
    return made


class TestPurge:
    async def test_an_order_arrives_as_it_was_given(self, side: Side) -> None:
        await side.purger.purge(ORDER, order_id="order-1")
        assert side.received() == {"order-1": ORDER}

    async def test_a_repeat_is_known_by_its_id(self, side: Side) -> None:
        for order_id in ("order-1", "order-1", "order-2"):
            await side.purger.purge(ORDER, order_id=order_id)
        assert list(side.received()) == ["order-1", "order-2"]

    async def test_one_that_asks_for_patience_is_unavailable_until_it_is_back(self, side: Side) -> None:
        side.ask_for_patience(30)
        with pytest.raises(PurgeUnavailable) as refused:
            await side.purger.purge(ORDER, order_id="order-1")
        assert refused.value.retry_after == 30
        side.recover()
        await side.purger.purge(ORDER, order_id="order-1")
        assert side.received() == {"order-1": ORDER}


class TestHook:
    async def test_the_body_is_what_is_documented(self) -> None:
        assert list(ORDER.model_dump()) == ["type", "media_id", "library", "tags", "urls", "reason"]
        assert ORDER.type == "purge"

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 500, 503])
    async def test_whatever_is_no_success_is_tried_again(self, hook: HookSide, status: int) -> None:
        hook.answer = Response(status_code=status)
        with pytest.raises(PurgeUnavailable, match=str(status)):
            await hook.purger.purge(ORDER, order_id="order-1")

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_a_redirect_is_not_followed(self, hook: HookSide, status: int) -> None:
        hook.answer = Response(status_code=status, headers={"Location": "/elsewhere"})
        with pytest.raises(PurgeUnavailable, match=str(status)):
            await hook.purger.purge(ORDER, order_id="order-1")
        assert hook.elsewhere == 0

    @pytest.mark.parametrize(
        ("said", "seconds"), [("86400", 1200), ("", None), ("soon", None), ("Sat, 21 Nov 2026 00:00:00 GMT", None)]
    )
    async def test_patience_has_an_end(self, hook: HookSide, said: str, seconds: float | None) -> None:
        hook.answer = Response(status_code=429, headers={"Retry-After": said})
        with pytest.raises(PurgeUnavailable) as refused:
            await hook.purger.purge(ORDER, order_id="order-1")
        assert refused.value.retry_after == seconds

    async def test_one_that_does_not_answer_in_time_is_unavailable(self) -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until the other side gives up
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/purge"
        async with server, httpx.AsyncClient(timeout=0.05, trust_env=False) as client:
            with pytest.raises(PurgeUnavailable, match="ReadTimeout"):
                await HookPurger(url=url, secret=SECRET, client=client).purge(ORDER, order_id="order-1")

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/purge", "nonsense"])
    async def test_one_that_is_not_there_is_unavailable(self, url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(PurgeUnavailable, match="does not answer"):
                await HookPurger(url=url, secret=SECRET, client=client).purge(ORDER, order_id="order-1")

    @pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_é"])
    async def test_what_is_no_secret_shows_at_the_start(self, secret: str) -> None:
        with pytest.raises(ValueError, match="MEDIAGATE_PURGE_SECRET"):
            async with wiring.open_purger(Settings(purge_url="http://127.0.0.1:9", purge_secret=SecretStr(secret))):
                pass

    async def test_without_a_url_there_is_none(self) -> None:
        async with wiring.open_purger(Settings()) as purger:
            assert purger is None
