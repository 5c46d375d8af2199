"""Policies, their reports and their runs as they go over the wire; fields are only ever added."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.models import Text
from mediagate.media.values import Verdict
from mediagate.moderation.policy_runs import (
    MOST_DRY_RUN,
    MOST_LAST,
    MOST_RUN_AT_ONCE,
    Comparison,
    ItemState,
    PolicyMode,
    RunMode,
    RunState,
)

Note = Annotated[Text, Field(max_length=2000)]


class PolicyRead(BaseModel):
    """One version of a library's policy."""

    number: int
    name: str
    version: str = Field(description="as decisions name it: <name>@<number>")
    mode: PolicyMode
    digest: str = Field(description="SHA-256 of what it says, whatever it is called; what decides alike has the same")
    created_by: str
    created_at: datetime
    activated_at: datetime | None
    note: str


class PolicyPage(BaseModel):
    """A page of policies, newest first."""

    items: list[PolicyRead]
    next_cursor: str | None


class PolicyChangeRead(BaseModel):
    """Who brought a policy into a mode."""

    from_mode: str = Field(description="empty: it was made")
    to_mode: PolicyMode
    by: str
    note: str
    at: datetime


class PolicyDetail(PolicyRead):
    """A policy with everything that it says."""

    document: dict[str, Any] = Field(description="canonical, with the defaults")
    source: str = Field(description="as it was sent")
    diff: list[str] = Field(description="what is different from the policy that decides now")
    warnings: list[str] = Field(description="what is valid and looks like a mistake")
    changes: list[PolicyChangeRead]


class PolicyChecked(BaseModel):
    """A document that is valid; nothing of it is stored."""

    name: str
    digest: str
    document: dict[str, Any]
    diff: list[str]
    warnings: list[str]


class PolicyPatch(BaseModel):
    """Another mode."""

    model_config = ConfigDict(extra="forbid")

    mode: PolicyMode
    note: Note = ""


class PolicyModeSet(PolicyRead):
    """The mode that it has now."""

    diff: list[str] = Field(description="what is different from what was live before")


class ChangedRead(BaseModel):
    """An item that a policy would decide otherwise."""

    media_id: UUID
    from_verdict: Verdict
    decided_by: str
    to_verdict: Verdict
    reasons: list[dict[str, Any]]
    risk: float
    left: str = Field(description="why a run would leave it alone; empty: it would change it")


class ChangedPage(BaseModel):
    """Changed items, the newest first; a dry-run that is answered at once has one page."""

    items: list[ChangedRead]
    next_cursor: str | None = None


class DryRunCreate(BaseModel):
    """Hold a policy against the last decided items."""

    model_config = ConfigDict(extra="forbid")

    last: int = Field(500, ge=1, le=MOST_DRY_RUN)


class DryRunRead(BaseModel):
    """What a policy would make of them."""

    version: str
    comparison: Comparison
    changed: ChangedPage


class ShadowedRead(BaseModel):
    """A decision beside which a shadow would have decided otherwise."""

    media_id: UUID
    round: int
    live_verdict: Verdict
    live_version: str
    verdict: Verdict = Field(description="the shadow's")
    reasons: list[dict[str, Any]]
    risk: float
    rule: str
    person: Verdict | None = Field(description="what a person decided of the item, if one did")
    at: datetime


class ShadowReportRead(BaseModel):
    """What a policy decided as a shadow, against what was decided; the rows of `matrix` are the live verdicts."""

    version: str
    comparison: Comparison
    examples: list[ShadowedRead]


class RunCreate(BaseModel):
    """Start a run of a policy."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal[RunMode.DRY_RUN, RunMode.APPLY] = RunMode.APPLY
    last: int | None = Field(None, ge=1, le=MOST_LAST, description="only so many items, the newest; null: all")
    include_human: bool = Field(False, description="also change what people decided")
    at_once: int = Field(4, ge=1, le=MOST_RUN_AT_ONCE, description="items decided anew at the same time")
    per_second: float = Field(5.0, gt=0, le=100, description="items decided anew per second, at most")


class RunRead(BaseModel):
    """A run of a policy."""

    id: UUID
    number: int = Field(description="of the policy")
    version: str
    mode: RunMode
    undoes: UUID | None
    state: RunState
    last: int | None
    include_human: bool
    comparison: Comparison
    would_change: int
    applied: int = Field(description="items that were changed; of an undo: brought back")
    skipped: int = Field(description="left alone because somebody decided them meanwhile")
    failed: int
    detail: str
    created_by: str
    created_at: datetime
    confirm_until: datetime | None = Field(description="when a preview that nobody confirmed ends")
    confirmed_by: str
    ended_at: datetime | None
    workflow_id: str


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[RunRead]
    next_cursor: str | None


class RunItemRead(BaseModel):
    """An item that a run found, and what became of it."""

    media_id: UUID
    from_verdict: Verdict
    from_version: str
    decided_by: str
    from_round: int
    to_verdict: Verdict
    to_reasons: list[dict[str, Any]]
    risk: float
    state: ItemState
    detail: str
    round: int | None = Field(description="in which the run decided it")
    applied_at: datetime | None
    undone_at: datetime | None


class RunItemPage(BaseModel):
    """A page of items, the newest first."""

    items: list[RunItemRead]
    next_cursor: str | None
