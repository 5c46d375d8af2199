"""An item is decided, and a vendor's word comes that may change the verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities.policies import Case, decide_by_live
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Verdict
from mediagate.moderation.policy import Reason
from mediagate.moderation.remoderation import follow_up
from workflows.messages import MediaRef, RemoderateInput

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Database
    from workflows.client import Flows

LATE_VERDICT = "late_verdict"
"""The cause of a round that a late word opened."""


class Reconsidering:
    """Words that a run heard when it had decided."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def reconsider_decision(self, ref: MediaRef) -> bool:
        """Open a new round if the words demand it. Idempotent: a round is opened once."""
        return await reconsider(
            self._deps.db, self._deps.flows, UUID(ref.media_id), review=self._deps.settings.review_time
        )


async def reconsider(db: Database, flows: Flows, media_id: UUID, *, review: timedelta) -> bool:
    """True if everything in the inbox leads to another verdict than the one that stands, and a run sees to it.

    Raises:
        WorkflowsUnavailable, DatabaseUnavailable: try again.
    """
    async with db.transaction() as tx:
        media, library = await tx.media.with_library(media_id)
        standing = await tx.decisions.latest(media_id)
        if standing is None or not standing.final or media.status not in DECIDED:
            return False
        wanted = await decide_by_live(tx, Case(media, library, await tx.inbox.heard(media_id)))
    verdict = follow_up(Verdict(standing.verdict), standing.decided_by, wanted.verdict)
    if verdict is None:
        return False
    detail = f"Decided as {standing.verdict}; by what vendors say now it would be {wanted.verdict.value}."
    await flows.remoderate(
        RemoderateInput(
            media_id=str(media_id),
            library=library.slug,
            tracking_id=media.tracking_id,
            round=standing.round + 1,
            cause=LATE_VERDICT,
            # By the policy where it may decide; a person is asked where only persons may.
            verdict=None if verdict is wanted.verdict else verdict,
            reasons=() if verdict is wanted.verdict else (Reason(code=LATE_VERDICT, detail=detail),),
            review=review,
        )
    )
    return True
