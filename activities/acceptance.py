"""What every way in shares: which files are taken, what they cost a library's quotas, and the moment of acceptance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mediagate import metrics
from mediagate.errors import EmptyFile, QuotaExceeded, TooLarge, UnsupportedType
from mediagate.media.content_types import REGISTERED, registered
from mediagate.media.values import Limits, Status

if TYPE_CHECKING:  # SQLAlchemy: not for what only imports workflows
    from db.session import Transaction
    from db.tables import Library, Media

SOONEST = 5.0
"""Seconds after which a caller who is put off is told to come back, at the earliest."""

AN_HOUR = 3600.0
"""The same where nobody knows when there is room again."""


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


async def spend(tx: Transaction, library: Library, limits: Limits, size: int) -> None:
    """Count an upload against the library's quotas, in the transaction that makes its row.

    Raises:
        QuotaExceeded: naming the quota, and when there is room again.
    """
    from db.tables import now

    if limits.open_uploads is not None:
        under_way = await tx.media.under_way(library.id, most=limits.open_uploads)
        if under_way >= limits.open_uploads:
            message = f"This library has {under_way} uploads under way, and may have {limits.open_uploads} at a time."
            raise QuotaExceeded(message, retry_after=SOONEST)
    if limits.total_bytes is not None and not await tx.storage.may_keep(library.id, size=size, most=limits.total_bytes):
        kept = await tx.storage.kept(library.id)
        raise QuotaExceeded(
            f"This library keeps {kept} bytes of uploads and may keep {limits.total_bytes} (total_bytes): there is no"
            f" room for {size} more. Throw something away (DELETE /media/{{id}}); what is in the trash counts until it"
            " is erased.",
            retry_after=AN_HOUR,
        )
    if limits.daily_files is None and limits.daily_bytes is None:
        return
    day = now().astimezone(UTC).date()
    if not await tx.access.spend(library.id, day, size=size, files=limits.daily_files, bytes_=limits.daily_bytes):
        tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        named = {"files": limits.daily_files, "bytes": limits.daily_bytes}
        quota = " and ".join(f"{most} {name}" for name, most in named.items() if most is not None)
        raise QuotaExceeded(
            f"This library may upload {quota} a day (UTC), and this one would be over it.",
            retry_after=(tomorrow - now()).total_seconds(),
        )


async def accept(tx: Transaction, media: Media, *, sha256: str, size: int, master: str) -> None:
    """The moment from which nothing may be lost."""
    from db.committed import once_committed
    from db.tables import now

    await tx.media.move(media, Status.ACCEPTED)
    media.sha256, media.bytes, media.master_key, media.accepted_at = sha256, size, master, now()
    await tx.media.record(media.id, "accepted", "accepted", {"sha256": sha256, "bytes": size})
    once_committed(tx.session, metrics.UPLOADS_ACCEPTED.add)
