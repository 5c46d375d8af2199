import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo.files import REFUSED, DemoFile, Expected, Route
from cli.demo.journey import TROUBLE, Journey
from cli.demo.public_api import ApiRefused, ApiUnavailable, PublicApi
from cli.demo.sending import Expedition

Answer = Callable[[httpx.Request], httpx.Response]


class FakeGate:
    """The gate's public API with one life per item: statuses are given out one at a look."""

    def __init__(self, lives: dict[str, list[str]]) -> None:
        self._lives = {name: list(statuses) for name, statuses in lives.items()}
        self.decisions: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.list_only: set[str] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if request.method == "POST":
            self.keys.append(request.headers["idempotency-key"])
        if path.endswith("/decision"):
            self.decisions.append(json.loads(request.content))
            self._lives[path.split("/")[2]] = ["approved"]
            return httpx.Response(200, json={"verdict": "approve"})
        if request.method == "POST":
            names = [name for name in [*self._lives, "empty"] if f'filename="{name}"'.encode() in request.content]
            return httpx.Response(202, json={"batch_id": "b", "items": [self._taken(name) for name in names]})
        if path.endswith("/lib/media"):
            items = [{"id": name, "status": self._next(name)} for name in self._lives]
            return httpx.Response(200, json={"items": items})
        return httpx.Response(200, json={"status": self._lives[path.split("/")[2]][0], "reason": "clean"})

    def _taken(self, name: str) -> dict[str, Any]:
        if name == "empty":
            return {"filename": name, "error": {"code": "empty_file", "detail": "The file is empty."}}
        return {"filename": name, "media_id": name, "status": "accepted"}

    def _next(self, name: str) -> str:
        life = self._lives[name]
        return life.pop(0) if len(life) > 1 else life[0]


def journey(name: str, *, by_person: bool = False, path: Path | None = None) -> Journey:
    expected = Expected(frozenset({"approved"}), by_person=by_person)
    data = None if path else name.encode()
    return Journey(DemoFile(name, name, "image/jpeg", 1, Route.MULTIPART, expected, data=data, path=path))


