"""Payloads of the care for what is stored; rules as in `workflows/messages.py`."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from mediagate.media.values import Value
from workflows.messages import MediaRef


class RetentionStep(StrEnum):
    """What retention does, in this order."""

    TRASH = "trash"
    """what its library keeps no longer goes to the trash"""
    BACKUPS = "backups"
    """second copies of withheld items are deleted"""
    ERASE = "erase"
    """what was in the trash for long enough is erased"""


class RetentionCursor(Value):
    """Behind which item of which step retention goes on."""

    step: RetentionStep = RetentionStep.TRASH
    library: str = ""
    status: str = ""
    after_time: datetime | None = None
    after_id: str = ""


class RetentionCounts(Value):
    """What retention did."""

    trashed: int = 0
    backups: int = Field(0, description="backups that were deleted")
    erased: int = 0
    kept: int = Field(0, description="items whose time is up and that a legal hold or sealed evidence keeps")
    failed: int = Field(
        0, description="items that could not be dealt with, which the log names; the next run tries again"
    )
    bytes: int = Field(0, description="freed")

    def plus(self, other: "RetentionCounts") -> "RetentionCounts":
        """The sum of two."""
        mine, more = self.model_dump(), other.model_dump()
        return RetentionCounts(**{name: mine[name] + more[name] for name in mine})


class RetentionInput(Value):
    """Start of a `RetentionWorkflow`, and of a page of it."""

    library: str | None = Field(None, description="slug; None: every library")
    actor: str = "gate"
    via: str = "schedule:retention"
    limit: int = Field(100, description="items of a page")
    stretch: int = Field(50, description="pages after which the history begins anew")
    cursor: RetentionCursor = RetentionCursor()
    done: RetentionCounts = RetentionCounts()


class RetentionPage(Value):
    """What a page did; without `cursor` it was the last one."""

    done: RetentionCounts = RetentionCounts()
    cursor: RetentionCursor | None = None


class TrashInput(MediaRef):
    """Start of a `TrashWorkflow`: an item that was public was thrown away."""


class ScrubPhase(StrEnum):
    """What a scrub looks through, in this order."""

    ROWS = "rows"
    """every object that a row names"""
    OBJECTS = "objects"
    """every object that is in the store"""
    DONE = "done"


class ScrubCounts(Value):
    """Numbers of a scrub, as the columns of its row."""

    rows: int = 0
    bytes: int = 0
    listed: int = 0
    missing: int = 0
    altered: int = 0
    untracked: int = 0
    repaired: int = 0


class ScrubCursor(Value):
    """Behind which item, or which key, a scrub goes on."""

    phase: ScrubPhase = ScrubPhase.ROWS
    library: str = Field("", description="slug; in the first phase")
    after_time: datetime | None = None
    after_id: str = ""
    after_key: str = Field("", description="in the second phase")


class ScrubInput(Value):
    """Start of a `ScrubWorkflow`, and of each of its steps."""

    library: str | None = Field(None, description="slug; None: everything")
    quick: bool = Field(False, description="compare sizes, and read nothing")
    repair: bool = False
    actor: str = "gate"
    via: str = "schedule:scrub"
    bytes_per_second: int | None = Field(None, description="read at most so much; None: as the worker's settings say")
    items: int = Field(25, description="items of a page; while one is read, a slot for other work is taken")
    keys: int = Field(1000, description="objects of a page of the listing")
    stretch: int = Field(100, description="pages after which the history begins anew")
    grace: float = Field(3600, description="seconds for which an object may be without a row: it may be on its way")
    scrub_id: str = Field("", description="of its row; empty: it is not begun yet")
    cursor: ScrubCursor = ScrubCursor()
    counts: ScrubCounts = ScrubCounts()


class DamagedItem(MediaRef):
    """Pictures of an item that must be made anew, as keys of their objects."""

    scrub_id: str
    keys: tuple[str, ...]
    actor: str = "gate"
    via: str = "schedule:scrub"


class ScrubPage(Value):
    """What a page brought."""

    cursor: ScrubCursor
    counts: ScrubCounts = Field(ScrubCounts(), description="of all pages so far")
    damaged: tuple[DamagedItem, ...] = ()


class ScrubEnd(Value):
    """A scrub ended."""

    scrub_id: str
    library: str | None = None
    counts: ScrubCounts = ScrubCounts()
    failed: bool = False
    actor: str = "gate"
    via: str = "schedule:scrub"


class ScrubResult(ScrubCounts):
    """End of a `ScrubWorkflow`."""

    scrub_id: str = ""
