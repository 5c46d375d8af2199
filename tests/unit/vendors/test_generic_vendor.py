"""What the generic vendor's answers over HTTP become."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.vendors.generic import GenericVendor
from mediagate.vendors.http import MAX_RETRY_AFTER
from mediagate.vendors.interface import Submission
from tests.submissions import unread

MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
SECRET = SecretStr("whsec_" + base64.b64encode(b"s" * 24).decode())
SUBMISSION = Submission(
    media_id=MEDIA_ID,
    workflow_id=f"media-{MEDIA_ID}",
    tracking_id="tr-1",
    media_url="http://127.0.0.1:8000/media",
    callback_url="http://127.0.0.1:8000/hook",
    caption="a cat",
)

Handler = Callable[[httpx.Request], httpx.Response]


def vendor(handler: Handler) -> GenericVendor:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return GenericVendor(
        name="acme", url="http://vendor/", api_key=SecretStr("key"), webhook_secrets=[SECRET], client=client
    )


def answering(status: int, body: Any = None, **headers: str) -> GenericVendor:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return vendor(lambda _: httpx.Response(status, content=content, headers=headers))


class TestSubmit:
    async def test_sends_the_documented_request(self) -> None:
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(201, json={"reference": "sub_1"})

        receipt = await vendor(handler).submit(SUBMISSION, unread)
        (request,) = seen
        assert receipt.reference == "sub_1"
        assert (request.method, str(request.url)) == ("POST", "http://vendor/v1/submissions")
        assert request.headers["Authorization"] == "Bearer key"
        assert request.headers["Idempotency-Key"] == MEDIA_ID
        assert json.loads(request.content) == SUBMISSION.model_dump(mode="json")

    async def test_without_a_key_there_is_no_authorization(self) -> None:
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={})

        client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
        keyless = GenericVendor(
            name="acme", url="http://vendor", api_key=SecretStr(""), webhook_secrets=[SECRET], client=client
        )
        await keyless.submit(SUBMISSION, unread)
        assert "Authorization" not in seen[0].headers

    async def test_without_a_reference_the_media_id_is_it(self) -> None:
        assert (await answering(202).submit(SUBMISSION, unread)).reference == MEDIA_ID

    async def test_results_may_come_at_once(self) -> None:
        receipt = await answering(200, {"events": [{"verdict": "approve"}]}).submit(SUBMISSION, unread)
        assert [event.media_id for event in receipt.events] == [MEDIA_ID]


class TestTrouble:
    @pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 500, 502, 503, 302])
    async def test_is_for_now(self, status: int) -> None:
        with pytest.raises(VendorUnavailable, match=str(status)):
            await answering(status).submit(SUBMISSION, unread)

    @pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
    async def test_a_refused_submission_is_for_good(self, status: int) -> None:
        with pytest.raises(InvalidRequest, match=str(status)):
            await answering(status).submit(SUBMISSION, unread)

    @pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
    async def test_of_the_line(self, error: type[httpx.TransportError]) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            raise error("broken", request=request)

        with pytest.raises(VendorUnavailable, match=error.__name__):
            await vendor(handler).poll(MEDIA_ID)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("7", 7.0), ("0", 0.0), ("999999", MAX_RETRY_AFTER), ("soon", None), ("-5", None), ("nan", None), ("", None)],
    )
    @pytest.mark.parametrize("status", [429, 503])
    async def test_says_when_to_try_again(self, status: int, value: str, seconds: float | None) -> None:
        with pytest.raises(VendorUnavailable) as caught:
            await answering(status, **{"Retry-After": value}).submit(SUBMISSION, unread)
        assert caught.value.retry_after == seconds

    async def test_says_so_by_a_date(self) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        with pytest.raises(VendorUnavailable) as caught:
            await answering(503, **{"Retry-After": later}).submit(SUBMISSION, unread)
        assert 90 < (caught.value.retry_after or 0) <= 100

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"[]",
            b"x" * (1024 * 1024 + 1),
            {"status": "done", "events": {}},
            {"status": "done", "events": [7]},
            {"status": "done", "events": [{"verdict": "perhaps"}]},
            {"status": "done", "events": [{"verdict": "approve", "media_id": MEDIA_ID.replace("0b", "1b")}]},
            {"status": "done", "events": [{"verdict": "approve"}] * 501},
        ],
        ids=range(8),
    )
    async def test_an_answer_that_is_not_understood(self, body: Any) -> None:
        with pytest.raises(VendorUnavailable):
            await answering(200, body).poll(MEDIA_ID)


class TestPoll:
    async def test_pending_and_unknown_are_no_result(self) -> None:
        assert await answering(200, {"status": "pending", "events": []}).poll(MEDIA_ID) == []
        assert await answering(404).poll(MEDIA_ID) == []

    async def test_a_result_without_an_id_is_known_by_its_content(self) -> None:
        first, again, other = [
            (await answering(200, {"status": "done", "events": [{"verdict": verdict}]}).poll(MEDIA_ID))[0]
            for verdict in ("approve", "approve", "reject")
        ]
        assert first.event_id == again.event_id != other.event_id
        assert first.workflow_id == f"media-{MEDIA_ID}"


class TestSettings:
    def test_a_bad_webhook_secret_shows_at_the_start(self) -> None:
        with pytest.raises(ValueError, match="webhook secret"):
            GenericVendor(
                name="acme",
                url="http://vendor",
                api_key=SecretStr(""),
                webhook_secrets=[SecretStr("whsec_!")],
                client=httpx.AsyncClient(),
            )
