"""The tables. Times are UTC with time zone, digests lower-case hex SHA-256, sizes bytes.

The schema is built by the migrations alone; a test holds these classes against it.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Column, DateTime, Enum, ForeignKey, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from mediagate.media.fingerprints import BAND_BITS, BANDS
from mediagate.media.renditions import ImagePolicy
from mediagate.media.values import ImageFormat, Status, VariantFile, VariantName, WatermarkSpec


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _time(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)


def _created() -> Any:
    return Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        nullable=False,
    )


def _enum(values: type[StrEnum], default: StrEnum) -> Any:
    # Text in the database: a new member is no migration that locks the table.
    kind = Enum(values, native_enum=False, length=32, values_callable=lambda enum: [member.value for member in enum])
    return Field(default=default, sa_type=kind, nullable=False)


def _json(default: type = dict) -> Any:
    return Field(default_factory=default, sa_type=JSONB, nullable=False)


def _library() -> Any:
    return Field(foreign_key="library.id", nullable=False)


def _media(*, primary_key: bool = False) -> Any:
    return Field(foreign_key="media.id", nullable=False, primary_key=primary_key)


class Library(SQLModel, table=True):
    """A tenant."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    slug: str = Field(unique=True, max_length=63)
    name: str = ""
    settings: dict[str, Any] = _json()
    """Overrides: `limits`, `watermark`, `images`, `policy`, as the values of these names; absent keys: the defaults."""
    created_at: datetime = _created()

    @property
    def images(self) -> ImagePolicy:
        """Which pictures it wants."""
        return ImagePolicy.model_validate(self.settings.get("images", {}))

    @property
    def watermark(self) -> WatermarkSpec:
        """Its mark; empty if it has none."""
        return WatermarkSpec.model_validate(self.settings.get("watermark", {}))


class ApiKey(SQLModel, table=True):
    """A service key; the secret itself is never stored."""

    __tablename__ = "api_key"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    prefix: str = Field(unique=True)
    digest: str
    name: str = ""
    library_id: UUID | None = Field(default=None, foreign_key="library.id")
    """None: every library."""
    scopes: list[str] = Field(default_factory=list, sa_type=ARRAY(Text), nullable=False)
    created_at: datetime = _created()
    expires_at: datetime | None = _time()
    revoked_at: datetime | None = _time()


class Batch(SQLModel, table=True):
    """Files that were sent together and are summed up together."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = _library()
    tracking_id: str = ""
    files: int = 0
    created_at: datetime = _created()


class Media(SQLModel, table=True):
    """One upload, and the outbox of its workflow: `accepted_at` set and `started_at` not means a start is owed."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = _library()
    batch_id: UUID | None = Field(default=None, foreign_key="batch.id")
    status: Status = _enum(Status, Status.AWAITING_UPLOAD)
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
    facts: dict[str, Any] = _json()
    caption: str = Field(default="", sa_type=Text)
    master_key: str | None = None
    """Where the clean master stands; None until it is sealed."""
    backup_key: str | None = None
    upload_token: str | None = None
    """Digest of the upload token."""
    tracking_id: str = ""
    vendor_reference: str = ""
    run_id: str | None = None
    created_at: datetime = _created()
    expires_at: datetime | None = _time()
    accepted_at: datetime | None = _time()
    started_at: datetime | None = _time()
    filed_at: datetime | None = _time()
    updated_at: datetime = _created()

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
    )


class MediaVariant(SQLModel, table=True):
    """One line of the variant manifest."""

    __tablename__ = "variant"

    media_id: UUID = _media(primary_key=True)
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

    media_id: UUID = _media(primary_key=True)
    library_id: UUID = _library()
    phash: int = Field(sa_type=BigInteger)
    """The 64 bits as a signed number."""

    # Each has everything that the search reads.
    __table_args__ = tuple(
        Index(f"ix_fingerprint_band{number}", "library_id", text(band), "phash", "media_id")
        for number, band in enumerate(PHASH_BANDS)
    )


class MediaDecision(SQLModel, table=True):
    """A decision that was taken; one that opened a review (`final` false) is followed by one that ended it."""

    __tablename__ = "decision"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    media_id: UUID = _media()
    round: int = 0
    """0 is the upload's own; later rounds re-open a case."""
    final: bool
    verdict: str
    policy_version: str
    reasons: list[dict[str, Any]] = _json(list)
    findings: list[dict[str, Any]] = _json(list)
    decided_by: str
    note: str = Field(default="", sa_type=Text)
    created_at: datetime = _created()

    __table_args__ = (Index("uq_decision_round", "media_id", "round", "final", unique=True),)


class MediaEvent(SQLModel, table=True):
    """A line of a media item's timeline; `key` makes a step that runs twice write one line."""

    __tablename__ = "media_event"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    media_id: UUID = _media()
    key: str
    kind: str
    data: dict[str, Any] = _json()
    at: datetime = _created()

    __table_args__ = (Index("uq_media_event_key", "media_id", "key", unique=True),)


class InboxState(StrEnum):
    """What became of a webhook event."""

    STORED = "stored"
    DELIVERED = "delivered"
    LATE = "late"
    UNMATCHED = "unmatched"


class InboxEvent(SQLModel, table=True):
    """A vendor's event as it arrived: unique by vendor and event id, stored before it is acknowledged."""

    __tablename__ = "inbox"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    vendor: str
    event_id: str
    media_id: UUID | None = None
    """As the event names it; no foreign key, because it may name what does not exist."""
    event: dict[str, Any] = _json()
    body: bytes = Field(sa_type=LargeBinary)
    headers: dict[str, Any] = _json()
    state: InboxState = _enum(InboxState, InboxState.STORED)
    tracking_id: str = ""
    received_at: datetime = _created()
    settled_at: datetime | None = _time()

    __table_args__ = (
        Index("uq_inbox_event", "vendor", "event_id", unique=True),
        Index("ix_inbox_media", "media_id"),
        Index("ix_inbox_waiting", "received_at", postgresql_where=text("state = 'stored'")),
    )


class Notification(SQLModel, table=True):
    """What admins are told in the application; while `mailed_at` is empty it owes a mail.

    `mail_claimed_at` says that somebody is about to send it, so that two steps that end together send one.
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = _library()
    media_id: UUID | None = Field(default=None, foreign_key="media.id")
    key: str = Field(unique=True)
    """What happened, once: `<media_id>:<kind>`."""
    kind: str
    subject: str
    body: str = Field(sa_type=Text)
    tracking_id: str = ""
    created_at: datetime = _created()
    mail_claimed_at: datetime | None = _time()
    mailed_at: datetime | None = _time()
    mail_error: str = Field(default="", sa_type=Text)
    """Why its mail can never be sent, as for an address that does not exist; no mail is owed any more."""

    __table_args__ = (
        Index("ix_notification_page", "library_id", text("created_at DESC"), text("id DESC")),
        Index("ix_notification_unmailed", "created_at", postgresql_where=text("mailed_at IS NULL AND mail_error = ''")),
        Index("ix_notification_media", "media_id"),
    )


class IdempotentRequest(SQLModel, table=True):
    """A POST with an `Idempotency-Key` and the answer it got; `status` is None while it is being worked on."""

    __tablename__ = "idempotent_request"

    api_key_id: UUID = Field(sa_column=Column(ForeignKey("api_key.id"), primary_key=True))
    key: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    fingerprint: str
    status: int | None = None
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = _created()

    __table_args__ = (Index("ix_idempotent_request_age", "created_at"),)
