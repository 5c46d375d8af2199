"""Signed delivery URLs."""

import re
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr

from mediagate.access.delivery import (
    DeliverySigner,
    Purpose,
    SignedQuery,
    expiry,
    file_url,
    key_id,
    public_paths,
    version_of,
)
from mediagate.errors import BadSignature, Expired
from mediagate.media.values import ImageFormat, VariantFile, VariantName

OLD, NEW = SecretStr("old-secret"), SecretStr("new-secret")
MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
EXPIRES = 1_800_000_000
NOW = EXPIRES - 1
SIGNER = DeliverySigner([NEW])


def query(signer: DeliverySigner = SIGNER, *, media_id: str = MEDIA_ID, file: str = "medium", **fields: Any) -> str:
    parts = {"library": "demo", "purpose": "public", "expires_at": EXPIRES, "version": "0a1b2c3d", **fields}
    return signer.query(media_id, file, **parts)


def parsed(text: str, **changes: str) -> SignedQuery:
    return SignedQuery.model_validate(dict(parse_qsl(text)) | changes)


class TestSignature:
    def test_says_for_which_purpose_it_was_made(self) -> None:
        assert SIGNER.check(MEDIA_ID, "medium", parsed(query()), now=NOW) is Purpose.PUBLIC
        moderation = parsed(query(purpose=Purpose.MODERATION))
        assert SIGNER.check(MEDIA_ID, "medium", moderation, now=NOW) is Purpose.MODERATION

    @pytest.mark.parametrize("file", ["medium", "medium.webp", "moderation-2", "w640.avif"])
    def test_a_picture_is_named_as_urls_name_it(self, file: str) -> None:
        text = SIGNER.query(MEDIA_ID, VariantFile.parse(file), library="demo", purpose="public", expires_at=EXPIRES)
        assert SIGNER.check(MEDIA_ID, file, parsed(text), now=NOW) is Purpose.PUBLIC

    def test_has_expired_at_its_expiry(self) -> None:
        with pytest.raises(Expired):
            SIGNER.check(MEDIA_ID, "medium", parsed(query()), now=EXPIRES)

    def test_needs_no_quoting_in_a_url(self) -> None:
        assert re.fullmatch(
            "library=demo&v=0a1b2c3d&purpose=public&expires=1800000000&kid=[0-9a-f]{8}&signature=[A-Za-z0-9_-]{43}",
            query(),
        )

    def test_is_written_in_one_way(self) -> None:
        assert str(parsed(query())) == query()

    @pytest.mark.parametrize(
        "change",
        [
            {"library": "other"},
            {"library": ""},
            {"v": "0a1b2c3e"},
            {"v": ""},
            {"purpose": "moderation"},
            {"purpose": "else"},
            {"purpose": ""},
            {"expires": "1900000000"},
            {"expires": ""},
            {"expires": "01800000000"},
            {"expires": "1_800_000_000"},
            {"expires": "١٨٠٠٠٠٠٠٠٠"},
            {"expires": "9" * 5000},
            {"kid": ""},
            {"kid": key_id(OLD)},
            {"signature": ""},
            {"signature": "x"},
            {"signature": "ü"},
            {"signature": "A" * 43},
        ],
    )
    def test_nothing_in_it_can_be_changed(self, change: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            SIGNER.check(MEDIA_ID, "medium", parsed(query(), **change), now=NOW)

    def test_it_is_for_one_file_of_one_item(self) -> None:
        for media_id, file in ((MEDIA_ID, "thumb"), (MEDIA_ID, "medium.webp"), (MEDIA_ID[:-1] + "0", "medium")):
            with pytest.raises(BadSignature):
                SIGNER.check(media_id, file, parsed(query()), now=NOW)

    def test_a_forged_one_is_not_told_whether_it_expired(self) -> None:
        with pytest.raises(BadSignature):
            SIGNER.check(MEDIA_ID, "medium", parsed(query(), signature="A" * 43), now=EXPIRES + 1)

    def test_a_lone_surrogate_is_none(self) -> None:
        with pytest.raises(BadSignature):
            SIGNER.check(MEDIA_ID, "medium", SignedQuery.model_construct(signature="\ud800", kid=key_id(NEW)), now=NOW)

    def test_moving_a_character_between_parts_changes_it(self) -> None:
        first = query(media_id='a","b', file="c")
        assert parsed(first).signature != parsed(query(media_id="a", file='b","c')).signature

    def test_an_unknown_purpose_is_not_signed(self) -> None:
        with pytest.raises(ValueError, match="Purpose"):
            query(purpose="else")


class TestRotation:
    def test_the_first_secret_signs_and_all_verify(self) -> None:
        both = DeliverySigner([NEW, OLD])
        assert query(both) == query(DeliverySigner([NEW]))
        assert both.check(MEDIA_ID, "medium", parsed(query(DeliverySigner([OLD]))), now=NOW) is Purpose.PUBLIC

    def test_a_secret_that_was_taken_away_verifies_no_more(self) -> None:
        with pytest.raises(BadSignature):
            SIGNER.check(MEDIA_ID, "medium", parsed(query(DeliverySigner([OLD]))), now=NOW)

    def test_a_url_names_the_secret_and_does_not_tell_it(self) -> None:
        assert parsed(query()).kid == key_id(NEW) != key_id(OLD)
        assert re.fullmatch("[0-9a-f]{8}", key_id(NEW))

    def test_without_secrets_nothing_is_signed_and_nothing_accepted(self) -> None:
        with pytest.raises(ValueError, match="MEDIAGATE_DELIVERY_SECRETS"):
            query(DeliverySigner([]))
        with pytest.raises(BadSignature):
            DeliverySigner([]).check(MEDIA_ID, "medium", parsed(query()), now=NOW)


class TestStableUrls:
    LIFETIME = 3600

    def at(self, now: int, media_id: str = MEDIA_ID) -> int:
        return expiry(media_id, now=now, lifetime=self.LIFETIME)

    def test_a_url_lives_for_its_lifetime_and_up_to_a_quarter_more(self) -> None:
        lives = [self.at(now) - now for now in range(NOW, NOW + 4000)]
        assert (min(lives), max(lives)) == (self.LIFETIME, self.LIFETIME * 5 // 4 - 1)

    def test_it_changes_once_in_a_quarter_of_the_lifetime(self) -> None:
        changes = [now for now in range(NOW, NOW + self.LIFETIME) if self.at(now) != self.at(now - 1)]
        assert [later - earlier for earlier, later in pairwise(changes)] == [900, 900, 900]

    def test_items_do_not_change_all_at_once(self) -> None:
        ids = [f"{number:08x}-7d0e-4f0c-9a8e-1f2d3c4b5a69" for number in range(100)]
        assert len({self.at(NOW, media_id) for media_id in ids}) == 100

    @pytest.mark.parametrize("lifetime", [1, 2, 3, 4])
    def test_a_lifetime_of_seconds_is_kept(self, lifetime: int) -> None:
        assert expiry(MEDIA_ID, now=NOW, lifetime=lifetime) == NOW + lifetime

    def test_other_bytes_have_another_url(self) -> None:
        first, second = (query(version=version_of(digest * 64)) for digest in "ab")
        assert first != second


class TestPublicPaths:
    def test_are_all_that_a_public_picture_could_be_under(self) -> None:
        paths = set(public_paths(MEDIA_ID))
        every = [VariantFile(name, form) for name in VariantName for form in ImageFormat]
        public = {file_url("", MEDIA_ID, file) for file in every if file.name is not VariantName.MODERATION}
        assert paths == public
        assert not [path for path in paths if "moderation" in path or "source" in path]
