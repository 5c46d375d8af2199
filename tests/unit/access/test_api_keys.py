"""API keys and upload tokens."""

import re

import pytest

from mediagate.access import api_keys, upload_tokens
from mediagate.access.api_keys import Scope
from mediagate.errors import NotAuthenticated


class TestIssuedKey:
    def test_token_carries_its_prefix_and_matches_its_digest(self) -> None:
        issued = api_keys.issue()
        assert re.fullmatch(r"mg_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", issued.token)
        prefix, secret = api_keys.parse(issued.token)
        assert issued.token == f"mg_{prefix}_{secret}"
        assert prefix == issued.prefix
        assert api_keys.matches(issued.token, issued.digest)

    def test_no_two_are_alike(self) -> None:
        issued = [api_keys.issue() for _ in range(100)]
        assert len({key.prefix for key in issued}) == len({key.digest for key in issued}) == 100

    def test_another_token_does_not_match(self) -> None:
        assert not api_keys.matches(api_keys.issue().token, api_keys.issue().digest)

    def test_secret_stays_out_of_repr(self) -> None:
        issued = api_keys.issue()
        assert issued.token not in repr(issued)

    def test_digest_is_the_sha256_of_the_whole_token(self) -> None:
        assert api_keys.digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestParse:
    @pytest.mark.parametrize(
        "token",
        [
            "",
            "mg_",
            "mg_abcdefgh_" + "x" * 42,
            "mg_abcdefgh_" + "x" * 44,
            "mg_ABCDEFGH_" + "x" * 43,
            "xx_abcdefgh_" + "x" * 43,
            "mg_abcdefgh_" + "x" * 43 + "\n",
            "mg_abcdefgh_" + "ü" * 43,
        ],
    )
    def test_what_is_not_written_like_a_key_is_refused_without_repeating_it(self, token: str) -> None:
        with pytest.raises(NotAuthenticated) as caught:
            api_keys.parse(token)
        assert not token or token not in str(caught.value)

    def test_a_lone_surrogate_does_not_match_and_does_not_crash(self) -> None:
        assert not api_keys.matches("\ud800", api_keys.issue().digest)
        assert not upload_tokens.matches("\ud800", upload_tokens.issue().digest)


class TestScopes:
    @pytest.mark.parametrize(
        ("granted", "needed", "allowed"),
        [
            ({Scope.MEDIA_READ}, Scope.MEDIA_READ, True),
            ({Scope.MEDIA_READ}, Scope.UPLOADS_WRITE, False),
            ({Scope.ADMIN}, Scope.RUNS_WRITE, True),
            ({Scope.RUNS_WRITE}, Scope.ADMIN, False),
            (set(), Scope.MEDIA_READ, False),
        ],
    )
    def test_admin_includes_all_others(self, granted: set[Scope], needed: Scope, allowed: bool) -> None:
        assert api_keys.allows(granted, needed) is allowed


class TestUploadToken:
    def test_matches_its_own_digest_only(self) -> None:
        first, second = upload_tokens.issue(), upload_tokens.issue()
        assert upload_tokens.matches(first.token, first.digest)
        assert not upload_tokens.matches(second.token, first.digest)
        assert not upload_tokens.matches("", first.digest)
        assert first.token not in repr(first)
