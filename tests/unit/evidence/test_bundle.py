"""What is in a sealed object can be opened by anybody's tar, and its record read without the rest."""

import io
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediagate.errors import ObjectCorrupt
from mediagate.evidence.bundle import read_record, write_bundle
from mediagate.evidence.sealing import Opener, SealingWriter

AT = datetime(2026, 1, 31, tzinfo=UTC)
RECORD = {"format": "mediagate-evidence/1", "media": {"caption": "ü\n"}}
KEY, CONTEXT = bytes(32), {"what": "bundle"}


def bundle(original: Path) -> bytes:
    """The plaintext of a sealed bundle."""
    target = io.BytesIO()
    writer = SealingWriter(target, KEY, CONTEXT)
    write_bundle(writer, RECORD, {"inbox/1": b"\x00raw", "inbox/2": b""}, original, at=AT)
    writer.close()
    opener = Opener(KEY, CONTEXT)
    return opener.update(target.getvalue()) + opener.finish()


@pytest.fixture
def plaintext(tmp_path: Path) -> bytes:
    original = tmp_path / "original.jpg"
    original.write_bytes(b"\xff\xd8" * 300_000)
    return bundle(original)


class Pieces:
    """Plaintext in pieces, counted as they are asked for."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[start : start + size] for start in range(0, len(data), size)]
        self.asked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.asked += 1
            yield piece


class TestBundle:
    def test_any_tar_opens_it(self, plaintext: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(plaintext)) as archive:
            found = {entry.name: archive.extractfile(entry) for entry in archive}
            bodies = {name: file.read() for name, file in found.items() if file}
        assert list(bodies) == ["record.json", "inbox/1", "inbox/2", "original"]
        assert bodies["original"] == b"\xff\xd8" * 300_000
        assert (bodies["inbox/1"], bodies["inbox/2"]) == (b"\x00raw", b"")

    @pytest.mark.parametrize("size", [1, 100, 511, 512, 513, 65536])
    async def test_the_record_is_read_alone(self, plaintext: bytes, size: int) -> None:
        pieces = Pieces(plaintext, size)
        assert await read_record(aiter(pieces)) == RECORD
        assert pieces.asked <= 1024 // size + 1

    @pytest.mark.parametrize(
        "data", [b"", b"x" * 100, b"x" * 2000, b"\x00" * 2000], ids=["nothing", "short", "no archive", "empty archive"]
    )
    async def test_what_is_no_bundle(self, data: bytes) -> None:
        with pytest.raises(ObjectCorrupt):
            await read_record(aiter(Pieces(data, 300)))

    async def test_an_archive_that_begins_with_something_else(self) -> None:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            archive.addfile(tarfile.TarInfo("other"))
        with pytest.raises(ObjectCorrupt, match="does not begin with a record"):
            await read_record(aiter(Pieces(target.getvalue(), 300)))
