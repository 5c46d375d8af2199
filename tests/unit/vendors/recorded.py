"""Requests and answers as the vendors' documents show them, and a line on which they are played back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from mediagate.vendors.interface import Submission

FIXTURES = Path(__file__).parent / "fixtures"

MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
PICTURE = b"a picture"
FRAME = b"a frame"


def recorded(vendor: str, name: str) -> Any:
    """The JSON of `fixtures/{vendor}/{name}.json`, a fresh copy each time."""
    return json.loads((FIXTURES / vendor / f"{name}.json").read_text())


def submission(*, caption: str = "", frames: int = 0, content_type: str = "image/jpeg") -> Submission:
    """An item, and how many frames it has behind the first picture."""
    return Submission(
        media_id=MEDIA_ID,
        workflow_id=f"media-{MEDIA_ID}",
        media_url="http://127.0.0.1:9/media",
        frame_urls=tuple(f"http://127.0.0.1:9/frame/{place}" for place in range(1, frames + 1)),
        callback_url="",
        caption=caption,
        content_type=content_type,
    )


class Line:
    """A vendor's end of the line: gives these answers one after the other and keeps what it was sent."""

    def __init__(self, *answers: object) -> None:
        self.sent: list[httpx.Request] = []
        self._answers: Sequence[object] = answers
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    @property
    def bodies(self) -> list[Any]:
        """What was sent, as JSON."""
        return [json.loads(request.content) for request in self.sent]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[len(self.sent)]
        self.sent.append(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)
