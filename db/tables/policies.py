"""Libraries' policies, what a shadow would have decided, runs over decided items, and what people taught of vendors."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy import BigInteger, Column, Identity, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column, library_column, media_column, time_column
from mediagate.errors import PolicyUnusable
from mediagate.media.values import Verdict
from mediagate.moderation.policy import Policy
from mediagate.moderation.policy_runs import ItemState, PolicyMode, RunMode, RunState

LONGEST_VERSION = 64
"""Of `Policy.version`."""


class LibraryPolicy(SQLModel, table=True):
    """One version of a library's policy. Its document never changes; a change is a new version."""

    __tablename__ = "policy"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = library_column()
    number: int
    """1, 2, 3, … in each library."""
    name: str
    mode: PolicyMode = enum_column(PolicyMode, PolicyMode.DRAFT)
    document: dict[str, Any] = json_column()
    """Canonical: `mediagate.moderation.documents`."""
    source: str = Field(sa_type=Text)
    """As it was sent, comments included."""
    digest: str
    """SHA-256 of the canonical document."""
    created_by: str
    created_at: datetime = created_column()
    activated_at: datetime | None = time_column()
    """When it last became live or a shadow."""
    note: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})

    __table_args__ = (
        Index("uq_policy_number", "library_id", "number", unique=True),
        Index("uq_policy_mode", "library_id", "mode", unique=True, postgresql_where=text("mode IN ('live', 'shadow')")),
        Index("ix_policy_page", "library_id", text("created_at DESC"), text("id DESC")),
    )

    @property
    def version(self) -> str:
        """`<name>@<number>`, as decisions keep it."""
        number = f"@{self.number}"
        return self.name[: LONGEST_VERSION - len(number)] + number

    @property
    def policy(self) -> Policy:
        """The policy as a value, with that version.

        Raises:
            PolicyUnusable: another release wrote what this one cannot read.
        """
        try:
            return Policy.model_validate({**self.document, "version": self.version})
        except (ValidationError, TypeError) as error:
            raise PolicyUnusable(f"The stored policy {self.version} cannot be read by this release.") from error


class PolicyChange(SQLModel, table=True):
    """Who brought a policy into which mode. The database refuses to change or delete these rows."""

    __tablename__ = "policy_change"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    policy_id: UUID = Field(foreign_key="policy.id", nullable=False)
    library_id: UUID = library_column()
    from_mode: str = ""
    """Empty: it was made."""
    to_mode: PolicyMode = enum_column(PolicyMode, PolicyMode.DRAFT)
    by: str
    note: str = Field(default="", sa_type=Text)
    at: datetime = created_column()

    __table_args__ = (Index("ix_policy_change_policy", "policy_id", "id"),)


class ShadowDecision(SQLModel, table=True):
    """What a shadow would have decided where the live policy decided; it never had an effect."""

    __tablename__ = "shadow_decision"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    policy_id: UUID = Field(foreign_key="policy.id", nullable=False)
    media_id: UUID = media_column()
    round: int = 0
    verdict: Verdict = enum_column(Verdict, Verdict.REVIEW)
    reasons: list[dict[str, Any]] = json_column(list)
    risk: float
    rule: str
    live_verdict: Verdict = enum_column(Verdict, Verdict.REVIEW)
    """What was decided, by the same events."""
    live_version: str
    created_at: datetime = created_column()

    __table_args__ = (
        Index("uq_shadow_decision", "media_id", "policy_id", "round", unique=True),
        Index("ix_shadow_decision_page", "policy_id", text("created_at DESC"), text("id DESC")),
    )


class VendorReliability(SQLModel, table=True):
    """How often people agreed with a vendor, by category; `mediagate.moderation.reliability` says what is counted."""

    __tablename__ = "vendor_reliability"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    library_id: UUID | None = Field(default=None, foreign_key="library.id")
    """None: the sum of all libraries."""
    vendor: str
    category: str
    tp: int = Field(default=0, sa_type=BigInteger)
    fp: int = Field(default=0, sa_type=BigInteger)
    tn: int = Field(default=0, sa_type=BigInteger)
    fn: int = Field(default=0, sa_type=BigInteger)

    __table_args__ = (
        Index(
            "uq_vendor_reliability",
            "library_id",
            "vendor",
            "category",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )


class PolicyRun(SQLModel, table=True):
    """A run of a policy over decided items, as people see it; its `PolicyRunWorkflow` is what is true while it runs."""

    __tablename__ = "policy_run"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    library_id: UUID = library_column()
    policy_id: UUID = Field(foreign_key="policy.id", nullable=False)
    mode: RunMode = enum_column(RunMode, RunMode.DRY_RUN)
    undoes: UUID | None = Field(default=None, foreign_key="policy_run.id")
    state: RunState = enum_column(RunState, RunState.PREVIEWING)
    last: int | None = None
    """Only so many items, the newest; None: all."""
    include_human: bool = False
    report: dict[str, Any] = json_column()
    """`mediagate.moderation.policy_runs.Comparison` of what was looked at."""
    would_change: int = 0
    """Items that `apply` would bring to another verdict."""
    applied: int = 0
    skipped: int = 0
    """Left alone when their turn came: somebody decided them meanwhile."""
    failed: int = 0
    detail: str = Field(default="", sa_type=Text)
    created_by: str
    created_at: datetime = created_column()
    confirm_until: datetime | None = time_column()
    confirmed_by: str = ""
    ended_at: datetime | None = time_column()

    __table_args__ = (
        Index("ix_policy_run_page", "library_id", text("created_at DESC"), text("id DESC")),
        Index(
            "uq_policy_run_open",
            "library_id",
            unique=True,
            postgresql_where=text("mode <> 'dry_run' AND ended_at IS NULL"),
        ),
        Index("ix_policy_run_undoes", "undoes", postgresql_where=text("undoes IS NOT NULL")),
    )


class PolicyRunItem(SQLModel, table=True):
    """An item that a policy would decide otherwise, and what became of that."""

    __tablename__ = "policy_run_item"

    run_id: UUID = Field(foreign_key="policy_run.id", primary_key=True)
    media_id: UUID = media_column(primary_key=True)
    at: datetime = time_column(nullable=False)
    """When the item was made: the order of the run."""
    from_verdict: Verdict = enum_column(Verdict, Verdict.APPROVE)
    from_version: str
    from_reasons: list[dict[str, Any]] = json_column(list)
    decided_by: str
    from_round: int
    to_verdict: Verdict = enum_column(Verdict, Verdict.REVIEW)
    to_reasons: list[dict[str, Any]] = json_column(list)
    risk: float
    state: ItemState = enum_column(ItemState, ItemState.FOUND)
    detail: str = ""
    round: int | None = None
    """That in which the run decided it."""
    applied_at: datetime | None = time_column()
    undone_at: datetime | None = time_column()

    __table_args__ = (
        Index("ix_policy_run_item_page", "run_id", text("at DESC"), text("media_id DESC")),
        Index("ix_policy_run_item_state", "run_id", "state", text("at DESC"), text("media_id DESC")),
        Index("ix_policy_run_item_media", "media_id"),
    )
