"""What is kept, what is thrown away, and whether the store still has what rows name."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Column, Identity, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, library_column, media_column, time_column
from mediagate.media.values import Status


class StoredKind(StrEnum):
    """What objects of a library are."""

    MASTER = "master"
    VARIANT = "variant"
    BACKUP = "backup"
    ANNOUNCED = "announced"
    """Not there yet: an upload that was announced and may still come."""


class StorageUsage(SQLModel, table=True):
    """How much a library has of a kind and status, but for what `storage_change` adds to it."""

    __tablename__ = "storage_usage"

    library_id: UUID = Field(foreign_key="library.id", primary_key=True)
    status: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    objects: int = Field(sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)


class StorageChange(SQLModel, table=True):
    """A change of these numbers, written by triggers with the row that it tells of; the sweep adds them up.

    Rows are only ever added here, so that uploads to the same library do not wait for one another.
    """

    __tablename__ = "storage_change"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    library_id: UUID
    status: str
    kind: str
    objects: int = Field(sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)

    __table_args__ = (Index("ix_storage_change_library", "library_id"),)


class StorageSpace(SQLModel, table=True):
    """Room on a disk or in the store, as whoever sees it last told."""

    __tablename__ = "storage_space"

    name: str = Field(primary_key=True)
    """`store`, or `disk:<host>:<path>`."""
    used: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)
    seen_at: datetime = created_column()
    short_since: datetime | None = time_column()
    """An alert is out; it ends with a margin, so that it does not come and go."""


class TrashedItem(SQLModel, table=True):
    """An item in the trash and what it was before."""

    __tablename__ = "trash"

    media_id: UUID = media_column(primary_key=True)
    library_id: UUID = library_column()
    status_before: Status = enum_column(Status, Status.REJECTED)
    round: int
    """Of the decision that stood then."""
    trashed_by: str
    reason: str = Field(default="", sa_type=Text)
    trashed_at: datetime = created_column()
    erase_after: datetime = time_column(nullable=False)
    purge_owed: bool = False
    """Caches may still show it."""

    __table_args__ = (
        Index("ix_trash_due", "erase_after", "media_id"),
        Index("ix_trash_purge_owed", "trashed_at", postgresql_where=text("purge_owed")),
    )


class ObjectRemoval(SQLModel, table=True):
    """An object that no row names any more and that is still to be deleted; the row goes when the object is gone."""

    __tablename__ = "object_removal"

    key: str = Field(primary_key=True)
    media_id: UUID = media_column()
    why: str
    added_at: datetime = created_column()


class ScrubState(StrEnum):
    """How far a scrub is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Scrub(SQLModel, table=True):
    """One comparison of the store with the rows, and its numbers so far."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID | None = Field(default=None, foreign_key="library.id")
    """None: all libraries."""
    quick: bool = False
    """Sizes only; else every byte was read."""
    repair: bool = False
    state: ScrubState = enum_column(ScrubState, ScrubState.RUNNING)
    started_by: str = ""
    started_at: datetime = created_column()
    ended_at: datetime | None = time_column()
    rows: int = Field(default=0, sa_type=BigInteger)
    """Objects that rows name, and that were looked at."""
    bytes: int = Field(default=0, sa_type=BigInteger)
    listed: int = Field(default=0, sa_type=BigInteger)
    """Objects in the store."""
    missing: int = 0
    altered: int = 0
    untracked: int = 0
    repaired: int = 0

    __table_args__ = (Index("ix_scrub_page", text("started_at DESC"), text("id DESC")),)


class FindingKind(StrEnum):
    """How store and rows disagree."""

    MISSING = "missing"
    ALTERED = "altered"
    UNTRACKED = "untracked"
    """No row names the object."""


class FindingState(StrEnum):
    """What became of it."""

    OPEN = "open"
    REPAIRED = "repaired"
    SETTLED = "settled"
    """A later scrub did not find it any more."""


class ScrubFinding(SQLModel, table=True):
    """A disagreement, from the scrub that found it first to its end: one row however many scrubs find it."""

    __tablename__ = "scrub_finding"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    scrub_id: UUID = Field(foreign_key="scrub.id")
    """That found it first."""
    last_scrub_id: UUID = Field(foreign_key="scrub.id")
    key: str
    kind: FindingKind = enum_column(FindingKind, FindingKind.MISSING)
    part: str = ""
    """`master`, `backup`, `watermark`, or the variant's name; empty where no row names it."""
    library: str = ""
    """Slug, by row or by key; empty: none."""
    media_id: UUID | None = None
    bytes: int = Field(default=0, sa_type=BigInteger)
    state: FindingState = enum_column(FindingState, FindingState.OPEN)
    detail: str = Field(default="", sa_type=Text)
    """Why it could not be repaired, or from what it was."""
    found_at: datetime = created_column()
    ended_at: datetime | None = time_column()
    alerted_at: datetime | None = time_column()

    __table_args__ = (
        Index("uq_scrub_finding_open", "key", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_scrub_finding_page", text("found_at DESC"), text("id DESC")),
        Index("ix_scrub_finding_scrub", "last_scrub_id"),
    )
