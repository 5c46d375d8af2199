"""Imports as they go over the wire; fields are only ever added."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.models import Sha256, Text, UploadTexts
from mediagate.media.filenames import MAX_LENGTH
from mediagate.media.imports import LONGEST_KEY, MOST_AT_ONCE, ImportItemState, ImportState
from mediagate.media.values import Status

SourceName = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$", description="a name in MEDIAGATE_IMPORT_SOURCES")]
AtOnce = Annotated[int | None, Field(ge=1, le=MOST_AT_ONCE, description="uploads under way; default: import_at_once")]


class ImportCreate(UploadTexts):
    """Import every object below a prefix, with the same words for all."""

    model_config = ConfigDict(extra="forbid")

    source: SourceName
    prefix: Annotated[
        Text, Field(max_length=LONGEST_KEY, description="of keys, in full; default: the source's own")
    ] = ""
    at_once: AtOnce = None


class ManifestLine(UploadTexts):
    """An object that a manifest names, and words for it."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[Text, Field(max_length=3 * LONGEST_KEY + 300)] = ""
    url: Annotated[Text, Field(max_length=3 * LONGEST_KEY + 300, description="in place of the key")] = ""
    filename: Annotated[Text, Field(max_length=MAX_LENGTH, description="default: the end of the key")] = ""
    sha256: Sha256 | None = None


class ImportRead(BaseModel):
    """An import, and how far it is."""

    id: UUID = Field(description="also the batch_id of its items")
    state: ImportState
    detail: str = Field(description="who paused or cancelled it, or why it waits or ended")
    source: str
    prefix: str | None = Field(description="null: a manifest says what is imported")
    at_once: int
    round: int = Field(description="2 and more: failed objects were tried again after its end")
    total: int = Field(description="objects that are written down so far")
    waiting: int
    under_way: int
    imported: int = Field(description="decided, one way or the other, or with a person")
    failed: int
    cancelled: int
    outcomes: dict[Status, int] = Field({}, description="items by their status; not in lists")
    per_second: float | None = Field(description="objects that ended, without pauses; null: not known yet")
    seconds_left: float | None = Field(description="at that rate; null: not known, or it has ended")
    workflow_id: str
    tracking_id: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class ImportPage(BaseModel):
    """A page of imports, newest first."""

    items: list[ImportRead]
    next_cursor: str | None


class ImportItemRead(BaseModel):
    """An object of an import."""

    key: str
    line: int | None = Field(description="of the manifest")
    filename: str
    state: ImportItemState
    media_id: UUID | None = Field(description="the item that it became")
    status: Status | None = Field(description="of that item")
    reason: str = Field(description="why it failed, or the item's reason")
    detail: str


class ImportItemPage(BaseModel):
    """A page of objects, in the order of the manifest or of the listing."""

    items: list[ImportItemRead]
    next_cursor: str | None
