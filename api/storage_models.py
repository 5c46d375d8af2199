"""What is stored, and the trash, as callers see it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from db.repositories.storage import QUOTA_KINDS, Held
from db.tables import StoredKind
from mediagate.media.values import Status


class TrashedRead(BaseModel):
    """An item in the trash."""

    media_id: UUID
    status: Status
    status_before: Status = Field(description="what it gets back when it is restored")
    reason: str
    trashed_at: datetime
    erase_after: datetime = Field(description="until when it can be restored")


class RestoreCreate(BaseModel):
    """Take an item out of the trash."""

    reason: str = Field("", max_length=500, description="kept on record")


class RestoredRead(BaseModel):
    """An item that was taken out of the trash."""

    media_id: UUID
    status: Status


class HeldRead(BaseModel):
    """Objects of a status and kind."""

    status: Status
    kind: StoredKind
    objects: int
    bytes: int


class LibraryStorage(BaseModel):
    """What a library keeps."""

    library: str
    objects: int = Field(description="in the store; announced ones are not there yet")
    bytes: int
    quota_bytes: int | None = Field(description="`limits.total_bytes`; null: there is no quota")
    quota_used: int = Field(
        description="bytes that count against it: masters, the trash and announced uploads included"
    )
    held: list[HeldRead]


class LibraryTotal(BaseModel):
    """What one of many libraries keeps."""

    library: str
    objects: int
    bytes: int


class SpaceRead(BaseModel):
    """Room on a disk, or in the store."""

    name: str
    used: int
    size: int
    seen_at: datetime
    short_since: datetime | None = Field(description="since when there is too little; null: there is enough")


class StoragePage(BaseModel):
    """What the whole deployment keeps; libraries by pages, the newest first."""

    objects: int
    bytes: int
    held: list[HeldRead]
    spaces: list[SpaceRead]
    items: list[LibraryTotal]
    next_cursor: str | None = None


def shown(held: list[Held]) -> tuple[int, int, list[HeldRead]]:
    """Objects and bytes that are in the store, and all of it in detail."""
    there = [one for one in held if one.kind != StoredKind.ANNOUNCED]
    detail = [HeldRead.model_validate(one._asdict()) for one in held]
    return sum(one.objects for one in there), sum(one.bytes for one in there), detail


def counted(held: list[Held]) -> int:
    """Bytes that count against a quota."""
    return sum(one.bytes for one in held if one.kind in QUOTA_KINDS)
