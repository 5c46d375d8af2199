"""The format of a sealed object: AES-256-GCM in segments, so that nobody need hold a whole one in memory.

    header    "MGSEAL" | version (1 byte: 1) | nonce prefix (7 bytes) | length of the context (2 bytes) | context
    segments  each of 65,536 bytes of plaintext, the last of what is left, followed by its tag of 16 bytes

The context is a canonical JSON document that says what is sealed. Numbers are big-endian. Every segment has the whole
header as associated data and the nonce `prefix | number of the segment from 0 (4 bytes) | 1 if it is the last, else 0`:
the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015, https://eprint.iacr.org/2015/189), laid out as in
Tink's streaming AEAD (https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming) with segments of the
size that age has (https://age-encryption.org/v1). So a segment that is altered, left out, moved, added or cut off, and
one of another object, does not open. A data key seals one object only.
"""

import hashlib
import secrets
import struct
from collections.abc import Mapping
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mediagate.errors import ObjectCorrupt
from mediagate.evidence.canonical import canonical

MAGIC = b"MGSEAL\x01"
SEGMENT = 64 * 1024
TAG = 16
KEY_BYTES = 32
_PREFIX = 7

Context = Mapping[str, str]
"""What is sealed; names and values are authenticated, not secret."""


def new_data_key() -> bytes:
    """256 random bits, for one object."""
    return secrets.token_bytes(KEY_BYTES)


class _Segments:
    """Numbers the segments of one object."""

    def __init__(self, data_key: bytes, header: bytes, prefix: bytes) -> None:
        self.header = header
        self._prefix = prefix
        self._cipher = AESGCM(data_key)
        self._number = 0

    def seal(self, segment: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), segment, self.header)

    def open(self, segment: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last), segment, self.header)
        except (InvalidTag, ValueError) as error:
            raise ObjectCorrupt(
                f"Segment {self._number - 1} of the sealed object is not what was sealed there."
            ) from error

    def _nonce(self, last: bool) -> bytes:
        number = self._number
        self._number += 1
        return self._prefix + struct.pack(">IB", number, last)


class SealingWriter:
    """A file to write plaintext to, whose ciphertext goes to `target`; `close` seals the last segment.

    After `close` it knows the size and the SHA-256 of the plaintext, and the SHA-256 of everything in `target`.
    """

    def __init__(self, target: BinaryIO, data_key: bytes, context: Context) -> None:
        prefix, document = secrets.token_bytes(_PREFIX), canonical(context)
        header = MAGIC + prefix + struct.pack(">H", len(document)) + document
        self._segments = _Segments(data_key, header, prefix)
        self._target = target
        self._pending = bytearray()
        self._plain, self._sealed = hashlib.sha256(), hashlib.sha256()
        self.size = 0
        self._put(header)

    def write(self, data: bytes) -> int:
        """Take plaintext of any length."""
        self._plain.update(data)
        self.size += len(data)
        self._pending += data
        whole = (len(self._pending) - 1) // SEGMENT * SEGMENT  # the last segment is never empty, unless all is
        for start in range(0, whole, SEGMENT):
            self._put(self._segments.seal(bytes(self._pending[start : start + SEGMENT]), last=False))
        if whole > 0:
            del self._pending[:whole]
        return len(data)

    def close(self) -> None:
        """Seal what is left as the last segment; `target` stays open."""
        self._put(self._segments.seal(bytes(self._pending), last=True))
        self._pending.clear()

    @property
    def sha256(self) -> str:
        """Of the plaintext."""
        return self._plain.hexdigest()

    @property
    def sealed_sha256(self) -> str:
        """Of the sealed object."""
        return self._sealed.hexdigest()

    def _put(self, data: bytes) -> None:
        self._sealed.update(data)
        self._target.write(data)


class Opener:
    """Turns the bytes of a sealed object, in pieces of any length, into plaintext that was authenticated.

    Raises ObjectCorrupt, from either method, as soon as something is not what was sealed in this context.
    """

    def __init__(self, data_key: bytes, context: Context) -> None:
        self._key = data_key
        self._context = canonical(context)
        self._pending = bytearray()
        self._segments: _Segments | None = None

    def update(self, data: bytes) -> bytes:
        """The plaintext that is certain by now; what may be the last segment waits for `finish`."""
        self._pending += data
        if self._segments is None and not self._read_header():
            return b""
        assert self._segments
        sealed = SEGMENT + TAG
        whole = max(0, (len(self._pending) - 1) // sealed * sealed)
        opened = [
            self._segments.open(bytes(self._pending[start : start + sealed]), last=False)
            for start in range(0, whole, sealed)
        ]
        del self._pending[:whole]
        return b"".join(opened)

    def finish(self) -> bytes:
        """The rest. Without this the object may have been cut off."""
        if self._segments is None:
            raise ObjectCorrupt("The sealed object ends within its header.")
        return self._segments.open(bytes(self._pending), last=True)

    def _read_header(self) -> bool:
        fixed = len(MAGIC) + _PREFIX + 2
        if not MAGIC.startswith(self._pending[: len(MAGIC)]):
            raise ObjectCorrupt("This is no sealed object, or one of a version that is not known here.")
        if len(self._pending) < fixed:
            return False
        (length,) = struct.unpack(">H", self._pending[fixed - 2 : fixed])
        if len(self._pending) < fixed + length:
            return False
        header = bytes(self._pending[: fixed + length])
        if header[fixed:] != self._context:
            raise ObjectCorrupt("The sealed object is about something else than its record.")
        del self._pending[: fixed + length]
        self._segments = _Segments(self._key, header, header[len(MAGIC) : len(MAGIC) + _PREFIX])
        return True
