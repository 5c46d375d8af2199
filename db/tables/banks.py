"""Hash banks, what is in them, and what they hit."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, library_column, media_column, time_column
from db.tables.media import PHASH_BANDS
from mediagate.media.values import Verdict
from mediagate.moderation.banks import BankRules, EntryKind, EntryState, Polarity


class Bank(SQLModel, table=True):
    """A bank of hashes, of one library or for all."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID | None = Field(default=None, foreign_key="library.id")
    """None: for every library."""
    name: str
    polarity: Polarity = enum_column(Polarity, Polarity.BAD)
    action: Verdict = enum_column(Verdict, Verdict.REVIEW)
    category: str = ""
    distance: int = 0
    """Bits in which pictures may differ, 0..8."""
    flood_limit: int = 100
    enabled: bool = True
    created_by: str = ""
    created_at: datetime = created_column()

    __table_args__ = (Index("uq_bank_name", "library_id", "name", unique=True, postgresql_nulls_not_distinct=True),)

    @property
    def rules(self) -> BankRules:
        """What it does with what it knows."""
        return BankRules.model_validate(self.model_dump())


_COMPARED = "phash IS NOT NULL AND state <> 'removed'"


class BankEntry(SQLModel, table=True):
    """A file or a picture that is known."""

    __tablename__ = "bank_entry"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    bank_id: UUID = Field(foreign_key="bank.id", nullable=False)
    kind: EntryKind = enum_column(EntryKind, EntryKind.SHA256)
    value: str
    """Lower-case hex: 64 digits of a SHA-256, 16 of a fingerprint."""
    phash: int | None = Field(default=None, sa_type=BigInteger)
    """A fingerprint's 64 bits as a signed number."""
    state: EntryState = enum_column(EntryState, EntryState.ACTIVE)
    note: str = Field(default="", sa_type=Text)
    source: str = ""
    """Where it comes from, such as the list that was imported."""
    added_by: str = ""
    added_at: datetime = created_column()
    floods: int = 0
    """How often it was held back."""
    held_at: datetime | None = time_column()
    reviewed_by: str = ""
    reviewed_at: datetime | None = time_column()
    """When a person last released, removed or restored it; hits before do not count as a flood."""

    # The bands have everything that the search reads. They begin with the band and not with the bank: one search serves
    # all banks that a library has.
    __table_args__ = (
        Index("uq_bank_entry", "kind", "value", "bank_id", unique=True),
        Index("ix_bank_entry_page", "bank_id", text("added_at DESC"), text("id DESC")),
        Index("ix_bank_entry_state_page", "bank_id", "state", text("added_at DESC"), text("id DESC")),
        *(
            Index(f"ix_bank_entry_band{number}", text(band), "phash", "bank_id", "id", postgresql_where=text(_COMPARED))
            for number, band in enumerate(PHASH_BANDS)
        ),
    )


class BankMatch(SQLModel, table=True):
    """An item that an entry hit; once, however often it is looked at."""

    __tablename__ = "bank_match"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    entry_id: UUID = Field(foreign_key="bank_entry.id", nullable=False)
    bank_id: UUID = Field(foreign_key="bank.id", nullable=False)
    library_id: UUID = library_column()
    media_id: UUID = media_column()
    distance: int = 0
    action: Verdict = enum_column(Verdict, Verdict.REVIEW)
    """What this hit demanded then."""
    held: bool = False
    """The entry was held back then."""
    at: datetime = created_column()

    __table_args__ = (
        Index("uq_bank_match", "media_id", "entry_id", unique=True),
        Index("ix_bank_match_flood", "entry_id", "at"),
        Index("ix_bank_match_page", "bank_id", "library_id", text("at DESC"), text("id DESC")),
    )
