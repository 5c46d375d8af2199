"""What every way in shares: which files are taken, the moment of acceptance, and the start that is owed from it on."""

import structlog

from activities.outbox import start_upload
from api.deps import Gate
from db.repositories.media import MediaRepository
from db.tables import Library, Media, now
from mediagate.errors import EmptyFile, TooLarge, Unavailable, UnsupportedType
from mediagate.media.content_types import REGISTERED, registered
from mediagate.media.values import Limits, Status

log = structlog.get_logger()


async def accept(media_rows: MediaRepository, media: Media, *, sha256: str, size: int, master: str) -> None:
    """The moment from which nothing may be lost."""
    await media_rows.move(media, Status.ACCEPTED)
    media.sha256, media.bytes, media.master_key, media.accepted_at = sha256, size, master, now()
    await media_rows.record(media.id, "accepted", "accepted", {"sha256": sha256, "bytes": size})


def accepted_type(content_type: str, limits: Limits) -> str:
    """The registered name of a declared type. Raises UnsupportedType."""
    known, taken = registered(content_type), limits.types or REGISTERED
    if known is None or known not in taken:
        raise UnsupportedType(f"The type {content_type!r} is not taken; send {', '.join(taken)}.")
    return known


def check_size(size: int, limits: Limits) -> None:
    """Raises EmptyFile, TooLarge."""
    if size < 1:
        raise EmptyFile
    if size > limits.max_bytes:
        raise TooLarge(f"The file has {size} bytes; at most {limits.max_bytes} are taken.")


async def start_or_owe(gate: Gate, media: Media, library: Library) -> None:
    """Start the run now if the service answers; else the row owes it and the sweep pays."""
    try:
        await start_upload(gate.db, gate.flows, gate.settings, media, library)
    except Unavailable as error:
        log.warning("upload.start_owed", media_id=str(media.id), error=error.code)
