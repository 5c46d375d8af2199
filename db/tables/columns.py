"""Columns that many tables have."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Enum
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def time_column(*, nullable: bool = True) -> Any:
    """A moment, in UTC."""
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)


def created_column() -> Any:
    """When the row was made."""
    return Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        nullable=False,
    )


def enum_column(values: type[StrEnum], default: StrEnum) -> Any:
    """A closed set."""
    # Text in the database: a new member is no migration that locks the table.
    kind = Enum(values, native_enum=False, length=32, values_callable=lambda enum: [member.value for member in enum])
    return Field(default=default, sa_type=kind, nullable=False)


def json_column(default: type = dict) -> Any:
    """A JSON document."""
    return Field(default_factory=default, sa_type=JSONB, nullable=False)


def library_column() -> Any:
    """Whose it is."""
    return Field(foreign_key="library.id", nullable=False)


def media_column(*, primary_key: bool = False) -> Any:
    """What it is about."""
    return Field(foreign_key="media.id", nullable=False, primary_key=primary_key)
