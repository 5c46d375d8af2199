"""What Hive's tasks become. The fixtures have the shape of its documented examples."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import BadSignature, InvalidRequest, InvalidWebhook, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors import callback_tokens
from mediagate.vendors.hive import HiveVendor
from tests.submissions import reading
from tests.unit.vendors.recorded import MEDIA_ID, recorded, submission

TASK_ID = "dd52c0d0-9ec7-11ea-98a3-4b92424b8366"
SECRET = SecretStr("whsec_" + base64.b64encode(b"s" * 24).decode())
HOOK = "https://gate.example/api/v1/webhooks/moderation/hive"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SUBMISSION = submission().model_copy(update={"callback_url": HOOK})
QUERY = dict(httpx.URL(callback_tokens.with_token(HOOK, [SECRET], vendor="hive", media_id=MEDIA_ID)).params)

Handler = Callable[[httpx.Request], httpx.Response]


def vendor(handler: Handler, **settings: Any) -> HiveVendor:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    defaults = {"api_key": SecretStr("key-1"), "webhook_secrets": [SECRET]}
    return HiveVendor(name="hive", client=client, **{**defaults, **settings})


def answering(body: object, status: int = 200) -> HiveVendor:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return vendor(lambda _: httpx.Response(status, content=content))


def fixture(name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded("hive", name)
    return found


def with_classes(*classes: tuple[str, object]) -> dict[str, Any]:
    task = fixture("task_gun")
    task["status"][0]["response"]["output"][0]["classes"] = [{"class": name, "score": score} for name, score in classes]
    return task


def heard(body: object) -> VendorEvent:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    (event,) = answering({}).parse_callback({}, content, now=NOW, query=QUERY)
    return event


class TestSubmit:
    async def test_sends_the_documented_request(self) -> None:
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json=fixture("receipt"))

        receipt = await vendor(handler, url="http://vendor/").submit(SUBMISSION, reading(b"the picture"))
        (request,) = seen
        body = request.content.decode()
        assert (receipt.reference, receipt.events, receipt.calls) == (TASK_ID, (), 1)
        assert (request.method, str(request.url)) == ("POST", "http://vendor/api/v2/task/async")
        assert request.headers["authorization"] == "token key-1"
        assert f'name="metadata"\r\n\r\n{MEDIA_ID}\r\n' in body
        assert f'name="callback_url"\r\n\r\n{HOOK}?media_id={MEDIA_ID}&token={QUERY["token"]}\r\n' in body
        assert f'name="media"; filename="{MEDIA_ID}-0.jpg"\r\nContent-Type: image/jpeg\r\n\r\nthe picture\r\n' in body

    async def test_a_receipt_may_have_the_id_only(self) -> None:
        assert (await answering({"id": TASK_ID}).submit(SUBMISSION, reading(b"x"))).reference == TASK_ID

    @pytest.mark.parametrize("receipt", [{}, {"task_id": 7}, {"id": ""}], ids=range(3))
    async def test_a_receipt_without_an_id_is_none(self, receipt: dict[str, Any]) -> None:
        with pytest.raises(VendorUnavailable, match="task_id"):
            await answering(receipt).submit(SUBMISSION, reading(b"x"))

    @pytest.mark.parametrize(("status", "error"), [(400, InvalidRequest), (403, VendorUnavailable)])
    async def test_what_a_refusal_means(self, status: int, error: type[Exception]) -> None:
        with pytest.raises(error, match=str(status)):
            await answering({"message": "no"}, status).submit(SUBMISSION, reading(b"x"))


class TestFrames:
    ANIMATION = SUBMISSION.model_copy(update={"frame_urls": ("http://127.0.0.1:8000/1",)})

    async def test_are_sent_one_by_one_and_waited_for(self) -> None:
        paths: list[str] = []
        answers = [fixture("task_gun"), with_classes(("general_nsfw", 0.4), ("gun_in_hand", 0.1))]

        def handler(request: httpx.Request) -> httpx.Response:
            paths.append(request.url.path)
            assert f"{MEDIA_ID}-{len(paths) - 1}.jpg".encode() in request.content
            return httpx.Response(200, json=answers[len(paths) - 1])

        receipt = await vendor(handler).submit(self.ANIMATION, reading(b"0", b"1"))
        (event,) = receipt.events
        assert (paths, receipt.calls) == (["/api/v2/task/sync"] * 2, 2)
        assert (event.scores["weapons"], event.scores["nudity"]) == (0.88, 0.4)
        assert event.raw == {"frames": answers}

    async def test_one_that_failed_is_tried_again_with_the_others(self) -> None:
        with pytest.raises(VendorUnavailable, match="frame 0"):
            await answering(fixture("task_failed")).submit(self.ANIMATION, reading(b"0", b"1"))

    async def test_of_another_item_are_none(self) -> None:
        with pytest.raises(VendorUnavailable, match="metadata"):
            await answering(fixture("task_gun") | {"metadata": "x"}).submit(self.ANIMATION, reading(b"0", b"1"))


class TestCallback:
    def test_becomes_one_event(self) -> None:
        event = heard(fixture("task_gun"))
        assert event.scores == {
            "nudity": 0.0001,
            "suggestive": 0.0003,
            "weapons": 0.88,
            "gore": 0.02,
            "minors": 0.01,
            "sexual_minors": 0.0001,
        }
        assert (event.verdict, event.labels, event.final) == (VendorVerdict.SCORED, ("gun_in_hand",), True)
        assert (event.media_id, event.workflow_id) == (MEDIA_ID, f"media-{MEDIA_ID}")
        assert (event.reference, event.model_version) == (TASK_ID, "visual_mod_svs_release:7")
        assert event.occurred_at == datetime(2026, 11, 20, 19, 55, 2, 312000, UTC)

    @pytest.mark.parametrize(
        ("nsfw", "child", "unsafe", "both"), [(0.9, 0.7, 0.1, 0.7), (0.2, 0.9, 0.1, 0.2), (0.1, 0.2, 0.8, 0.8)]
    )
    def test_nudity_and_a_child_are_worse_together(self, nsfw: float, child: float, unsafe: float, both: float) -> None:
        task = with_classes(("general_nsfw", nsfw), ("yes_child_present", child), ("yes_child_safety", unsafe))
        assert heard(task).scores == {"nudity": nsfw, "minors": child, "sexual_minors": both}

    def test_the_same_said_by_two_tasks_is_one_event(self) -> None:
        first, again = heard(fixture("task_gun")), heard(fixture("task_gun") | {"id": "another"})
        other = heard(with_classes(("general_nsfw", 0.49)))
        assert first.event_id == again.event_id != other.event_id

    def test_a_failed_task_asks_for_a_person(self) -> None:
        event = heard(fixture("task_failed"))
        assert (event.verdict, event.scores, event.labels) == (VendorVerdict.REVIEW, {}, ("error",))
        assert event.occurred_at == NOW

    def test_no_text_of_theirs_becomes_a_label(self) -> None:
        event = heard(with_classes(("general_nsfw", 0.9), ("<script>", 0.99)))
        assert (event.labels, event.scores) == (("general_nsfw",), {"nudity": 0.9})

    @pytest.mark.parametrize(
        ("created_on", "moment"),
        [
            ("", NOW),
            ("yesterday", NOW),
            ("0001-01-01T00:00:00+23:59", NOW),
            ("2026-11-20T01:00:00", datetime(2026, 11, 20, 1, tzinfo=UTC)),
            ("2026-11-20T01:00:00+01:00", datetime(2026, 11, 20, tzinfo=UTC)),
        ],
        ids=range(5),
    )
    def test_a_time_that_is_none_is_now(self, created_on: str, moment: datetime) -> None:
        task = fixture("task_gun")
        task["status"][0]["response"]["input"]["created_on"] = created_on
        assert heard(task).occurred_at == moment

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"[]",
            b"{}",
            b"x" * (1024 * 1024 + 1),
            fixture("task_pending"),
            fixture("task_gun") | {"metadata": None},
            fixture("task_gun") | {"metadata": "1b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"},
            fixture("task_gun") | {"id": ""},
            fixture("task_gun") | {"status": "done"},
            with_classes(("gun_in_hand", 0.2)),
            with_classes(("general_nsfw", 7.0)),
            with_classes(("general_nsfw", float("nan"))),
            with_classes(("general_nsfw", "0.5")),
            with_classes(("general_nsfw", 0.1), ("x" * 129, 0.1)),
            with_classes(*[("general_nsfw", 0.1)] * 501),
        ],
        ids=range(15),
    )
    def test_what_is_malformed_is_refused(self, body: object) -> None:
        with pytest.raises(InvalidWebhook):
            heard(body)

    @pytest.mark.parametrize("query", [{}, {**QUERY, "token": "0" * 64}, {"token": QUERY["token"]}], ids=range(3))
    def test_who_is_not_known_is_not_read(self, query: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            answering({}).parse_callback({}, b"<html>", now=NOW, query=query)


class TestPoll:
    async def test_asks_for_the_task(self) -> None:
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json=fixture("task_gun"))

        events = await vendor(handler, url="http://vendor").poll(MEDIA_ID, reference=TASK_ID)
        assert events == [heard(fixture("task_gun"))]
        assert (seen[0].method, str(seen[0].url)) == ("GET", f"http://vendor/api/v2/task?task_id={TASK_ID}")

    async def test_pending_unknown_and_unnamed_have_no_result(self) -> None:
        assert await answering(fixture("task_pending")).poll(MEDIA_ID, reference=TASK_ID) == []
        assert await answering({}, 404).poll(MEDIA_ID, reference=TASK_ID) == []
        assert await answering(fixture("task_gun")).poll(MEDIA_ID) == []

    @pytest.mark.parametrize(
        "task",
        [fixture("task_gun") | {"id": "another"}, fixture("task_gun") | {"metadata": "x"}, with_classes(("x", 0.1))],
        ids=["task", "item", "model"],
    )
    async def test_another_answer_is_none(self, task: dict[str, Any]) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await answering(task).poll(MEDIA_ID, reference=TASK_ID)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"api_key": SecretStr("")}, "api_key"),
            ({"webhook_secrets": []}, "webhook_secrets"),
            ({"webhook_secrets": [SecretStr("whsec_!")]}, "webhook secret"),
        ],
    )
    def test_what_lacks_shows_at_the_start(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            vendor(lambda _: httpx.Response(200), **settings)
