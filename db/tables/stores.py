"""Where libraries' objects are."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column


class LibraryPlacement(SQLModel, table=True):
    """The store of a library that was moved; one that has no row is in the default store.

    `mediagate.storage.placement` says what may follow what.
    """

    __tablename__ = "library_placement"

    library_id: UUID = Field(foreign_key="library.id", primary_key=True)
    home: str
    """Name of the store that decides what there is."""
    beside: str | None = None
    """During a move: the other side."""
    version: int = Field(default=0, sa_type=BigInteger)
    changed_at: datetime = created_column()

    __table_args__ = (CheckConstraint("beside <> home", name="ck_library_placement_sides"),)
