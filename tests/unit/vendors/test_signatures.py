"""Signatures of incoming webhooks, held to what the reference library signs."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from mediagate.errors import BadSignature
from mediagate.vendors.signatures import TOLERANCE, key, verify

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
OLD = SecretStr("whsec_" + base64.b64encode(b"old secret of 24+ bytes ....").decode())
NEW = SecretStr("whsec_" + base64.b64encode(b"new secret of 24+ bytes ....").decode())
BODY = '{"verdict": "approve", "note": "Grüße"}'


def signed(secret: SecretStr = NEW, at: datetime = NOW, body: str = BODY) -> dict[str, str]:
    signature = Webhook(secret.get_secret_value()).sign("msg_1", at, body)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


class TestGenuine:
    def test_says_its_id_and_time(self) -> None:
        envelope = verify([NEW], signed(), BODY.encode(), now=NOW)
        assert (envelope.webhook_id, envelope.sent_at) == ("msg_1", NOW)

    def test_names_of_headers_come_in_any_case(self) -> None:
        headers = {name.title(): value for name, value in signed().items()}
        assert verify([NEW], headers, BODY.encode(), now=NOW).webhook_id == "msg_1"

    def test_the_same_delivery_again_is_genuine_again(self) -> None:
        first = verify([NEW], signed(), BODY.encode(), now=NOW)
        assert verify([NEW], signed(), BODY.encode(), now=NOW + timedelta(seconds=30)) == first

    def test_one_of_several_signatures_fits(self) -> None:
        fitting = signed()["webhook-signature"]
        several = {**signed(), "webhook-signature": f"v1a,AAAA v1,!!! v1,{'A' * 43}= nonsense {fitting}"}
        assert verify([NEW], several, BODY.encode(), now=NOW).webhook_id == "msg_1"

    def test_bytes_that_are_no_text_are_signed_as_they_are(self) -> None:
        body = b"\xff\xfe\x00"
        content = f"msg_1.{int(NOW.timestamp())}.".encode() + body
        mac = hmac.digest(key(NEW), content, "sha256")
        headers = {**signed(), "webhook-signature": "v1," + base64.b64encode(mac).decode()}
        assert verify([NEW], headers, body, now=NOW).webhook_id == "msg_1"


class TestRotation:
    def test_either_secret_is_accepted_while_both_are_set(self) -> None:
        for secret in (OLD, NEW):
            assert verify([NEW, OLD], signed(secret), BODY.encode(), now=NOW).webhook_id == "msg_1"

    def test_afterwards_the_old_one_is_not(self) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], signed(OLD), BODY.encode(), now=NOW)

    def test_without_secrets_nothing_is_accepted(self) -> None:
        with pytest.raises(BadSignature):
            verify([], signed(), BODY.encode(), now=NOW)


class TestTime:
    @pytest.mark.parametrize("age", [TOLERANCE, -TOLERANCE, timedelta(0)])
    def test_within_the_tolerance_both_ways(self, age: timedelta) -> None:
        assert verify([NEW], signed(at=NOW - age), BODY.encode(), now=NOW).sent_at == NOW - age

    @pytest.mark.parametrize("age", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
    def test_stale_and_future_ones_are_refused(self, age: timedelta) -> None:
        with pytest.raises(BadSignature, match="too long ago"):
            verify([NEW], signed(at=NOW - age), BODY.encode(), now=NOW)

    def test_the_time_is_signed_too(self) -> None:
        later = {**signed(), "webhook-timestamp": str(int(NOW.timestamp()) + 60)}
        with pytest.raises(BadSignature, match="signature is wrong"):
            verify([NEW], later, BODY.encode(), now=NOW)


class TestForged:
    @pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_every_header_is_needed(self, missing: str) -> None:
        headers = {name: value for name, value in signed().items() if name != missing}
        with pytest.raises(BadSignature, match="not signed"):
            verify([NEW], headers, BODY.encode(), now=NOW)

    @pytest.mark.parametrize(
        "change",
        [
            {"webhook-id": "msg_2"},
            {"webhook-id": "x" * 256},
            {"webhook-id": "a\x00b"},
            {"webhook-id": "ü"},
            {"webhook-timestamp": "NaN"},
            {"webhook-timestamp": "1e9"},
            {"webhook-timestamp": "-1"},
            {"webhook-timestamp": "9" * 5000},
            {"webhook-timestamp": "١٧٩٥٢٥٥٢٠٠"},
            {"webhook-signature": "v1"},
            {"webhook-signature": "v1,"},
            {"webhook-signature": "v1,a,b"},
            {"webhook-signature": "v1,ü"},
            {"webhook-signature": ",".join(["v1"] * 50)},
        ],
    )
    def test_malformed_or_changed_headers_are_refused(self, change: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], {**signed(), **change}, BODY.encode(), now=NOW)

    @pytest.mark.parametrize("body", [b"", BODY.encode() + b" ", BODY.encode()[:-1], b"\xff"])
    def test_another_body_is_refused(self, body: bytes) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], signed(), body, now=NOW)

    def test_another_version_of_signature_is_not_taken(self) -> None:
        headers = {**signed(), "webhook-signature": signed()["webhook-signature"].replace("v1,", "v2,")}
        with pytest.raises(BadSignature):
            verify([NEW], headers, BODY.encode(), now=NOW)


class TestSecret:
    @pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ü", "whsec_a b", "not-base64!"])
    def test_a_mistake_in_the_settings_is_named(self, secret: str) -> None:
        with pytest.raises(ValueError, match="webhook secret"):
            key(SecretStr(secret))

    @pytest.mark.parametrize("form", ["whsec_c2VjcmV0", "c2VjcmV0", "whsec_c2VjcmV0MQ", "whsec_c2VjcmV0MQ=="])
    def test_forms_that_the_library_knows(self, form: str) -> None:
        reference: Any = Webhook(form)
        assert key(SecretStr(form)) == reference._whsecret
