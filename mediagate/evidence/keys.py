"""Key-encryption keys behind one seam: data keys are wrapped by them and stored wrapped (envelope encryption).

The shape is that of a key management service, such as Encrypt and Decrypt of AWS KMS with an encryption context
(https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html): the service picks the key, names it in its
answer, and unwraps nothing for another context. `LocalKeys` holds the keys in this process, `MemoryKeys` is the twin.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from mediagate.errors import EvidenceKeyMissing, ObjectCorrupt
from mediagate.evidence.canonical import canonical
from mediagate.evidence.sealing import KEY_BYTES, Context

_NONCE = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class WrappedKey(NamedTuple):
    """A data key as it is stored."""

    key_id: str
    blob: bytes


class KeyWrapper(Protocol):
    """Who holds the key-encryption keys."""

    @property
    def sealing_key(self) -> str:
        """Id of the key that wraps from now on; those wrapped by others are to be wrapped anew."""

    async def wrap(self, data_key: bytes, context: Context) -> WrappedKey:
        """Encrypt a data key.

        Raises:
            EvidenceKeyMissing: the keys cannot be reached; try again.
        """

    async def unwrap(self, wrapped: WrappedKey, context: Context) -> bytes:
        """The data key.

        Raises:
            EvidenceKeyMissing: its key is not here, or cannot be reached.
            ObjectCorrupt: it was altered, or wrapped for another context.
        """


class LocalKeys:
    """Keys from the settings: AES-256-GCM under a random nonce; key id and context are authenticated with it.

    Random nonces bound a key to 2^32 wraps (NIST SP 800-38D section 8.3), which rotation keeps far away.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """`keys`: `id:base64 of 32 bytes`; the first wraps, all unwrap.

        Raises:
            ValueError: there is none, or one is not written like that; its secret is not repeated.
        """
        self._keys: dict[str, AESGCM] = {}
        for position, key in enumerate(keys, 1):
            key_id, _, text = key.get_secret_value().partition(":")
            if not _KEY_ID.fullmatch(key_id) or key_id in self._keys or (secret := _decoded(text)) is None:
                raise ValueError(
                    f"MEDIAGATE_EVIDENCE_KEYS: key {position} is not `id:base64 of 32 bytes` with an id of its own;"
                    " make one by python3 -c 'import base64, secrets;"
                    ' print("k1:" + base64.b64encode(secrets.token_bytes(32)).decode())\'.'
                )
            self._keys[key_id] = AESGCM(secret)
        if not self._keys:
            raise ValueError("MEDIAGATE_EVIDENCE_KEYS is not set: there is no key to seal with.")
        self.sealing_key = next(iter(self._keys))

    async def wrap(self, data_key: bytes, context: Context) -> WrappedKey:
        nonce, key_id = secrets.token_bytes(_NONCE), self.sealing_key
        return WrappedKey(key_id, nonce + self._keys[key_id].encrypt(nonce, data_key, _associated(key_id, context)))

    async def unwrap(self, wrapped: WrappedKey, context: Context) -> bytes:
        if wrapped.key_id not in self._keys:
            raise EvidenceKeyMissing(f"The key {wrapped.key_id!r} is not in MEDIAGATE_EVIDENCE_KEYS: add it again.")
        nonce, sealed = wrapped.blob[:_NONCE], wrapped.blob[_NONCE:]
        try:
            return self._keys[wrapped.key_id].decrypt(nonce, sealed, _associated(wrapped.key_id, context))
        except (InvalidTag, ValueError) as error:
            raise ObjectCorrupt("The wrapped data key was altered, or belongs to something else.") from error


class MemoryKeys:
    """A key service in memory, for tests and for trying things; `trouble` makes it one that is away."""

    def __init__(self, *key_ids: str) -> None:
        self.trouble: EvidenceKeyMissing | None = None
        self.enabled = list(key_ids or ("memory-1",))
        """The first wraps; what was wrapped by one that is taken out does not open."""
        self._wrapped: dict[bytes, tuple[str, bytes, bytes]] = {}

    @property
    def sealing_key(self) -> str:
        return self.enabled[0]

    async def wrap(self, data_key: bytes, context: Context) -> WrappedKey:
        self._check_up()
        blob = secrets.token_bytes(KEY_BYTES)
        self._wrapped[blob] = (self.sealing_key, data_key, canonical(context))
        return WrappedKey(self.sealing_key, blob)

    async def unwrap(self, wrapped: WrappedKey, context: Context) -> bytes:
        self._check_up()
        if wrapped.key_id not in self.enabled:
            raise EvidenceKeyMissing(f"The key {wrapped.key_id!r} is not enabled.")
        key_id, data_key, wanted = self._wrapped.get(wrapped.blob, ("", b"", b""))
        if (key_id, wanted) != (wrapped.key_id, canonical(context)):
            raise ObjectCorrupt("The wrapped data key was altered, or belongs to something else.")
        return data_key

    def _check_up(self) -> None:
        if self.trouble:
            raise self.trouble


def _associated(key_id: str, context: Context) -> bytes:
    return b"mediagate/evidence-key/1\n" + canonical({**context, "key_id": key_id})


def _decoded(text: str) -> bytes | None:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == KEY_BYTES else None
