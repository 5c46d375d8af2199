"""What is sealed comes back whole or not at all."""

import hashlib
import io
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from mediagate.errors import ObjectCorrupt
from mediagate.evidence.sealing import MAGIC, SEGMENT, TAG, Opener, SealingWriter, new_data_key

CONTEXT = {"media_id": "60eb2214-5c82-41b9-9094-6a12a18383b1", "round": "0", "what": "bundle"}
KEY = bytes(range(32))
HEADER = len(MAGIC) + 7 + 2 + len(b'{"media_id":"60eb2214-5c82-41b9-9094-6a12a18383b1","round":"0","what":"bundle"}')
WHOLE = SEGMENT + TAG


def sealed(plaintext: bytes, *, key: bytes = KEY, step: int = 100_000) -> bytes:
    """The sealed object, written piece by piece."""
    target = io.BytesIO()
    writer = SealingWriter(target, key, CONTEXT)
    for start in range(0, len(plaintext), step):
        writer.write(plaintext[start : start + step])
    writer.close()
    assert writer.size == len(plaintext)
    assert writer.sha256 == hashlib.sha256(plaintext).hexdigest()
    assert writer.sealed_sha256 == hashlib.sha256(target.getvalue()).hexdigest()
    return target.getvalue()


def opened(data: bytes, *, key: bytes = KEY, context: dict[str, str] = CONTEXT, step: int = 70_001) -> bytes:
    """The plaintext, read piece by piece."""
    opener = Opener(key, context)
    pieces = [opener.update(data[start : start + step]) for start in range(0, len(data), step)]
    return b"".join([*pieces, opener.finish()])


def segments(data: bytes) -> list[bytes]:
    return [data[start : start + WHOLE] for start in range(HEADER, len(data), WHOLE)]


PLAIN = bytes(range(256)) * (SEGMENT * 3 // 256) + b"the rest"


class TestRoundTrip:
    @pytest.mark.parametrize(
        "size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 7, 5 * SEGMENT]
    )
    def test_every_size_comes_back(self, size: int) -> None:
        plaintext = (PLAIN * 2)[:size]
        data = sealed(plaintext)
        assert opened(data) == plaintext
        assert len(data) == HEADER + size + TAG * max(1, -(-size // SEGMENT))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(997, 3 * SEGMENT), st.integers(997, 3 * SEGMENT))
    def test_the_pieces_make_no_difference(self, written: int, read: int) -> None:
        assert opened(sealed(PLAIN, step=written), step=read) == PLAIN

    @pytest.mark.parametrize("step", [1, 3, 16])
    def test_however_small_the_pieces(self, step: int) -> None:
        assert opened(sealed(b"short", step=step), step=step) == b"short"

    def test_nothing_repeats_between_two_objects(self) -> None:
        first, second = sealed(PLAIN), sealed(PLAIN)
        assert set(segments(first)).isdisjoint(segments(second))

    def test_the_format_is_the_documented_one(self) -> None:
        """Opened by hand, from the text alone."""
        data = sealed(PLAIN)
        prefix = data[7:14]
        (length,) = struct.unpack(">H", data[14:16])
        header = data[: 16 + length]
        assert (data[:6], data[6]) == (b"MGSEAL", 1)
        cipher, rest, plaintext = AESGCM(KEY), data[len(header) :], b""
        for number in range(4):
            segment, rest = rest[:WHOLE], rest[WHOLE:]
            plaintext += cipher.decrypt(prefix + struct.pack(">IB", number, not rest), segment, header)
        assert plaintext == PLAIN

    def test_a_large_one_is_never_held(self) -> None:
        opener = Opener(KEY, CONTEXT)
        data = sealed(PLAIN)
        for start in range(0, len(data), 4096):
            opener.update(data[start : start + 4096])
            assert len(opener._pending) <= WHOLE + 4096


class TestTampering:
    @pytest.mark.parametrize(
        "place", [0, 6, 8, 14, 20, HEADER, HEADER + SEGMENT - 1, HEADER + SEGMENT + 3, HEADER + WHOLE, -1]
    )
    def test_any_bit(self, place: int) -> None:
        data = bytearray(sealed(PLAIN))
        data[place] ^= 1
        with pytest.raises(ObjectCorrupt):
            opened(bytes(data))

    @pytest.mark.parametrize("length", [0, 5, 12, HEADER - 1, HEADER, HEADER + 10, HEADER + WHOLE, HEADER + 3 * WHOLE])
    def test_cut_off(self, length: int) -> None:
        with pytest.raises(ObjectCorrupt):
            opened(sealed(PLAIN)[:length])

    def test_cut_off_where_a_segment_ends_and_the_next_is_empty(self) -> None:
        with pytest.raises(ObjectCorrupt):
            opened(sealed(PLAIN)[: HEADER + WHOLE] + b"\x00" * TAG)

    def test_segments_in_another_order(self) -> None:
        data = sealed(PLAIN)
        first, second, *rest = segments(data)
        with pytest.raises(ObjectCorrupt):
            opened(data[:HEADER] + b"".join([second, first, *rest]))

    def test_a_segment_left_out_or_repeated(self) -> None:
        data = sealed(PLAIN)
        first, second, third, last = segments(data)
        for others in ([first, third, last], [first, second, second, third, last], [first, second, third, last, last]):
            with pytest.raises(ObjectCorrupt):
                opened(data[:HEADER] + b"".join(others))

    def test_something_behind_the_end(self) -> None:
        for more in (b"x", b"x" * WHOLE):
            with pytest.raises(ObjectCorrupt):
                opened(sealed(PLAIN) + more)

    def test_segments_of_another_object_under_the_same_key(self) -> None:
        one, other = sealed(PLAIN), sealed(PLAIN)
        with pytest.raises(ObjectCorrupt):
            opened(one[: HEADER + WHOLE] + other[HEADER + WHOLE :])

    @pytest.mark.parametrize("field", ["media_id", "round", "what"])
    def test_an_object_about_something_else(self, field: str) -> None:
        with pytest.raises(ObjectCorrupt, match="about something else"):
            opened(sealed(PLAIN), context={**CONTEXT, field: "1"})

    def test_another_key(self) -> None:
        with pytest.raises(ObjectCorrupt):
            opened(sealed(PLAIN), key=new_data_key())

    def test_nothing_of_an_altered_segment_is_given_out(self) -> None:
        data = bytearray(sealed(PLAIN))
        data[HEADER + WHOLE] ^= 1
        opener, end = Opener(KEY, CONTEXT), HEADER + 2 * WHOLE
        out = [opener.update(bytes(data[start : start + 1])) for start in range(end)]
        assert b"".join(out) == PLAIN[:SEGMENT]
        with pytest.raises(ObjectCorrupt, match="Segment 1"):
            opener.update(bytes(data[end:]))
