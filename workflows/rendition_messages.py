"""Payloads of the workflows that make further pictures; see `workflows.messages`."""

from datetime import datetime

from pydantic import Field

from mediagate.media.values import Value
from workflows.messages import MediaRef


class RenditionInput(MediaRef):
    """Bring one approved item's pictures in line with its library's policy."""

    only_stale: bool = Field(False, description="where renditions are made lazily, leave the missing ones missing")


class RenditionResult(Value):
    """What was made and taken away; file names as in URLs."""

    made: tuple[str, ...] = ()
    dropped: int = 0


class StaleInput(Value):
    """Look through a page of a library's approved items, newest first, from behind a position."""

    library: str
    after_time: datetime | None = None
    after_id: str = ""
    limit: int = 100


class StalePage(Value):
    """Media ids with stale pictures; without `after_time` it was the last page."""

    looked_at: int = 0
    stale: tuple[str, ...] = ()
    after_time: datetime | None = None
    after_id: str = ""


class RebuildResult(Value):
    """How far a rebuild is, or what it did."""

    looked_at: int = 0
    rebuilt: int = 0
    failed: tuple[str, ...] = Field((), description="media ids that keep their old pictures, the first ones")


class RebuildInput(Value):
    """Make all stale pictures of a library anew."""

    library: str
    at_once: int = Field(2, ge=1, le=50, description="items worked on at the same time")
    page: int = 100
    most_failures: int = 1000
    after_time: datetime | None = None
    after_id: str = ""
    done: RebuildResult = RebuildResult()
