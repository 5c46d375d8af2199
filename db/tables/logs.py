"""Log lines that are kept in the database as well, where that is switched on."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from db.tables.columns import json_column, time_column


class LogLine(SQLModel, table=True):
    """One line of one process; `data` is all of it."""

    __tablename__ = "log_line"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: datetime = time_column(nullable=False)
    level: int
    """As Python's: 20 info, 30 warning, 40 error."""
    process: str = ""
    event: str = ""
    tracking_id: str = ""
    media_id: str = ""
    data: dict[str, Any] = json_column()

    __table_args__ = (
        Index("ix_log_line_at", "at"),
        Index("ix_log_line_trouble", text("id DESC"), postgresql_where=text("level >= 30")),
        Index("ix_log_line_tracking", "tracking_id", text("id DESC"), postgresql_where=text("tracking_id <> ''")),
        Index("ix_log_line_media", "media_id", text("id DESC"), postgresql_where=text("media_id <> ''")),
    )
