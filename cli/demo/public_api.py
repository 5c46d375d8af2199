"""The gate's public API as an uploader uses it: every POST with an `Idempotency-Key`, so that it may be sent again."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from cli.demo.files import DemoFile
from mediagate.errors import CallerError, Unavailable

Document = dict[str, Any]

AWAY = frozenset({429, 502, 503, 504})


class ApiRefused(CallerError):
    """The API did not take the request."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """`code` and `detail` as the problem document says them (RFC 9457)."""
        super().__init__(detail)
        self.answer_status = status
        self.answer_code = code

    @property
    def about_the_file(self) -> bool:
        """True if the file is why: its size, type or name; not the key, the path or the server."""
        return self.answer_status in {413, 415, 422}


class ApiUnavailable(Unavailable):
    """The API, or the object store, does not answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A POST that was answered with success, for sending it again."""

    path: str
    key: str
    body: Document | Sequence[DemoFile]
    answer: Document


class PublicApi:
    """One library, one API key."""

    def __init__(self, http: httpx.AsyncClient, library: str, *, patience: float = 60) -> None:
        """`http`: its base URL is the API's, and it carries the key. `patience`: seconds of trying again."""
        self._patience = patience
        self._http = http
        self._library = library
        self.exchanges: list[Exchange] = []

    async def announce(self, file: DemoFile) -> Document:
        """Where to send the bytes of a file."""
        body = {
            "filename": file.filename,
            "content_type": file.content_type,
            "file_size": file.size,
            "caption": file.caption,
        }
        return await self._post(f"/libraries/{self._library}/uploads", body)

    async def store(self, presigned: Document, data: bytes) -> None:
        """Send the bytes straight to the object store, without our key."""
        if presigned["method"] == "POST":
            sent: dict[str, Any] = {"data": presigned["fields"], "files": {"file": ("upload", data)}}
        else:
            sent = {"content": data}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as store:
            answer = await self._persist(
                store, presigned["method"], presigned["url"], headers=presigned["headers"], **sent
            )
        if not answer.is_success:
            raise ApiRefused(answer.status_code, "store_refused", f"The object store says {answer.text[:300]}")

    async def complete(self, presigned: Document, data: bytes) -> Document:
        """Say that the bytes are there; from the answer on the gate answers for them."""
        token, digest = presigned["upload_token"], hashlib.sha256(data).hexdigest()
        body = {"upload_token": token, "file_hash": digest, "file_size": len(data)}
        return await self._post(f"/uploads/{presigned['media_id']}/complete", body)

    async def send(self, files: Sequence[DemoFile]) -> list[Document]:
        """Send files by one multipart request; an answer for each, in their order: `media_id` or `error`."""
        answer = await self._post(f"/libraries/{self._library}/media", files)
        return list(answer["items"])

    async def decide(self, media_id: str, verdict: str, *, reason: str, note: str) -> Document:
        """A person's verdict on an item in review."""
        return await self._post(f"/media/{media_id}/decision", {"verdict": verdict, "reason": reason, "note": note})

    async def take_down(self, media_id: str, *, reason: str) -> Document:
        """Withdraw an approved item."""
        return await self._post(f"/media/{media_id}/takedown", {"reason": reason})

    async def media(self, media_id: str) -> Document:
        """Everything about an item."""
        return await self._get(f"/media/{media_id}")

    async def timeline(self, media_id: str) -> list[Document]:
        """What happened to an item."""
        return list((await self._get(f"/media/{media_id}/timeline"))["items"])

    async def newest(self) -> dict[str, str]:
        """Status by media id of the library's newest 200 items."""
        page = await self._get(f"/libraries/{self._library}/media", {"limit": "200"})
        return {item["id"]: item["status"] for item in page["items"]}

    async def notifications(self, since: str) -> list[Document]:
        """Those made at or after a moment (RFC 3339, UTC), newest first."""
        found: list[Document] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = await self._get(f"/libraries/{self._library}/notifications", query)
            found += page["items"]
            cursor = page["next_cursor"] if found and found[-1]["created_at"] >= since else None
        return [note for note in found if note["created_at"] >= since]

    async def repeat(self, exchange: Exchange, *, body: Document | None = None) -> httpx.Response:
        """Send a request again under its key, or another body under that key."""
        sent = await _encoded(exchange.body if body is None else body)
        return await self._call("POST", exchange.path, headers={"Idempotency-Key": exchange.key}, **sent)

    async def _post(self, path: str, body: Document | Sequence[DemoFile]) -> Document:
        key = uuid4().hex
        sent = await _encoded(body)
        answer = await self._call("POST", path, headers={"Idempotency-Key": key}, **sent)
        document = _document(answer)
        self.exchanges.append(Exchange(path, key, body, document))
        return document

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Document:
        return _document(await self._call("GET", path, params=params))

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        return await self._persist(self._http, method, f"/api/v1{path}", **request)

    async def _persist(self, client: httpx.AsyncClient, method: str, url: str, **request: Any) -> httpx.Response:
        """Try again while the other side is away; for requests that have one effect, however often they are sent.

        Raises:
            ApiUnavailable: it stayed away.
        """
        give_up, pause = time.monotonic() + self._patience, 0.25
        while True:
            try:
                answer = await client.request(method, url, **request)
            except httpx.TransportError as error:
                trouble = str(error) or type(error).__name__
            else:
                # Retry-After: away, too busy, or (409) still at work on the first try, perhaps of a process that died.
                if answer.status_code not in AWAY and "retry-after" not in answer.headers:
                    return answer
                trouble = f"it answered {answer.status_code}"
            if time.monotonic() + pause > give_up:
                place = client.base_url.join(url).copy_with(query=None)
                raise ApiUnavailable(f"No answer to {method} {place} within {self._patience:g} s: {trouble}.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 4)


async def _encoded(body: Document | Sequence[DemoFile]) -> dict[str, Any]:
    if isinstance(body, dict):
        return {"json": body}
    parts = [("files", (file.filename, await asyncio.to_thread(file.read), file.content_type)) for file in body]
    return {"files": parts, "data": {"caption": body[0].caption}}


def _document(answer: httpx.Response) -> Document:
    try:
        document = answer.json()
    except ValueError:
        document = {"code": "no_json", "detail": answer.text[:300]}
    if not answer.is_success or not isinstance(document, dict):
        code, detail = document.get("code", "error"), document.get("detail", answer.reason_phrase)
        raise ApiRefused(answer.status_code, str(code), str(detail))
    return document
