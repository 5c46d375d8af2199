"""A well-behaved uploader: it tries again under the same `Idempotency-Key` until it has an answer."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.load import Shipment

PATIENCE = 90.0
"""Seconds after which a request that has no answer fails the test."""


class Uploader:
    """Sends files over the real API and remembers what it was promised."""

    def __init__(self, http: httpx.AsyncClient, library: str, random: Random) -> None:
        """`http`: its base URL is that of the API, and it carries a key."""
        self._http = http
        self._library = library
        self._random = random
        self.retries: Counter[str] = Counter()
        """How often something was sent again, by cause."""
        self.promised: dict[str, Shipment] = {}
        """By the media id of an answer that accepted it."""

    async def send(self, shipment: Shipment) -> str:
        """Announce, store, complete; from the beginning where the session ran out. The media id."""
        async with self._patience(shipment):
            while True:
                announced = await self._announce(shipment)
                if await self._store(announced, shipment.data) and await self._complete(announced, shipment):
                    return str(announced["media_id"])
                self.retries["announced again"] += 1

    async def send_together(self, shipments: Sequence[Shipment]) -> None:
        """One form with several files, which share their caption."""
        files = [("files", (s.filename, s.data, "image/jpeg")) for s in shipments]
        form = {"files": files, "data": {"caption": shipments[0].caption}}
        async with self._patience(shipments[0]):
            answer = await self._post(f"/libraries/{self._library}/media", again=True, **form)
        assert answer.status_code == 202, answer.text
        for shipment, item in zip(shipments, answer.json()["items"], strict=True):
            assert item.get("error") is None, item
            self._promise(item["media_id"], shipment)

    @asynccontextmanager
    async def _patience(self, shipment: Shipment) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except TimeoutError as error:
            error.add_note(f"{shipment.filename} has no answer; sent again so far: {dict(self.retries)}")
            raise

    def _promise(self, media_id: str, shipment: Shipment) -> None:
        assert self.promised.setdefault(media_id, shipment) is shipment

    async def _announce(self, shipment: Shipment) -> dict[str, Any]:
        answer = await self._post(
            f"/libraries/{self._library}/uploads",
            json={
                "filename": shipment.filename,
                "content_type": "image/jpeg",
                "file_size": len(shipment.data),
                "caption": shipment.caption,
            },
        )
        assert answer.status_code == 201, answer.text
        announced: dict[str, Any] = answer.json()
        return announced

    async def _store(self, announced: dict[str, Any], data: bytes) -> bool:
        """False if the presigned form is no longer valid."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as browser:
            while True:
                try:
                    answer = await browser.post(announced["url"], data=announced["fields"], files={"file": data})
                except httpx.TransportError:
                    await self._rest("object store away")
                    continue
                if answer.status_code < 500:
                    assert answer.status_code in {204, 403}, answer.text
                    return answer.status_code == 204
                await self._rest(f"object store {answer.status_code}")

    async def _complete(self, announced: dict[str, Any], shipment: Shipment) -> bool:
        """False if the session ran out meanwhile."""
        digest = hashlib.sha256(shipment.data).hexdigest()
        answer = await self._post(
            f"/uploads/{announced['media_id']}/complete",
            again=self._random.random() < 0.3,
            json={"upload_token": announced["upload_token"], "file_hash": digest, "file_size": len(shipment.data)},
        )
        if answer.status_code == 410:
            return False
        assert answer.status_code == 202, answer.text
        self._promise(answer.json()["media_id"], shipment)
        return True

    async def _post(self, path: str, *, again: bool = False, **request: Any) -> httpx.Response:
        """The first answer that is one; with `again` it is asked for twice and must be the same."""
        headers = {"Idempotency-Key": str(UUID(int=self._random.getrandbits(128)))}
        answer = await self._answered(path, headers=headers, **request)
        if again and answer.is_success:
            repeated = await self._answered(path, headers=headers, **request)
            assert _ids(repeated) == _ids(answer), f"{answer.text}\n{repeated.text}"
            self.retries["repeated on purpose"] += 1
        return answer

    async def _answered(self, path: str, **request: Any) -> httpx.Response:
        while True:
            try:
                answer = await self._http.post(path, **request)
            except httpx.TransportError:
                await self._rest("API away")
                continue
            in_progress = answer.status_code == 409 and _code(answer) == "request_in_progress"
            if answer.status_code < 500 and not in_progress:
                return answer
            assert answer.status_code in {409, 503}, answer.text
            await self._rest(_code(answer))

    async def _rest(self, cause: str) -> None:
        self.retries[cause] += 1
        await asyncio.sleep(self._random.uniform(0.1, 0.8))


def _ids(answer: httpx.Response) -> list[str]:
    """Of the items that an answer names. Their status may have moved on, where the first answer could not be kept."""
    document = answer.json()
    return [str(item.get("media_id")) for item in document.get("items", [document])]


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (json.JSONDecodeError, KeyError):
        return str(answer.status_code)
