"""Payloads of imports; fields are only ever added, with defaults."""

from datetime import timedelta

from pydantic import Field

from mediagate.media.imports import ENDED, MOST_AT_ONCE, ImportCounts, ImportState
from mediagate.media.values import Value


class ImportProgress(Value):
    """How far an import is."""

    state: ImportState = ImportState.LISTING
    counts: ImportCounts = ImportCounts()
    paused: bool = False
    cancelled: bool = False
    detail: str = Field("", description="who paused or cancelled it, or why it waits or ended")
    after: str = Field("", description="where the listing goes on")
    worked: timedelta = Field(timedelta(0), description="without pauses and holds")
    held: timedelta = Field(timedelta(0), description="how long nothing could begin, up to now")

    @property
    def shown(self) -> ImportState:
        """The state, as people see it."""
        if self.state in ENDED:
            return self.state
        return ImportState.CANCELLING if self.cancelled else ImportState.PAUSED if self.paused else self.state


class ImportInput(Value):
    """Start of a `BatchImportWorkflow`; its row is there already."""

    import_id: str
    library: str
    round: int = 1
    at_once: int = Field(20, ge=1, le=MOST_AT_ONCE, description="uploads under way at a time, at most")
    begin: int = Field(8, ge=1, description="uploads that one step begins at most")
    page: int = Field(2000, ge=1, description="objects that are written down at a time")
    stretch: int = Field(200, ge=1, description="steps after which the history begins anew")
    look_again: timedelta = Field(timedelta(seconds=1), description="after which a full window is looked at again")
    progress: ImportProgress = ImportProgress()


class ImportOrder(Value):
    """Updates `pause`, `resume` and `cancel`: who gives the order."""

    actor: str
    via: str = ""


class ListInput(Value):
    """Write down the next objects, from behind a position."""

    import_id: str
    after: str = ""
    limit: int = 2000


class ListResult(Value):
    """What is written down by now; without `after` that is all."""

    counts: ImportCounts = ImportCounts()
    after: str | None = None
    refused: str = Field("", description="why there is nothing to be imported")
    hold: timedelta | None = Field(None, description="when to try again, if the source cannot be read")
    detail: str = ""


class AdvanceInput(Value):
    """Look which uploads have ended, and begin others."""

    import_id: str
    at_once: int
    begin: int = Field(description="uploads that may begin; 0: none, for it is paused or cancelled")
    worked: timedelta = timedelta(0)


class AdvanceResult(Value):
    """What a step did."""

    counts: ImportCounts = ImportCounts()
    moved: int = Field(0, description="uploads that ended or began, and objects that failed")
    more: bool = Field(False, description="there is room in the window, and work")
    hold: timedelta | None = Field(None, description="when to try again, if nothing can begin now")
    detail: str = Field("", description="why not")


class ImportRecord(Value):
    """Write down where an import stands."""

    import_id: str
    progress: ImportProgress
    act: str = Field("", description="what was ordered: pause, resume, cancel")
    order: ImportOrder | None = Field(None, description="by whom")


class EndInput(Value):
    """An import ends so."""

    import_id: str
    library: str
    round: int
    state: ImportState
    detail: str = ""


class EndResult(Value):
    """Not ended: somebody wants failed objects tried again, so it goes on."""

    ended: bool
    counts: ImportCounts = ImportCounts()
