"""Payloads of policy runs; see `workflows.messages`."""

from datetime import datetime, timedelta

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.policy import Reason
from mediagate.moderation.policy_runs import MOST_RUN_AT_ONCE, WORKING, Comparison, ItemState, RunMode, RunState
from workflows.messages import MediaRef


class PolicyRunProgress(Value):
    """How far a run of a policy is."""

    state: RunState = RunState.PREVIEWING
    comparison: Comparison = Comparison()
    applied: int = 0
    skipped: int = 0
    failed: int = 0
    paused: bool = False
    cancelled: bool = False
    confirmed_by: str = ""
    confirm_until: datetime | None = None
    detail: str = ""
    after_time: datetime | None = Field(None, description="position of the last item that was done")
    after_id: str = ""

    @property
    def shown(self) -> RunState:
        """The state, as people see it."""
        return RunState.PAUSED if self.paused and self.state in WORKING else self.state


class PolicyRunInput(Value):
    """Start of a `PolicyRunWorkflow`; its row is there already."""

    run_id: str
    library: str
    mode: RunMode
    undoes: str = Field("", description="run id; of mode undo")
    last: int | None = Field(None, description="only so many items, the newest; None: all")
    include_human: bool = Field(False, description="also change what people decided")
    at_once: int = Field(4, ge=1, le=MOST_RUN_AT_ONCE, description="items decided anew at the same time")
    per_second: float = Field(5.0, gt=0, le=100, description="items decided anew per second, at most")
    confirm_within: timedelta = timedelta(days=7)
    review: timedelta = Field(timedelta(days=1), description="how long a person may take, where one is asked")
    page: int = Field(100, ge=1, le=500)
    stretch: int = Field(20, ge=1, description="pages after which the history begins anew")
    actor: str = ""
    progress: PolicyRunProgress = PolicyRunProgress()


class PreviewInput(Value):
    """Look through a page of decided items, from behind a position."""

    run_id: str
    include_human: bool = False
    after_time: datetime | None = None
    after_id: str = ""
    limit: int = 100


class PreviewResult(Value):
    """What a page brought; without `after_time` it was the last one."""

    comparison: Comparison = Comparison()
    after_time: datetime | None = None
    after_id: str = ""


class RunItemsInput(Value):
    """Take the next items of a run that are to be decided anew, from behind a position."""

    run_id: str
    undo: bool = False
    after_time: datetime | None = None
    after_id: str = ""
    limit: int = 100


class RunItem(MediaRef):
    """An item that is to be decided anew."""

    round: int
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    policy_version: str = ""
    in_review: bool = Field(False, description="a review that the run opened is not decided yet")
    overruled: bool = Field(False, description="somebody decided it since the run looked: it is left alone")


class RunItemsPage(Value):
    """Items in the order of the run; without `after_time` there are no more."""

    items: tuple[RunItem, ...] = ()
    after_time: datetime | None = None
    after_id: str = ""


class ItemOutcome(Value):
    """What became of one."""

    media_id: str
    state: ItemState
    round: int | None = None
    detail: str = ""


class RunRecord(Value):
    """Bring the row of a run, and items of it, up to date."""

    run_id: str
    progress: PolicyRunProgress
    of_run: str = Field("", description="the run whose items these are; empty: this one")
    outcomes: tuple[ItemOutcome, ...] = ()


class RunOrder(Value):
    """Updates `confirm`, `pause`, `resume` and `cancel`: who gives the order."""

    actor: str
