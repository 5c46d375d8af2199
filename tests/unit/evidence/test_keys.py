"""The real key-encryption keys and their twin do the same; how the keys are written."""

import base64
from collections.abc import Callable, Sequence

import pytest
from pydantic import SecretStr

from mediagate.errors import EvidenceKeyMissing, ObjectCorrupt
from mediagate.evidence.keys import KeyWrapper, LocalKeys, MemoryKeys, WrappedKey
from mediagate.evidence.sealing import new_data_key

CONTEXT = {"media_id": "a", "round": "0"}
SECRETS = {
    name: SecretStr(f"{name}:{base64.b64encode(bytes([number] * 32)).decode()}")
    for number, name in ((1, "k1"), (2, "k2"))
}

Wrappers = Callable[..., KeyWrapper]
"""Makes a wrapper with these keys, the first of which wraps; the next one of a test knows what the first wrapped."""


def local() -> Wrappers:
    return lambda *names: LocalKeys([SECRETS[name] for name in names])


def memory() -> Wrappers:
    service = MemoryKeys()

    def with_keys(*names: str) -> KeyWrapper:
        service.enabled = list(names)
        return service

    return with_keys


@pytest.fixture(params=[local, memory], ids=["local", "memory"])
def wrappers(request: pytest.FixtureRequest) -> Wrappers:
    made: Wrappers = request.param()
    return made


class TestWrapping:
    async def test_a_data_key_comes_back(self, wrappers: Wrappers) -> None:
        keys, data_key = wrappers("k1"), new_data_key()
        wrapped = await keys.wrap(data_key, CONTEXT)
        assert wrapped.key_id == keys.sealing_key == "k1"
        assert data_key not in wrapped.blob
        assert await keys.unwrap(wrapped, CONTEXT) == data_key
        assert (await keys.wrap(data_key, CONTEXT)).blob != wrapped.blob

    async def test_the_first_key_wraps_and_all_unwrap(self, wrappers: Wrappers) -> None:
        data_key = new_data_key()
        old = await wrappers("k1").wrap(data_key, CONTEXT)
        rotated = wrappers("k2", "k1")
        assert (await rotated.wrap(data_key, CONTEXT)).key_id == "k2"
        assert await rotated.unwrap(old, CONTEXT) == data_key

    async def test_a_key_that_was_taken_away_is_named(self, wrappers: Wrappers) -> None:
        old = await wrappers("k1").wrap(new_data_key(), CONTEXT)
        with pytest.raises(EvidenceKeyMissing, match="'k1'"):
            await wrappers("k2").unwrap(old, CONTEXT)

    @pytest.mark.parametrize("other", [{"media_id": "b", "round": "0"}, {"media_id": "a"}, {}])
    async def test_of_another_context(self, wrappers: Wrappers, other: dict[str, str]) -> None:
        keys = wrappers("k1")
        wrapped = await keys.wrap(new_data_key(), CONTEXT)
        with pytest.raises(ObjectCorrupt):
            await keys.unwrap(wrapped, other)

    async def test_altered_or_said_to_be_another_keys(self, wrappers: Wrappers) -> None:
        keys = wrappers("k1", "k2")
        key_id, blob = await keys.wrap(new_data_key(), CONTEXT)
        altered = bytes([blob[0] ^ 1]) + blob[1:]
        for wrong in (WrappedKey(key_id, altered), WrappedKey(key_id, b""), WrappedKey("k2", blob)):
            with pytest.raises(ObjectCorrupt):
                await keys.unwrap(wrong, CONTEXT)


class TestMemoryKeys:
    async def test_a_service_that_is_away(self) -> None:
        keys = MemoryKeys()
        wrapped = await keys.wrap(new_data_key(), CONTEXT)
        keys.trouble = EvidenceKeyMissing()
        with pytest.raises(EvidenceKeyMissing):
            await keys.wrap(new_data_key(), CONTEXT)
        with pytest.raises(EvidenceKeyMissing):
            await keys.unwrap(wrapped, CONTEXT)


class TestLocalKeys:
    @pytest.mark.parametrize(
        "keys",
        [
            ["k1"],
            ["k1:"],
            [":" + base64.b64encode(bytes(32)).decode()],
            ["k 1:" + base64.b64encode(bytes(32)).decode()],
            ["k1:" + base64.b64encode(bytes(31)).decode()],
            ["k1:" + base64.b64encode(bytes(33)).decode()],
            ["k1:not base64 but long enough to be a key, is it"],
            ["k1:" + base64.b64encode(bytes(32)).decode()] * 2,
        ],
        ids=["no secret", "empty", "no id", "bad id", "short", "long", "not base64", "twice"],
    )
    def test_what_is_not_a_key_is_refused_without_being_repeated(self, keys: Sequence[str]) -> None:
        with pytest.raises(ValueError, match=r"MEDIAGATE_EVIDENCE_KEYS: key [12] is not") as refused:
            LocalKeys([SecretStr(key) for key in keys])
        assert not any(key.partition(":")[2] and key.partition(":")[2] in str(refused.value) for key in keys)

    def test_none_at_all(self) -> None:
        with pytest.raises(ValueError, match="is not set"):
            LocalKeys([])
