"""Signed delivery URLs."""

import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr

from mediagate.access.delivery import DeliverySigner, Purpose, sign, verify
from mediagate.errors import BadSignature, Expired

OLD, NEW = SecretStr("old-secret"), SecretStr("new-secret")
PARTS: dict[str, Any] = {
    "media_id": "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69",
    "variant": "medium",
    "purpose": Purpose.PUBLIC,
    "expires_at": 1_800_000_000,
}
NOW = PARTS["expires_at"] - 1


class TestSignature:
    def test_is_accepted_until_the_second_before_it_expires(self) -> None:
        verify([NEW], sign([NEW], **PARTS), now=NOW, **PARTS)

    def test_has_expired_at_its_expiry(self) -> None:
        with pytest.raises(Expired):
            verify([NEW], sign([NEW], **PARTS), now=PARTS["expires_at"], **PARTS)

    def test_needs_no_quoting_in_a_url(self) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", sign([NEW], **PARTS))

    @pytest.mark.parametrize(
        "change",
        [
            {"media_id": "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a60"},
            {"variant": "moderation"},
            {"purpose": Purpose.MODERATION},
            {"expires_at": 1_900_000_000},
        ],
    )
    def test_covers_every_part(self, change: dict[str, Any]) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], sign([NEW], **PARTS), now=NOW, **{**PARTS, **change})

    @pytest.mark.parametrize("signature", ["", "x", "ü", "\ud800", "A" * 43])
    def test_what_is_none_is_refused(self, signature: str) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], signature, now=NOW, **PARTS)

    def test_a_forged_one_is_not_told_whether_it_expired(self) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], "A" * 43, now=PARTS["expires_at"] + 1, **PARTS)

    def test_moving_a_character_between_parts_changes_it(self) -> None:
        first = sign([NEW], **{**PARTS, "media_id": 'a","b', "variant": "c"})
        second = sign([NEW], **{**PARTS, "media_id": "a", "variant": 'b","c'})
        assert first != second


class TestRotation:
    def test_the_first_secret_signs_and_all_verify(self) -> None:
        verify([NEW, OLD], sign([OLD], **PARTS), now=NOW, **PARTS)
        assert sign([NEW, OLD], **PARTS) == sign([NEW], **PARTS)

    def test_a_secret_that_was_taken_away_verifies_no_more(self) -> None:
        with pytest.raises(BadSignature):
            verify([NEW], sign([OLD], **PARTS), now=NOW, **PARTS)

    def test_without_secrets_nothing_is_signed_and_nothing_accepted(self) -> None:
        with pytest.raises(ValueError, match="MEDIAGATE_DELIVERY_SECRETS"):
            sign([], **PARTS)
        with pytest.raises(BadSignature):
            verify([], sign([NEW], **PARTS), now=NOW, **PARTS)


class TestQuery:
    SIGNER = DeliverySigner([NEW])
    MEDIA_ID = PARTS["media_id"]

    def query(self, purpose: str = "moderation") -> dict[str, str]:
        return dict(
            parse_qsl(self.SIGNER.query(self.MEDIA_ID, "moderation", purpose=purpose, expires_at=PARTS["expires_at"]))
        )

    def test_says_for_which_purpose_it_was_signed(self) -> None:
        found = self.SIGNER.check(self.MEDIA_ID, "moderation", **self.query(), now=NOW)
        assert found is Purpose.MODERATION

    @pytest.mark.parametrize(
        "change",
        [
            {"purpose": "public"},
            {"purpose": "else"},
            {"purpose": ""},
            {"expires": ""},
            {"expires": "1900000000"},
            {"expires": "01800000000"},
            {"expires": "1_800_000_000"},
            {"expires": "١٨٠٠٠٠٠٠٠٠"},
            {"expires": "9" * 5000},
            {"signature": ""},
        ],
    )
    def test_nothing_in_it_can_be_changed(self, change: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            self.SIGNER.check(self.MEDIA_ID, "moderation", **{**self.query(), **change}, now=NOW)

    def test_expires(self) -> None:
        with pytest.raises(Expired):
            self.SIGNER.check(self.MEDIA_ID, "moderation", **self.query(), now=PARTS["expires_at"])

    def test_an_unknown_purpose_is_not_signed(self) -> None:
        with pytest.raises(ValueError, match="Purpose"):
            self.query(purpose="else")
