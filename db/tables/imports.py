"""Imports of many objects, and what became of each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column, library_column, time_column
from mediagate.media.imports import ImportCounts, ImportItemState, ImportState


class Import(SQLModel, table=True):
    """An import, as people see it; its `BatchImportWorkflow` says what happens next.

    It is the outbox of that workflow: without `started_at` and `ended_at` a start is owed.
    """

    id: UUID = Field(foreign_key="batch.id", primary_key=True)
    """The batch of everything that it imports."""
    library_id: UUID = library_column()
    source: str
    """A name in `MEDIAGATE_IMPORT_SOURCES`."""
    prefix: str | None = None
    """What is listed; None: a manifest says what is imported."""
    texts: dict[str, Any] = json_column()
    """Words for every object; those of a manifest's line go before."""
    at_once: int
    """Uploads that may be under way at a time."""
    state: ImportState = enum_column(ImportState, ImportState.LISTING)
    detail: str = Field(default="", sa_type=Text)
    round: int = 1
    """Counts how often it was begun: once, and with each retry after its end."""
    waiting: int = 0
    under_way: int = 0
    imported: int = 0
    failed: int = 0
    cancelled: int = 0
    worked: float = 0
    """Seconds in which uploads could begin: without pauses and holds."""
    tracking_id: str = ""
    created_by: str
    created_at: datetime = created_column()
    started_at: datetime | None = time_column()
    ended_at: datetime | None = time_column()

    __table_args__ = (
        Index("ix_import_page", "library_id", text("created_at DESC"), text("id DESC")),
        Index("ix_import_open", "library_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_import_owed_start", "created_at", postgresql_where=text("started_at IS NULL AND ended_at IS NULL")),
    )

    @property
    def counts(self) -> ImportCounts:
        """How many objects stand where."""
        return ImportCounts.model_validate(self, from_attributes=True)


class ImportItem(SQLModel, table=True):
    """An object that is to be imported."""

    __tablename__ = "import_item"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    """Rises in the order of the manifest or of the listing."""
    import_id: UUID = Field(sa_column=Column(ForeignKey("import.id"), nullable=False))
    key: str
    line: int | None = None
    """Of the manifest."""
    media_id: UUID
    """Derived from import and key; the item exists from `under_way` on."""
    filename: str
    sha256: str | None = None
    """As the manifest says."""
    etag: str = ""
    """As listed; another one later means another object."""
    texts: dict[str, Any] = json_column()
    state: ImportItemState = enum_column(ImportItemState, ImportItemState.WAITING)
    reason: str = ""
    """Why it failed: the code of an error."""
    detail: str = Field(default="", sa_type=Text)
    attempts: int = 0
    """Tries that ended because a store did not answer."""
    updated_at: datetime = created_column()

    __table_args__ = (
        Index("uq_import_item_key", "import_id", "key", unique=True),
        Index("ix_import_item_page", "import_id", "id"),
        Index("ix_import_item_state", "import_id", "state", "id"),
    )
