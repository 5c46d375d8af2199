"""Hash banks as they go over the wire; fields are only ever added."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.models import Text
from mediagate.media.values import Verdict
from mediagate.moderation.banks import MOST_NOTE, BankRules, EntryKind, EntryState, Polarity

NAME = "^[a-z0-9][a-z0-9_-]{0,62}$"


class BankCreate(BankRules):
    """A new bank."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=NAME)
    everywhere: bool = Field(False, description="for every library; needs a key for all libraries")


class BankPatch(BaseModel):
    """What changes about a bank; polarity and name never do."""

    model_config = ConfigDict(extra="forbid")

    action: Verdict | None = None
    category: str | None = None
    distance: int | None = None
    flood_limit: int | None = None
    enabled: bool | None = None


class BankRead(BaseModel):
    """A bank."""

    name: str
    everywhere: bool = Field(description="it looks at the items of every library")
    polarity: Polarity
    action: Verdict
    category: str
    distance: int
    flood_limit: int
    enabled: bool
    created_by: str
    created_at: datetime


class BankPage(BaseModel):
    """The banks that look at a library's items, by name; there are at most 200, so it is one page."""

    items: list[BankRead]
    next_cursor: str | None = None


class EntryCreate(BaseModel):
    """Add an item's file and picture, or (with scope admin) a hash."""

    model_config = ConfigDict(extra="forbid")

    media_id: UUID | None = None
    kind: EntryKind | None = None
    value: str | None = Field(None, description="64 hexadecimal digits of a SHA-256, 16 of a fingerprint")
    note: Annotated[Text, Field(max_length=MOST_NOTE)] = ""


class EntryRead(BaseModel):
    """An entry."""

    id: UUID
    kind: EntryKind
    value: str
    state: EntryState
    note: str
    source: str
    added_by: str
    added_at: datetime
    floods: int = Field(description="how often it was held back because it hit too often")
    held_at: datetime | None
    reviewed_by: str
    reviewed_at: datetime | None


class EntriesAdded(BaseModel):
    """What was added, or was there already."""

    items: list[EntryRead]


class EntryPage(BaseModel):
    """A page of entries, newest first."""

    items: list[EntryRead]
    next_cursor: str | None


class MatchRead(BaseModel):
    """An item that an entry hit."""

    media_id: UUID
    entry_id: UUID
    kind: EntryKind
    value: str
    distance: int
    action: Verdict = Field(description="what this hit demanded then")
    held: bool = Field(description="the entry was held back then")
    at: datetime


class MatchPage(BaseModel):
    """A page of hits, newest first."""

    items: list[MatchRead]
    next_cursor: str | None


class LineSkipped(BaseModel):
    """A line that is no entry of this bank."""

    line: int
    why: str


class ListImported(BaseModel):
    """What became of a list."""

    added: int
    known: int = Field(description="there already; what was removed stays removed")
    skipped: list[LineSkipped] = Field(description="the first 1000")
    skipped_count: int
