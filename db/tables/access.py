"""Tenants, their keys, and answers that are kept for a while."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, json_column, time_column
from mediagate.media.renditions import ImagePolicy
from mediagate.media.retention import Retention
from mediagate.media.values import WatermarkSpec
from mediagate.text.policy import TextPolicy


class Library(SQLModel, table=True):
    """A tenant."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    slug: str = Field(unique=True, max_length=63)
    name: str = ""
    settings: dict[str, Any] = json_column()
    """Overrides, as the values of these names, else the defaults: `limits`, `watermark`, `images`, `text`, `retention`,
    `policy`."""
    created_at: datetime = created_column()

    @property
    def images(self) -> ImagePolicy:
        """Which pictures it wants."""
        return ImagePolicy.model_validate(self.settings.get("images", {}))

    @property
    def retention(self) -> Retention:
        """How long it keeps what is decided."""
        return Retention.model_validate(self.settings.get("retention", {}))

    @property
    def texts(self) -> TextPolicy:
        """Its rules for captions, titles and links."""
        return TextPolicy.model_validate(self.settings.get("text", {}))

    @property
    def watermark(self) -> WatermarkSpec:
        """Its mark; empty if it has none."""
        return WatermarkSpec.model_validate(self.settings.get("watermark", {}))


class DailyUse(SQLModel, table=True):
    """What a library announced on a day (UTC); kept for libraries with a daily quota only."""

    __tablename__ = "daily_use"

    library_id: UUID = Field(foreign_key="library.id", primary_key=True)
    day: date = Field(primary_key=True)
    files: int = Field(sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)


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
    created_at: datetime = created_column()
    expires_at: datetime | None = time_column()
    revoked_at: datetime | None = time_column()


class IdempotentRequest(SQLModel, table=True):
    """A POST with an `Idempotency-Key` and the answer it got; `status` is None while it is being worked on."""

    __tablename__ = "idempotent_request"

    api_key_id: UUID = Field(sa_column=Column(ForeignKey("api_key.id"), primary_key=True))
    key: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    fingerprint: str
    status: int | None = None
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = created_column()

    __table_args__ = (Index("ix_idempotent_request_age", "created_at"),)
