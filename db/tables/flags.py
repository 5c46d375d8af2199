"""Feature flags, and how often they were asked for. A trigger tells every process of each change."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column
from mediagate.flags import Flag, FlagKind

FLAG_CHANGES = "mediagate_flags"
"""Channel on which changes are told."""


class FeatureFlag(SQLModel, table=True):
    """One flag, as `mediagate.flags.Flag` says. A kill switch without a row is on."""

    __tablename__ = "flag"

    name: str = Field(primary_key=True)
    description: str = Field(default="", sa_type=Text)
    kind: FlagKind = enum_column(FlagKind, FlagKind.RELEASE)
    enabled: bool = True
    variants: dict[str, Any] = json_column()
    default: str = "on"
    off: str = "off"
    rules: list[dict[str, Any]] = json_column(list)
    salt: str = ""
    version: int = Field(default=1, sa_type=BigInteger)
    """Grows by one with each change; whoever changes it names the one that was looked at."""
    created_at: datetime = created_column()
    updated_at: datetime = created_column()
    updated_by: str

    @property
    def flag(self) -> Flag:
        """What it says. Raises ValueError if this release cannot read it."""
        return Flag.model_validate({name: getattr(self, name) for name in Flag.model_fields})

    def take(self, flag: Flag) -> None:
        """Say what the flag says."""
        for name, value in flag.model_dump(mode="json").items():
            setattr(self, name, FlagKind(value) if name == "kind" else value)


class FlagCount(SQLModel, table=True):
    """How often a variant was served on a day (UTC), over all processes."""

    __tablename__ = "flag_count"

    day: date = Field(primary_key=True)
    flag: str = Field(primary_key=True)
    variant: str = Field(primary_key=True)
    """Empty: the code's default."""
    reason: str = Field(primary_key=True)
    count: int = Field(default=0, sa_type=BigInteger)

    __table_args__ = (Index("ix_flag_count_flag", "flag", "day"),)
