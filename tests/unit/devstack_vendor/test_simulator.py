"""The vendor simulator over real HTTP: every behaviour that a caption can ask for, and a crash."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from PIL import Image
from pydantic import SecretStr

from devstack.vendor import Mode, create_app
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.settings import Settings
from mediagate.vendors.generic import GenericVendor
from mediagate.vendors.interface import Submission
from tests.contracts.loopback import served
from tests.submissions import unread

SECRET = SecretStr("whsec_" + base64.b64encode(b"simulator secret of 24 bytes").decode())


def jpeg(shade: int = 128) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, shade, shade)).save(buffer, "JPEG")
    return buffer.getvalue()


class Gate:
    """The other end: serves the moderation copy, takes webhooks and checks their signatures."""

    def __init__(self) -> None:
        self.picture = jpeg()
        self.status = 200
        self.received: asyncio.Queue[tuple[str, VendorEvent]] = asyncio.Queue()
        self.refused = asyncio.Event()
        self.app = FastAPI()
        self.app.get("/copy.jpg")(self.copy)
        self.app.post("/hook")(self.hook)

    async def copy(self) -> Response:
        return Response(self.picture, media_type="image/jpeg")

    async def hook(self, request: Request) -> Response:
        if self.status == 200:
            (event,) = self.vendor.parse_callback(
                request.headers, await request.body(), now=datetime.now(UTC), query={}
            )
            self.received.put_nowait((request.headers["webhook-id"], event))
        else:
            self.refused.set()
        return Response(status_code=self.status)

    def connect(self, url: str, client: httpx.AsyncClient) -> None:
        self.vendor = GenericVendor(
            name="simulated", url=url, api_key=SecretStr("key"), webhook_secrets=[SECRET], client=client
        )

    async def next(self) -> tuple[str, VendorEvent]:
        return await asyncio.wait_for(self.received.get(), 10)


class Bench:
    """A gate, and simulators that can be started one after the other on the same state."""

    def __init__(self, gate: Gate, url: str, state_dir: Path, client: httpx.AsyncClient) -> None:
        self.gate = gate
        self.client = client
        self.url = url
        self.settings = Settings(
            state_dir=state_dir,
            public_url=url,
            vendor_api_key=SecretStr("key"),
            vendor_webhook_secrets=(SECRET,),
        )

    @asynccontextmanager
    async def running(self, mode: Mode = "simulated") -> AsyncIterator[str]:
        async with served(create_app(self.settings, mode, pause=0.01)) as url:
            self.gate.connect(url, self.client)
            yield url

    def submission(self, behaviour: str) -> Submission:
        media_id = str(uuid4())
        return Submission(
            media_id=media_id,
            workflow_id=f"media-{media_id}",
            media_url=f"{self.url}/copy.jpg",
            callback_url=f"{self.url}/hook",
            caption=f"my cat sim:{behaviour}",
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    gate = Gate()
    async with served(gate.app) as url, httpx.AsyncClient(trust_env=False) as client:
        yield Bench(gate, url, tmp_path, client)


async def first(bench: Bench, behaviour: str) -> VendorEvent:
    async with bench.running():
        await bench.gate.vendor.submit(bench.submission(behaviour), unread)
        return (await bench.gate.next())[1]


class TestOutcomes:
    @pytest.mark.parametrize(
        ("behaviour", "verdict", "category", "score"),
        [
            ("approve", VendorVerdict.APPROVE, "nudity", 0.0301),
            ("nonsense", VendorVerdict.APPROVE, "nudity", 0.0301),
            ("reject", VendorVerdict.REJECT, "violence", 0.96),
            ("quarantine", VendorVerdict.REJECT, "csam", 0.97),
            ("review", VendorVerdict.REVIEW, "nudity", 0.6),
        ],
    )
    async def test_the_caption_chooses(
        self, bench: Bench, behaviour: str, verdict: VendorVerdict, category: str, score: float
    ) -> None:
        event = await first(bench, behaviour)
        assert (event.verdict, event.scores[category], event.final) == (verdict, score, True)

    async def test_scores_come_from_the_pixels(self, bench: Bench) -> None:
        bench.gate.picture = jpeg(255)
        assert (await first(bench, "approve")).scores["nudity"] == 0.05

    @pytest.mark.parametrize("picture", [b"", b"GIF89a", jpeg()[:300]], ids=["empty", "no JPEG", "truncated"])
    async def test_what_does_not_decode_goes_to_review(self, bench: Bench, picture: bytes) -> None:
        bench.gate.picture = picture
        event = await first(bench, "approve")
        assert (event.verdict, event.labels) == (VendorVerdict.REVIEW, ("unreadable",))

    async def test_another_picture_than_was_announced_goes_to_review(self, bench: Bench) -> None:
        async with bench.running():
            sent = bench.submission("approve").model_copy(update={"sha256": "0" * 64})
            await bench.gate.vendor.submit(sent, unread)
            assert (await bench.gate.next())[1].labels == ("unreadable",)


class TestWebhooks:
    async def test_early_comes_before_the_submission_is_answered(self, bench: Bench) -> None:
        async with bench.running():
            await bench.gate.vendor.submit(bench.submission("early"), unread)
            assert bench.gate.received.qsize() == 1

    async def test_duplicate_repeats_the_delivery_and_then_the_event(self, bench: Bench) -> None:
        async with bench.running():
            await bench.gate.vendor.submit(bench.submission("duplicate"), unread)
            received = [await bench.gate.next() for _ in range(3)]
        assert len({event.event_id for _, event in received}) == 1
        ids = [webhook_id for webhook_id, _ in received]
        assert ids[0] == ids[1] != ids[2]

    async def test_reordered_sends_the_older_event_last(self, bench: Bench) -> None:
        async with bench.running():
            await bench.gate.vendor.submit(bench.submission("reordered"), unread)
            (_, final), (_, older) = [await bench.gate.next() for _ in range(2)]
        assert final.settles
        assert not older.settles
        assert older.occurred_at < final.occurred_at

    async def test_a_refused_delivery_is_repeated_under_the_same_id(self, bench: Bench) -> None:
        bench.gate.status = 503
        async with bench.running():
            sent = bench.submission("approve")
            await bench.gate.vendor.submit(sent, unread)
            await asyncio.wait_for(bench.gate.refused.wait(), 10)
            bench.gate.status = 200
            webhook_id, event = await bench.gate.next()
        assert webhook_id == f"msg_{sent.media_id}_1"
        assert event.media_id == sent.media_id

    async def test_a_second_submission_sends_nothing_more(self, bench: Bench) -> None:
        async with bench.running():
            sent = bench.submission("early")
            await bench.gate.vendor.submit(sent, unread)
            await bench.gate.vendor.submit(sent, unread)
            # One that is sent afterwards comes next: nothing was in between.
            other = bench.submission("early")
            await bench.gate.vendor.submit(other, unread)
            received = [(await bench.gate.next())[1].media_id for _ in range(2)]
        assert received == [sent.media_id, other.media_id]


class TestPolls:
    async def test_late_waits_for_a_poll(self, bench: Bench) -> None:
        async with bench.running():
            sent = bench.submission("late")
            await bench.gate.vendor.submit(sent, unread)
            await self.decided(bench, sent.media_id)
            assert bench.gate.received.empty()
            assert await bench.gate.vendor.poll(sent.media_id) == []
            assert (await bench.gate.next())[1].verdict is VendorVerdict.APPROVE
            assert len(await bench.gate.vendor.poll(sent.media_id)) == 1

    async def test_lost_is_known_to_polls_only(self, bench: Bench) -> None:
        async with bench.running():
            sent = bench.submission("lost")
            await bench.gate.vendor.submit(sent, unread)
            await self.decided(bench, sent.media_id)
            (event,) = await bench.gate.vendor.poll(sent.media_id)
        assert event.verdict is VendorVerdict.APPROVE
        assert bench.gate.received.empty()

    async def test_silent_stays_pending(self, bench: Bench) -> None:
        async with bench.running():
            sent = bench.submission("silent")
            await bench.gate.vendor.submit(sent, unread)
            await self.decided(bench, sent.media_id)
            assert await bench.gate.vendor.poll(sent.media_id) == []
            assert await bench.gate.vendor.poll(sent.media_id) == []
        assert bench.gate.received.empty()

    async def decided(self, bench: Bench, media_id: str) -> None:
        """Wait until the simulator has made up its mind; its list of submissions shows it."""
        async with asyncio.timeout(10):
            while True:
                answer = await bench.client.get(
                    f"{bench.gate.vendor._url}/v1/submissions", headers={"Authorization": "Bearer key"}
                )
                if {item["media_id"]: item["decided"] for item in answer.json()["items"]}[media_id]:
                    return


class TestManual:
    async def test_answers_only_by_hand(self, bench: Bench) -> None:
        async with bench.running("manual") as url:
            sent = bench.submission("early")
            await bench.gate.vendor.submit(sent, unread)
            assert await bench.gate.vendor.poll(sent.media_id) == []
            answer = await self.post(bench, url, sent.media_id, {"verdict": "reject", "scores": {"spam": 1}})
            assert answer.json()["delivered"] is True
            _, event = await bench.gate.next()
            assert (event.verdict, event.scores) == (VendorVerdict.REJECT, {"spam": 1.0})
            assert await bench.gate.vendor.poll(sent.media_id) == [event]

    async def test_an_unknown_item_has_no_result(self, bench: Bench) -> None:
        async with bench.running("manual") as url:
            answer = await self.post(bench, url, str(uuid4()), {"verdict": "reject"})
        assert answer.status_code == 404

    async def post(self, bench: Bench, url: str, media_id: str, result: dict[str, Any]) -> httpx.Response:
        return await bench.client.post(
            f"{url}/v1/submissions/{media_id}/result", json=result, headers={"Authorization": "Bearer key"}
        )


class TestDoor:
    async def test_says_that_it_is_there(self, bench: Bench) -> None:
        async with bench.running() as url:
            answer = await bench.client.get(f"{url}/health")
        assert answer.json() == {"status": "ok", "name": "simulated", "mode": "simulated"}

    async def test_wants_its_key(self, bench: Bench) -> None:
        async with bench.running() as url:
            answer = await bench.client.get(f"{url}/v1/submissions", headers={"Authorization": "Bearer other"})
        assert answer.status_code == 401

    async def test_knows_loopback_only(self, bench: Bench) -> None:
        sent = bench.submission("approve").model_copy(update={"callback_url": "http://192.0.2.1/hook"})
        async with bench.running() as url:
            answer = await bench.client.post(
                f"{url}/v1/submissions", json=sent.model_dump(), headers={"Authorization": "Bearer key"}
            )
        assert answer.status_code == 422
        assert "loopback" in answer.json()["detail"]


class TestRestart:
    async def test_an_unsent_webhook_is_sent_by_the_next_process(self, bench: Bench) -> None:
        bench.gate.status = 503
        sent = bench.submission("approve")
        async with bench.running():
            await bench.gate.vendor.submit(sent, unread)
            await asyncio.wait_for(bench.gate.refused.wait(), 10)
        bench.gate.status = 200
        async with bench.running():
            assert (await bench.gate.next())[1].media_id == sent.media_id

    async def test_a_picture_that_nobody_looked_at_is_looked_at(self, bench: Bench) -> None:
        sent = bench.submission("reject")
        async with bench.running("manual"):  # takes it and does nothing, like a process that dies at once
            await bench.gate.vendor.submit(sent, unread)
        async with bench.running():
            assert (await bench.gate.next())[1].verdict is VendorVerdict.REJECT

    async def test_results_are_still_known_to_polls(self, bench: Bench) -> None:
        sent = bench.submission("early")
        async with bench.running():
            await bench.gate.vendor.submit(sent, unread)
        async with bench.running():
            assert [event.verdict for event in await bench.gate.vendor.poll(sent.media_id)] == [VendorVerdict.APPROVE]
