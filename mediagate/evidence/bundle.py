"""What is in a sealed object: a tar archive (POSIX ustar), which any system opens.

    record.json     the item, its decisions with findings and policy versions, its timeline, an index of the rest
    inbox/<id>      the body of each vendor event, as it arrived
    original        the master

The record comes first, so that it can be read without the rest.
"""

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from mediagate.errors import ObjectCorrupt
from mediagate.evidence.sealing import SEGMENT, SealingWriter

RECORD = "record.json"
ORIGINAL = "original"


class Opening(StrEnum):
    """How much of a bundle is given out: all of it, or the record alone."""

    BUNDLE = "bundle"
    RECORD = "record"


MOST_RECORD = 64 * 1024 * 1024


def write_bundle(
    file: SealingWriter, record: Mapping[str, Any], bodies: Mapping[str, bytes], original: Path, *, at: datetime
) -> None:
    """Write the archive; `bodies` by the names that they get. Reads the original bit by bit; blocks."""
    with tarfile.open(fileobj=file, mode="w|", bufsize=SEGMENT, format=tarfile.USTAR_FORMAT) as archive:  # type: ignore[call-overload]
        for name, data in {RECORD: to_json(record, indent=1), **bodies}.items():
            archive.addfile(_entry(name, len(data), at), io.BytesIO(data))
        with original.open("rb") as source:
            archive.addfile(_entry(ORIGINAL, original.stat().st_size, at), source)


async def read_record(plaintext: AsyncIterator[bytes]) -> dict[str, Any]:
    """The record at the beginning of an archive; reads no further than it goes.

    Raises:
        ObjectCorrupt: there is none.
    """
    head, wanted = bytearray(), tarfile.BLOCKSIZE
    async for piece in plaintext:
        head += piece
        if wanted == tarfile.BLOCKSIZE and len(head) >= wanted:
            wanted += _size_of_record(bytes(head[: tarfile.BLOCKSIZE]))
        if len(head) >= wanted > tarfile.BLOCKSIZE:
            with suppress(ValueError):
                found: dict[str, Any] = from_json(bytes(head[tarfile.BLOCKSIZE : wanted]))
                return found
            break
    raise ObjectCorrupt("There is no record in the sealed object.")


def _size_of_record(block: bytes) -> int:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except tarfile.HeaderError as error:
        raise ObjectCorrupt("There is no archive in the sealed object.") from error
    if entry.name != RECORD or not 0 < entry.size <= MOST_RECORD:
        raise ObjectCorrupt("The archive in the sealed object does not begin with a record.")
    return entry.size


def _entry(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(at.timestamp()), 0o400
    return entry
