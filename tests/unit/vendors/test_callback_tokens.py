"""Tokens in callback URLs."""

import base64

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import BadSignature
from mediagate.vendors import callback_tokens

OLD, NEW = (SecretStr("whsec_" + base64.b64encode(seed * 24).decode()) for seed in (b"o", b"n"))
MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
OTHER_ID = "1b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"


def query(*secrets: SecretStr, url: str = "https://gate/hook", vendor: str = "hive") -> dict[str, str]:
    made = callback_tokens.with_token(url, secrets, vendor=vendor, media_id=MEDIA_ID)
    return dict(httpx.URL(made).params)


def test_names_the_item() -> None:
    assert callback_tokens.verify(query(OLD), [OLD], vendor="hive") == MEDIA_ID


def test_keeps_what_the_url_has() -> None:
    assert query(OLD, url="https://gate/hook?a=1&b=%26")["b"] == "&"
    assert query(OLD, url="https://gate/hook?media_id=x")["media_id"] == MEDIA_ID


def test_old_and_new_secrets_hold_during_a_rotation() -> None:
    assert query(NEW, OLD) == query(NEW)
    for made in (query(OLD), query(NEW)):
        assert callback_tokens.verify(made, [NEW, OLD], vendor="hive") == MEDIA_ID
    with pytest.raises(BadSignature, match="wrong"):
        callback_tokens.verify(query(OLD), [NEW], vendor="hive")


@pytest.mark.parametrize(
    "changed",
    [{"media_id": OTHER_ID}, {"token": "0" * 64}, {"token": "é"}, {"token": "\udc80"}, {"media_id": "\udc80"}],
    ids=["item", "token", "letters", "surrogate", "no item"],
)
def test_another_item_or_token_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(BadSignature, match="wrong"):
        callback_tokens.verify(query(OLD) | changed, [OLD], vendor="hive")


@pytest.mark.parametrize("missing", ["media_id", "token"])
def test_both_are_needed(missing: str) -> None:
    with pytest.raises(BadSignature, match="media_id and token"):
        callback_tokens.verify(query(OLD) | {missing: ""}, [OLD], vendor="hive")


def test_a_token_is_for_one_vendor() -> None:
    with pytest.raises(BadSignature, match="wrong"):
        callback_tokens.verify(query(OLD, vendor="other"), [OLD], vendor="hive")
