"""Media items, what is made of them and what happened to them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Column, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column, library_column, media_column, time_column
from mediagate.media.fingerprints import BAND_BITS, BANDS
from mediagate.media.values import ImageFormat, Status, VariantFile, VariantName

LOST = "status IN ('failed', 'expired')"
"""Uploads that came to no decision, as reports count them; a query must spell it like the index."""


class Batch(SQLModel, table=True):
    """Files that were sent together and are summed up together."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = library_column()
    tracking_id: str = ""
    files: int = 0
    created_at: datetime = created_column()


class Media(SQLModel, table=True):
    """One upload, and the outbox of its workflow: `accepted_at` set and `started_at` not means a start is owed."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = library_column()
    batch_id: UUID | None = Field(default=None, foreign_key="batch.id")
    status: Status = enum_column(Status, Status.AWAITING_UPLOAD)
    reason: str = ""
    detail: str = Field(default="", sa_type=Text)
    filename: str
    content_type: str
    """As declared; `facts.content_type` is what the file is."""
    declared_bytes: int = Field(sa_type=BigInteger)
    bytes: int | None = Field(default=None, sa_type=BigInteger)
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    facts: dict[str, Any] = json_column()
    caption: str = Field(default="", sa_type=Text)
    title: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    alt_text: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    tags: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"), default_factory=list)
    """Normalised by `mediagate.text.tags`."""
    category: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of the uploader's own list; not a category of moderation."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """BCP 47, of these texts, as declared."""
    master_key: str | None = None
    """Where the clean master stands; None until it is sealed."""
    backup_key: str | None = None
    upload_token: str | None = None
    """Digest of the upload token."""
    trusted: bool = False
    """Sent with a key that is trusted: the fast lane is open to it."""
    tracking_id: str = ""
    vendor_reference: str = ""
    run_id: str | None = None
    created_at: datetime = created_column()
    expires_at: datetime | None = time_column()
    accepted_at: datetime | None = time_column()
    started_at: datetime | None = time_column()
    filed_at: datetime | None = time_column()
    updated_at: datetime = created_column()

    __table_args__ = (
        Index("ix_media_library_page", "library_id", text("created_at DESC"), text("id DESC")),
        Index("ix_media_library_status_page", "library_id", "status", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_media_owed_start",
            "accepted_at",
            postgresql_where=text("started_at IS NULL AND accepted_at IS NOT NULL"),
        ),
        Index("ix_media_expiring", "expires_at", postgresql_where=text("status = 'awaiting_upload'")),
        Index(
            "ix_media_filename",
            "filename",
            postgresql_using="gin",
            postgresql_ops={"filename": "gin_trgm_ops"},
        ),
        Index("ix_media_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        Index("ix_media_library_sha256", "library_id", "sha256"),
        Index("ix_media_tags", "tags", postgresql_using="gin", postgresql_where=text("tags <> '{}'")),
        Index(
            "ix_media_category_page",
            "library_id",
            "category",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("category <> ''"),
        ),
        Index("ix_media_accepted", "accepted_at", postgresql_where=text("accepted_at IS NOT NULL")),
        Index("ix_media_filed", "filed_at", postgresql_where=text("filed_at IS NOT NULL")),
        Index("ix_media_lost", "updated_at", postgresql_where=text(LOST)),
    )


class MediaVariant(SQLModel, table=True):
    """One line of the variant manifest."""

    __tablename__ = "variant"

    media_id: UUID = media_column(primary_key=True)
    name: str = Field(primary_key=True)
    format: str = Field(primary_key=True)
    frame: int = Field(default=0, primary_key=True)
    width: int
    height: int
    bytes: int
    quality: int
    sha256: str
    engine: str
    trade: str = ""
    trials: int = 1
    recipe: str = ""
    key: str

    @property
    def file(self) -> VariantFile:
        """Which picture this is."""
        return VariantFile(VariantName(self.name), ImageFormat(self.format), self.frame)


PHASH_BANDS = tuple(f"((phash >> {BAND_BITS * number}) & {(1 << BAND_BITS) - 1})" for number in BANDS)
"""The bands of `mediagate.media.fingerprints` in SQL; a query must spell them like the indexes."""


class Fingerprint(SQLModel, table=True):
    """What a picture looks like, for the search for near duplicates; pictures that show too little have no row."""

    media_id: UUID = media_column(primary_key=True)
    library_id: UUID = library_column()
    phash: int = Field(sa_type=BigInteger)
    """The 64 bits as a signed number."""

    # Each has everything that the search reads.
    __table_args__ = tuple(
        Index(f"ix_fingerprint_band{number}", "library_id", text(band), "phash", "media_id")
        for number, band in enumerate(PHASH_BANDS)
    )


class MediaEvent(SQLModel, table=True):
    """A line of a media item's timeline; `key` makes a step that runs twice write one line."""

    __tablename__ = "media_event"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    media_id: UUID = media_column()
    key: str
    kind: str
    data: dict[str, Any] = json_column()
    at: datetime = created_column()

    __table_args__ = (Index("uq_media_event_key", "media_id", "key", unique=True),)


class Notification(SQLModel, table=True):
    """What admins are told in the application; while `mailed_at` is empty it owes a mail, if it goes `by_mail`.

    `mail_claimed_at` says that somebody is about to send it, so that two steps that end together send one.
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID | None = Field(default=None, foreign_key="library.id")
    """None: it is about the whole deployment."""
    media_id: UUID | None = Field(default=None, foreign_key="media.id")
    key: str = Field(unique=True)
    """What happened, once: `<media_id>:<kind>`."""
    kind: str
    subject: str
    body: str = Field(sa_type=Text)
    tracking_id: str = ""
    created_at: datetime = created_column()
    by_mail: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    """False: it stands in the application only, as of a file of an import, whose summary tells of all."""
    mail_claimed_at: datetime | None = time_column()
    mailed_at: datetime | None = time_column()
    mail_error: str = Field(default="", sa_type=Text)
    """Why its mail can never be sent, as for an address that does not exist; no mail is owed any more."""

    __table_args__ = (
        Index("ix_notification_page", "library_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_notification_unmailed",
            "created_at",
            postgresql_where=text("mailed_at IS NULL AND mail_error = '' AND by_mail"),
        ),
        Index("ix_notification_media", "media_id"),
    )
