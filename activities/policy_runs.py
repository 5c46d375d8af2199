"""A policy over decided items: looking again, taking items to be decided anew, and writing down what became of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from temporalio import activity

from activities.policies import Case, subject_of
from mediagate.errors import Conflict, PolicyUnusable
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status, Verdict
from mediagate.moderation.policy import Decision, Policy, Reason, decide
from mediagate.moderation.policy_runs import ENDED, Comparison, ItemState, compared, left_alone, total
from mediagate.moderation.remoderation import PERSON
from workflows.policy_run_messages import (
    ItemOutcome,
    PreviewInput,
    PreviewResult,
    RunItem,
    RunItemsInput,
    RunItemsPage,
    RunRecord,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from activities.deps import Deps
    from db.session import Database, Transaction
    from db.tables import Library, Media, MediaDecision, PolicyRunItem
    from mediagate.moderation.findings import VendorEvent
    from mediagate.moderation.reliability import Reliability

    Position = tuple[datetime, UUID]


class Looked(NamedTuple):
    """An item that was looked at again."""

    media: Media
    standing: MediaDecision
    wanted: Decision
    left: str | None
    """Why a run leaves it alone; None: it would change it."""

    @property
    def changed(self) -> bool:
        """True if the policy says something else than what stands."""
        return self.standing.verdict != self.wanted.verdict

    @property
    def comparison(self) -> Comparison:
        """For the sum over items."""
        standing = Verdict(self.standing.verdict)
        person = standing if self.standing.decided_by.startswith(PERSON) else None
        return compared(standing, self.wanted, person=person, applicable=self.left is None)

    @property
    def position(self) -> Position:
        """In the order of items, newest first."""
        return self.media.created_at, self.media.id


class PolicyRuns:
    """The steps of a `PolicyRunWorkflow`."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def preview_policy(self, job: PreviewInput) -> PreviewResult:
        """Look at a page of items and keep those whose verdict would be another one. Idempotent.

        Raises:
            NotFound: the run's row is gone.
            Conflict: this release cannot read the policy; the run ends.
        """
        run_id = UUID(job.run_id)
        async with self._deps.db.transaction() as tx:
            _, library, stored = await tx.policies.run_with_policy(run_id)
        try:
            policy = stored.policy
        except PolicyUnusable as error:
            raise Conflict(error.message) from error
        looked = await look_again(
            self._deps.db,
            library,
            policy,
            after=_position(job.after_time, job.after_id),
            limit=job.limit,
            include_human=job.include_human,
        )
        async with self._deps.db.transaction() as tx:
            await tx.policies.put_items(_item(run_id, one) for one in looked if one.changed)
        at, id_ = looked[-1].position if len(looked) == job.limit else (None, "")
        return PreviewResult(comparison=total(one.comparison for one in looked), after_time=at, after_id=str(id_))

    @activity.defn
    async def take_run_items(self, job: RunItemsInput) -> RunItemsPage:
        """The next items to be decided anew. Reads only."""
        run_id = UUID(job.run_id)
        state = ItemState.APPLIED if job.undo else ItemState.FOUND
        async with self._deps.db.transaction() as tx:
            _, library, stored = await tx.policies.run_with_policy(run_id)
            after = _position(job.after_time, job.after_id)
            rows = await tx.policies.items_with_media(run_id, state, after=after, limit=job.limit)
            latest = await tx.decisions.latest_of([media.id for _, media in rows])
        item_of = _to_undo if job.undo else _to_apply
        last = rows[-1][0] if len(rows) == job.limit else None
        return RunItemsPage(
            items=tuple(
                item_of(row, media, latest.get(media.id)).model_copy(
                    update={"library": library.slug} | ({} if job.undo else {"policy_version": stored.version})
                )
                for row, media in rows
            ),
            after_time=last.at if last else None,
            after_id=str(last.media_id) if last else "",
        )

    @activity.defn
    async def record_policy_run(self, job: RunRecord) -> None:
        """Write down how far a run is. Idempotent; what has ended stays as it is."""
        from db.tables import now

        progress = job.progress
        async with self._deps.db.transaction() as tx:
            run = await tx.policies.run(UUID(job.run_id), lock=True)
            for outcome in job.outcomes:
                await _settle(tx, UUID(job.of_run or job.run_id), outcome)
            if run.ended_at:
                return
            run.state, run.detail = progress.shown, progress.detail
            run.report = progress.comparison.model_dump(mode="json")
            run.would_change = progress.comparison.applicable
            run.applied, run.skipped, run.failed = progress.applied, progress.skipped, progress.failed
            run.confirm_until, run.confirmed_by = progress.confirm_until, progress.confirmed_by
            run.ended_at = now() if progress.state in ENDED else None


