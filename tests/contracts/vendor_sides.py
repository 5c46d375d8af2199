"""Vendors under the contract: each kind against the simulator over HTTP, and the twin in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from devstack.vendor_answers import plan
from devstack.wires.looks import Colour
from mediagate.errors import VendorUnavailable
from mediagate.moderation.findings import LOCAL_VENDOR, VendorEvent
from mediagate.settings import Settings
from mediagate.vendors.interface import Answers, ModerationVendor, ReadCopy, Submission, SubmissionReceipt
from mediagate.vendors.memory import MemoryVendor
from mediagate.wiring import open_vendors
from tests.contracts.loopback import served
from tests.submissions import reading
from tests.wires import WEBHOOK_SECRET, Wires, coloured

MEMORY = "memory"

_BEHAVIOUR = {Colour.RED: "reject", Colour.BLUE: "review", Colour.YELLOW: "quarantine"}


class Callback(NamedTuple):
    """What somebody posted to a callback URL."""

    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]


class Item(NamedTuple):
    """A media item as the gate hands it over."""

    submission: Submission
    read: ReadCopy

    @property
    def id(self) -> str:
        return self.submission.media_id


class Gate:
    """The gate's side of the lines: serves pictures, and keeps what is posted to the callback URLs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.pictures: dict[str, list[bytes]] = {}
        self.callbacks: dict[str, asyncio.Queue[Callback]] = {}

    def item(self, *colours: Colour, caption: str | None = None) -> Item:
        """One of these colours, each a frame. By its caption the first one counts, where captions are looked at."""
        media_id = str(uuid4())
        pictures = [coloured(colour) for colour in colours]
        self.pictures[media_id], self.callbacks[media_id] = pictures, asyncio.Queue()
        urls = [f"{self._url}/copies/{media_id}/{place}" for place in range(len(pictures))]
        submission = Submission(
            media_id=media_id,
            workflow_id=f"media-{media_id}",
            media_url=urls[0],
            frame_urls=tuple(urls[1:]),
            callback_url=f"{self._url}/hooks/{media_id}",
            caption=f"sim:{_BEHAVIOUR.get(colours[0], 'approve')}" if caption is None else caption,
            content_type="image/jpeg",
        )
        return Item(submission, reading(*pictures))

    async def called_back(self, item: Item) -> Callback:
        """The next callback about the item."""
        return await asyncio.wait_for(self.callbacks[item.id].get(), 10)


@asynccontextmanager
async def serving_gate() -> AsyncIterator[Gate]:
    """A gate on loopback."""
    app = FastAPI()

    @app.get("/copies/{media_id}/{place}")
    async def copy(media_id: str, place: int) -> Response:
        return Response(gate.pictures[media_id][place], media_type="image/jpeg")

    @app.post("/hooks/{media_id}")
    async def hook(media_id: str, request: Request) -> None:
        callback = Callback(dict(request.headers), await request.body(), dict(request.query_params))
        gate.callbacks[media_id].put_nowait(callback)

    async with served(app) as url:
        gate = Gate(url)
        yield gate


class Side(Protocol):
    """A vendor, and how its results are come by."""

    kind: str
    vendor: ModerationVendor

    async def callback(self, item: Item) -> Callback:
        """The next one that the vendor sends about an item."""

    async def go_down(self) -> None:
        """Nobody answers any more."""


class WireSide:
    """A kind of vendor against the simulator."""

    def __init__(self, kind: str, wires: Wires, gate: Gate, stack: AsyncExitStack) -> None:
        self.kind = kind
        self.wires = wires
        self._gate = gate
        self._stack = stack

    async def open(self, **changed: Any) -> ModerationVendor:
        """A vendor of this kind; `changed`: of its settings."""
        one = self.wires.vendors[self.kind].model_copy(update=changed)
        settings = Settings(vendor_name=LOCAL_VENDOR, vendors={self.kind: one})
        return (await self._stack.enter_async_context(open_vendors(settings)))[self.kind]

    async def callback(self, item: Item) -> Callback:
        return await self._gate.called_back(item)

    async def go_down(self) -> None:
        self.vendor = await self.open(url="http://127.0.0.1:9")

    async def faults(self, **faults: Any) -> None:
        await self.wires.faults(self.kind, **faults)


@asynccontextmanager
async def wire_side(kind: str, wires: Wires, gate: Gate) -> AsyncIterator[WireSide]:
    """One without faults, at the beginning and at the end."""
    async with AsyncExitStack() as stack:
        side = WireSide(kind, wires, gate, stack)
        side.vendor = await side.open()
        await wires.clear(kind)
        yield side
        await wires.clear(kind)


class AnsweringMemory(MemoryVendor):
    """The twin with results as the simulated generic vendor has them."""

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        receipt = await super().submit(submission, read)
        if submission.media_id not in self._results:
            now = datetime.now(UTC)
            planned = plan(submission.media_id, self.name, submission.caption, 0.5, now=now)
            self.answer(submission.media_id, planned.results, now=now)
        return receipt


class MemorySide:
    """The twin."""

    kind = MEMORY

    def __init__(self, *, secret: SecretStr = WEBHOOK_SECRET) -> None:
        self._memory = AnsweringMemory(secret=secret)
        self.vendor: ModerationVendor = self._memory

    async def callback(self, item: Item) -> Callback:
        return Callback(*self._memory.callback(item.id, webhook_id=uuid4().hex, now=datetime.now(UTC)), query={})

    async def go_down(self) -> None:
        self._memory.trouble = VendorUnavailable()


async def results(side: Side, item: Item) -> list[VendorEvent]:
    """What the vendor says of an item once it is submitted, by the receipt or by its callback."""
    receipt = await side.vendor.submit(item.submission, item.read)
    if receipt.events or side.vendor.capabilities.answers is Answers.AT_ONCE:
        return list(receipt.events)
    return parsed(side.vendor, await side.callback(item))


def parsed(vendor: ModerationVendor, callback: Callback) -> list[VendorEvent]:
    """The events in a callback that came now."""
    return vendor.parse_callback(callback.headers, callback.body, now=datetime.now(UTC), query=callback.query)
