"""Payloads of copies and moves between stores."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from mediagate.media.values import Value
from mediagate.storage.placement import LEASE


class StoreAct(StrEnum):
    """What is done with a library's objects and a store."""

    COPY = "copy"
    """They are brought there as well."""
    MOVE = "move"
    """They are brought there, the library lives there from then on, and where it was is cleared."""
    CLEAR = "clear"
    """Copies in a store that is not the library's are deleted."""


class StoreStage(StrEnum):
    """How far a run is."""

    BEGINNING = "beginning"
    COPYING = "copying"
    HANDING_OVER = "handing over"
    CLEARING = "clearing"
    DONE = "done"


class StoreCounts(Value):
    """What was done, in objects."""

    looked_at: int = 0
    copied: int = 0
    copied_bytes: int = 0
    removed: int = Field(0, description="from the new place, because the old one does not have them")
    cleared: int = Field(0, description="from the old place")

    def plus(self, more: "StoreCounts") -> "StoreCounts":
        """The sum."""
        return StoreCounts(**{name: getattr(self, name) + getattr(more, name) for name in StoreCounts.model_fields})


class StoreMoveInput(Value):
    """Start of a `StoreMoveWorkflow`, and of each run that goes on with it."""

    library: str
    act: StoreAct
    store: str = Field(description="where to, or what is cleared")
    actor: str
    via: str
    reason: str = ""
    page: int = Field(200, ge=1, le=1000, description="objects of one activity")
    pages_per_run: int = Field(50, ge=1, description="after so many pages the run goes on as a new one")
    at_once: int = Field(4, ge=1, le=16, description="objects worked on at the same time")
    lease: timedelta = Field(timedelta(seconds=LEASE + 2), description="longer than any process believes a placement")
    grace: timedelta = Field(
        timedelta(minutes=1), description="for readers that have begun, before anything is deleted"
    )
    stage: StoreStage = StoreStage.BEGINNING
    source: str = Field("", description="where the library was, once that is known")
    after: str = Field("", description="the last key that was worked on")
    done: StoreCounts = StoreCounts()


class StoreMoveProgress(Value):
    """How far it is, or what came of it."""

    library: str
    act: StoreAct
    store: str
    source: str = ""
    stage: StoreStage = StoreStage.BEGINNING
    done: StoreCounts = StoreCounts()


class StorePlace(Value):
    """A step of a move, as its activity is told."""

    library: str
    home: str
    beside: str | None = None
    actor: str
    via: str
    reason: str = ""


class StoreBegun(Value):
    """Where a library is at the beginning, and with what the run goes on."""

    source: str
    stage: StoreStage


class StorePageInput(Value):
    """The next objects to be copied, or cleared."""

    library: str
    source: str
    target: str
    after: str = ""
    limit: int = 200
    at_once: int = 4
    moving: bool = Field(False, description="the library is on its way: it is written to both")


class StorePage(Value):
    """What became of them."""

    done: StoreCounts = StoreCounts()
    after: str = Field("", description="the last key; empty: there are no more")
