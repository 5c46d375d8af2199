"""What every moderation vendor does, shown on the generic one against the simulator over HTTP, and on the twin."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr

from devstack.vendor import create_app
from mediagate.errors import BadSignature, VendorUnavailable
from mediagate.moderation.findings import VendorVerdict
from mediagate.settings import Settings
from mediagate.vendors.generic import GenericVendor
from mediagate.vendors.interface import ModerationVendor, Submission
from mediagate.vendors.local import LocalVendor
from mediagate.vendors.memory import MemoryVendor
from tests.contracts.loopback import served
from tests.submissions import unread

SECRET = SecretStr("whsec_" + base64.b64encode(b"contract secret of 24 bytes!").decode())

Callback = tuple[Mapping[str, str], bytes]


class Side(Protocol):
    """A vendor, and the hand that makes it answer."""

    vendor: ModerationVendor

    async def submitted(self) -> list[Submission]: ...
    async def answer(self, media_id: str, results: list[dict[str, Any]]) -> Callback: ...
    async def go_down(self) -> None: ...


class MemorySide:
    def __init__(self) -> None:
        self._memory = MemoryVendor(name="simulated", secret=SECRET)
        self.vendor: ModerationVendor = self._memory

    async def submitted(self) -> list[Submission]:
        return [*self._memory.submissions.values()]

    async def answer(self, media_id: str, results: list[dict[str, Any]]) -> Callback:
        self._memory.answer(media_id, results, now=datetime.now(UTC))
        return self._memory.callback(media_id, webhook_id=uuid4().hex, now=datetime.now(UTC))

    async def go_down(self) -> None:
        self._memory.trouble = VendorUnavailable()


class SimulatorSide:
    def __init__(self, url: str, client: httpx.AsyncClient, callbacks: "asyncio.Queue[Callback]") -> None:
        self._url = url
        self._client = client
        self._callbacks = callbacks
        self.vendor: ModerationVendor = GenericVendor(
            name="simulated", url=url, api_key=SecretStr(""), webhook_secrets=[SECRET], client=client
        )

    async def submitted(self) -> list[Submission]:
        answer = await self._client.get(f"{self._url}/v1/submissions")
        return [Submission.model_validate(item) for item in answer.json()["items"]]

    async def answer(self, media_id: str, results: list[dict[str, Any]]) -> Callback:
        answer = await self._client.post(f"{self._url}/v1/submissions/{media_id}/result", json=results)
        assert answer.json()["delivered"] is True
        return await asyncio.wait_for(self._callbacks.get(), 10)

    async def go_down(self) -> None:
        await self._client.aclose()
        closed = httpx.AsyncClient(trust_env=False)
        self.vendor = GenericVendor(
            name="simulated", url="http://127.0.0.1:9", api_key=SecretStr(""), webhook_secrets=[SECRET], client=closed
        )


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[SimulatorSide]:
    callbacks: asyncio.Queue[Callback] = asyncio.Queue()
    receiver = FastAPI()

    @receiver.post("/api/v1/webhooks/moderation/simulated")
    async def receive(request: Request) -> None:
        callbacks.put_nowait((dict(request.headers), await request.body()))

    async with served(receiver) as receiving, httpx.AsyncClient(trust_env=False) as client:
        settings = Settings(state_dir=tmp_path, public_url=receiving, vendor_webhook_secrets=(SECRET,))
        async with served(create_app(settings, "manual")) as url:
            yield SimulatorSide(url, client, callbacks)


@pytest.fixture(params=["simulator", "memory"])
def side(request: pytest.FixtureRequest) -> Side:
    if request.param == "memory":
        return MemorySide()
    made: SimulatorSide = request.getfixturevalue("simulator")
    return made


def submission() -> Submission:
    media_id = str(uuid4())
    return Submission(
        media_id=media_id, workflow_id=f"media-{media_id}", media_url="http://127.0.0.1:9/copy.jpg", callback_url=""
    )


class TestSubmit:
    async def test_the_same_item_twice_is_one_submission(self, side: Side) -> None:
        sent = submission()
        first = await side.vendor.submit(sent, unread)
        second = await side.vendor.submit(sent, unread)
        assert first == second
        assert await side.submitted() == [sent]


class TestPoll:
    async def test_no_result_before_there_is_one(self, side: Side) -> None:
        sent = submission()
        receipt = await side.vendor.submit(sent, unread)
        assert await side.vendor.poll(sent.media_id, reference=receipt.reference) == []

    async def test_an_unknown_item_has_none(self, side: Side) -> None:
        assert await side.vendor.poll(str(uuid4())) == []

    async def test_polling_again_gives_the_same_events(self, side: Side) -> None:
        sent = submission()
        await side.vendor.submit(sent, unread)
        await side.answer(sent.media_id, [{"verdict": "reject", "scores": {"violence": 0.9}}])
        first = await side.vendor.poll(sent.media_id)
        assert first == await side.vendor.poll(sent.media_id)
        assert [(event.verdict, event.scores) for event in first] == [(VendorVerdict.REJECT, {"violence": 0.9})]


class TestCallback:
    async def test_carries_the_same_events_as_a_poll(self, side: Side) -> None:
        sent = submission()
        await side.vendor.submit(sent, unread)
        headers, body = await side.answer(sent.media_id, [{"verdict": "review"}, {"verdict": "approve"}])
        events = side.vendor.parse_callback(headers, body, now=datetime.now(UTC), query={})
        assert [event.verdict for event in events] == [VendorVerdict.REVIEW, VendorVerdict.APPROVE]
        assert events == await side.vendor.poll(sent.media_id)
        assert {(event.media_id, event.workflow_id, event.vendor) for event in events} == {
            (sent.media_id, sent.workflow_id, "simulated")
        }

    async def test_is_refused_when_changed_unsigned_or_stale(self, side: Side) -> None:
        sent = submission()
        await side.vendor.submit(sent, unread)
        headers, body = await side.answer(sent.media_id, [{"verdict": "approve"}])
        now = datetime.now(UTC)
        for forged in [
            (headers, body.replace(b"approve", b"reject "), now),
            ({}, body, now),
            (headers, body, now + timedelta(minutes=6)),
            (headers, body, now - timedelta(minutes=6)),
        ]:
            with pytest.raises(BadSignature):
                side.vendor.parse_callback(forged[0], forged[1], now=forged[2], query={})


class TestNobody:
    """`LocalVendor`: nothing is sent, and nothing comes."""

    async def test_the_same_item_twice_is_one_submission(self) -> None:
        sent = submission()
        assert await LocalVendor().submit(sent, unread) == await LocalVendor().submit(sent, unread)

    async def test_has_no_results(self) -> None:
        sent = submission()
        receipt = await LocalVendor().submit(sent, unread)
        assert receipt.events == ()
        assert await LocalVendor().poll(sent.media_id, reference=receipt.reference) == []

    async def test_no_webhook_is_its_own(self) -> None:
        side, sent = MemorySide(), submission()
        await side.vendor.submit(sent, unread)
        headers, body = await side.answer(sent.media_id, [{"verdict": "approve"}])
        with pytest.raises(BadSignature):
            LocalVendor().parse_callback(headers, body, now=datetime.now(UTC), query={})


class TestTrouble:
    async def test_a_vendor_that_is_down_is_unavailable(self, side: Side) -> None:
        await side.go_down()
        sent = submission()
        with pytest.raises(VendorUnavailable):
            await side.vendor.submit(sent, unread)
        with pytest.raises(VendorUnavailable):
            await side.vendor.poll(sent.media_id)