async def look_again(
    db: Database, library: Library, policy: Policy, *, after: Position | None, limit: int, include_human: bool = False
) -> list[Looked]:
    """What a policy would make of a page of decided items today, the newest first. Reads only."""
    async with db.transaction() as tx:
        rows = await tx.decisions.of_moderated(library.id, after=after, limit=limit)
        said = await tx.inbox.heard_of([media.id for media, _ in rows])
        learnt = await tx.policies.reliability(library.id, floor=policy.fusion.reliability_floor)

    def look() -> list[Looked]:
        return [
            _look(media, library, standing, said[media.id], policy, learnt, include_human) for media, standing in rows
        ]

    return await asyncio.to_thread(look)


def _look(
    media: Media,
    library: Library,
    standing: MediaDecision,
    events: Sequence[VendorEvent],
    policy: Policy,
    learnt: Reliability,
    include_human: bool,
) -> Looked:
    wanted = decide(policy, events, reliability=learnt, subject=subject_of(Case(media, library, events), policy))
    verdict = Verdict(standing.verdict)
    left = left_alone(verdict, standing.decided_by, wanted.verdict, include_human=include_human)
    return Looked(media, standing, wanted, left)


def _item(run_id: UUID, one: Looked) -> PolicyRunItem:
    from db.tables import PolicyRunItem

    return PolicyRunItem(
        run_id=run_id,
        media_id=one.media.id,
        at=one.media.created_at,
        from_verdict=Verdict(one.standing.verdict),
        from_version=one.standing.policy_version,
        from_reasons=one.standing.reasons,
        decided_by=one.standing.decided_by,
        from_round=one.standing.round,
        to_verdict=one.wanted.verdict,
        to_reasons=[reason.model_dump(mode="json") for reason in one.wanted.reasons],
        risk=one.wanted.risk,
        state=ItemState.LEFT if one.left else ItemState.FOUND,
        detail=one.left or "",
    )


async def _settle(tx: Transaction, run_id: UUID, outcome: ItemOutcome) -> None:
    """An item that could not be brought back stays applied; why is told."""
    from db.tables import now

    settle, media_id, detail = tx.policies.settle_item, UUID(outcome.media_id), outcome.detail
    if outcome.state is ItemState.UNDONE:
        await settle(run_id, media_id, ItemState.APPLIED, state=outcome.state, detail=detail, undone_at=now())
    elif outcome.state is ItemState.APPLIED:
        applied = {"state": outcome.state, "round": outcome.round, "applied_at": now()}
        await settle(run_id, media_id, ItemState.FOUND, detail=detail, **applied)
    else:
        await settle(run_id, media_id, ItemState.FOUND, state=outcome.state, detail=detail)
        await settle(run_id, media_id, ItemState.APPLIED, detail=detail)


def _to_apply(row: PolicyRunItem, media: Media, latest: MediaDecision | None) -> RunItem:
    """Overruled is what is not as it was when the run looked, but for what this very run did already."""
    as_seen = latest is not None and latest.final and latest.round == row.from_round and media.status in DECIDED
    by_us = latest is not None and latest.decided_by == f"policy_run:{row.run_id}"
    return RunItem(
        media_id=str(row.media_id),
        library="",
        tracking_id=media.tracking_id,
        round=row.from_round + 1,
        verdict=row.to_verdict,
        reasons=tuple(map(Reason.model_validate, row.to_reasons)),
        overruled=not (as_seen or by_us),
    )


def _to_undo(row: PolicyRunItem, media: Media, latest: MediaDecision | None) -> RunItem:
    """Overruled is what a later round decided, or a person in the review that the run opened."""
    applied = row.round or row.from_round + 1
    ours = latest is not None and latest.round == applied and not latest.decided_by.startswith(PERSON)
    undone = latest is not None and latest.round == applied + 1 and latest.decided_by == f"undo:{row.run_id}"
    in_review = ours and latest is not None and not latest.final
    return RunItem(
        media_id=str(row.media_id),
        library="",
        tracking_id=media.tracking_id,
        round=applied if in_review else applied + 1,
        verdict=row.from_verdict,
        reasons=tuple(map(Reason.model_validate, row.from_reasons)),
        policy_version=row.from_version,
        in_review=in_review,
        overruled=not (ours or undone) or media.status not in DECIDED | {Status.IN_REVIEW},
    )


def _position(at: datetime | None, id_: str) -> Position | None:
    return (at, UUID(id_)) if at else None