def stages(one: Journey) -> list[str]:
    return [stage for stage, _ in one.stages]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Answer], PublicApi]]:
    """An API client whose requests a function answers."""
    clients: list[httpx.AsyncClient] = []

    def make(answer: Answer) -> PublicApi:
        clients.append(httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://gate.test"))
        return PublicApi(clients[-1], "lib")

    yield make
    for client in clients:
        await client.aclose()


Connect = Callable[[Answer], PublicApi]


class TestExpedition:
    async def test_a_file_is_followed_to_its_end(self, connect: Connect) -> None:
        one = journey("a.jpg")
        gate = FakeGate({"a.jpg": ["processing", "awaiting_moderation", "approved"]})
        assert await Expedition(connect(gate), [one]).run(timeout=20)
        assert stages(one) == ["sent", "accepted", "processing", "awaiting_moderation", "approved"]
        assert one.mismatch == ""

    async def test_a_bad_file_of_a_form_does_not_stop_the_others(self, connect: Connect) -> None:
        good, bad = journey("a.jpg"), journey("empty")
        assert await Expedition(connect(FakeGate({"a.jpg": ["approved"]})), [good, bad]).run(timeout=20)
        assert (good.outcome, bad.outcome, bad.explanation) == ("approved", REFUSED, "The file is empty.")

    async def test_a_review_is_decided_once_in_a_persons_place(self, connect: Connect) -> None:
        one, gate = journey("a.jpg", by_person=True), FakeGate({"a.jpg": ["in_review"]})
        assert await Expedition(connect(gate), [one]).run(timeout=20)
        assert [decision["verdict"] for decision in gate.decisions] == ["approve"]
        assert stages(one)[-2:] == ["in_review", "approved"]

    async def test_a_review_that_was_not_expected_is_left_to_people(self, connect: Connect) -> None:
        one, gate = journey("a.jpg"), FakeGate({"a.jpg": ["in_review"]})
        assert await Expedition(connect(gate), [one]).run(timeout=20)
        assert (gate.decisions, one.mismatch) == ([], "waits for a person's decision")

    async def test_when_time_runs_out_the_stage_is_kept(self, connect: Connect) -> None:
        one = journey("a.jpg")
        assert not await Expedition(connect(FakeGate({"a.jpg": ["processing"]})), [one]).run(timeout=1)
        assert one.mismatch.startswith("expected approved, stuck at processing")

    @pytest.mark.parametrize(("status", "outcome"), [(415, REFUSED), (401, TROUBLE), (500, TROUBLE)])
    async def test_only_what_is_about_the_file_is_a_refusal(self, connect: Connect, status: int, outcome: str) -> None:
        one = journey("a.jpg")
        assert await Expedition(connect(lambda _: httpx.Response(status)), [one]).run(timeout=20)
        assert one.outcome == outcome

    async def test_a_file_of_a_form_that_met_trouble_is_not_refused(self, connect: Connect) -> None:
        item = {"filename": "a.jpg", "error": {"code": "storage_unavailable", "detail": "The store is away."}}
        one = journey("a.jpg")
        assert await Expedition(connect(lambda _: httpx.Response(202, json={"items": [item]})), [one]).run(timeout=20)
        assert one.outcome == TROUBLE

    async def test_a_file_that_cannot_be_read_is_trouble_of_that_file(self, connect: Connect, tmp_path: Path) -> None:
        one = journey("a.jpg", path=tmp_path / "gone.jpg")
        assert await Expedition(connect(FakeGate({})), [one]).run(timeout=20)
        assert one.outcome == TROUBLE
        assert "gone.jpg" in one.explanation


class TestPublicApi:
    async def test_a_request_is_sent_again_under_its_key_while_the_api_is_away(self, connect: Connect) -> None:
        keys: list[str] = []

        def away_once(request: httpx.Request) -> httpx.Response:
            keys.append(request.headers["idempotency-key"])
            return httpx.Response(503) if len(keys) == 1 else httpx.Response(201, json={"media_id": "m"})

        answer = await connect(away_once).announce(journey("a.jpg").file)
        assert answer == {"media_id": "m"}
        assert len(keys) == 2
        assert len(set(keys)) == 1

    async def test_an_answer_that_says_to_come_again_is_waited_for(self, connect: Connect) -> None:
        answers = [httpx.Response(409, headers={"Retry-After": "1"}), httpx.Response(200, json={"id": "m"})]
        assert await connect(lambda _: answers.pop(0)).media("m") == {"id": "m"}

    async def test_an_api_that_stays_away_is_named(self) -> None:
        def nobody(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        async with httpx.AsyncClient(transport=httpx.MockTransport(nobody), base_url="http://gate.test") as client:
            with pytest.raises(ApiUnavailable) as away:
                await PublicApi(client, "lib", patience=0).media("m")
        assert away.value.message == "No answer to GET http://gate.test/api/v1/media/m within 0 s: refused."

    async def test_a_problem_document_becomes_a_refusal_with_code_and_detail(self, connect: Connect) -> None:
        problem = {"status": 415, "code": "unsupported_type", "detail": "The type 'image/heic' is not taken."}
        api = connect(lambda _: httpx.Response(415, json=problem))
        with pytest.raises(ApiRefused, match="image/heic") as refused:
            await api.announce(journey("a.heic").file)
        assert (refused.value.answer_status, refused.value.answer_code) == (415, "unsupported_type")
        assert api.exchanges == []

    async def test_notifications_are_read_back_to_a_moment(self, connect: Connect) -> None:
        pages = {
            "": {"items": [{"id": 3, "created_at": "2026-01-03"}], "next_cursor": "more"},
            "more": {"items": [{"id": 2, "created_at": "2026-01-02"}], "next_cursor": "end"},
            "end": {"items": [{"id": 1, "created_at": "2026-01-01"}], "next_cursor": None},
        }
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.params.get("cursor", ""))
            return httpx.Response(200, json=pages[asked[-1]])

        notes = await connect(answer).notifications("2026-01-03")
        assert [note["id"] for note in notes] == [3]
        assert asked == ["", "more"]
