"""Short idempotent writes, run as local activities: decisions and failures into the projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from mediagate.media.lifecycle import DECIDED, status_for
from mediagate.media.values import Status, Verdict
from mediagate.moderation.policy import Decision, Policy, Reason, decide
from workflows.messages import DecisionInput, DecisionResult, FailureInput

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.tables import MediaDecision
    from mediagate.moderation.findings import VendorEvent


class Projecting:
    """Decisions and failures."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def record_decision(self, job: DecisionInput) -> DecisionResult:
        """Take and store a decision. Idempotent: the first final decision of a round stands and is returned.

        One of a later round that withholds the item closes its row at once: what was public is so no more, whatever
        becomes of its files.
        """
        from db.tables import MediaDecision  # SQLAlchemy: not for what only imports the workflow

        media_id = UUID(job.media_id)
        async with self._deps.db.transaction() as tx:
            await tx.media.get(media_id, lock=True)
            media, library = await tx.media.with_library(media_id)
            standing = await tx.decisions.final(media_id, round_=job.round)
            if standing is None:
                policy = Policy.model_validate(library.settings.get("policy", {}))
                events = await tx.inbox.heard(media_id) if job.from_inbox else job.events
                taken = _decision(job, policy, events)
                standing = await tx.decisions.record(
                    MediaDecision(
                        media_id=media_id,
                        round=job.round,
                        final=taken.verdict is not Verdict.REVIEW,
                        verdict=taken.verdict.value,
                        policy_version=taken.policy_version,
                        reasons=[reason.model_dump(mode="json") for reason in taken.reasons],
                        findings=[finding.model_dump(mode="json") for finding in taken.findings],
                        decided_by=job.decided_by,
                        note=job.note,
                    )
                )
            result = _result(standing)
            if not standing.final:
                await tx.media.move(media, Status.IN_REVIEW, reason=result.reason)
            elif standing.round and result.verdict is not Verdict.APPROVE:
                await tx.media.move(media, status_for(result.verdict), reason=result.reason, detail=result.detail)
            await tx.media.record(
                media_id,
                f"decided:{standing.round}:{standing.final}",
                "decided",
                {"verdict": standing.verdict, "by": standing.decided_by, "reasons": standing.reasons},
            )
        return result

    @activity.defn
    async def record_failure(self, job: FailureInput) -> None:
        """Show that the run failed, and why; `mediagate runs retry` resumes it. Idempotent.

        What is decided and filed stays so, whatever becomes of a run that was reset after that.
        """
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(UUID(job.media_id), lock=True)
            if media.status not in DECIDED:
                await tx.media.move(media, Status.FAILED, reason=job.kind, detail=job.detail)
            key = f"failed:{activity.info().workflow_run_id}"
            await tx.media.record(media.id, key, "failed", {"kind": job.kind, "detail": job.detail})


def _decision(job: DecisionInput, policy: Policy, events: Sequence[VendorEvent]) -> Decision:
    """What the policy says of the events, with another's verdict in its place where there is one."""
    decided = decide(policy, events)
    if job.policy_version:
        decided = decided.model_copy(update={"policy_version": job.policy_version})
    if job.deadline_passed:
        return decided.model_copy(update={"verdict": policy.after_deadline, "reasons": job.reasons})
    if job.verdict:
        return decided.model_copy(update={"verdict": job.verdict, "reasons": job.reasons})
    return decided


def _result(row: MediaDecision) -> DecisionResult:
    return DecisionResult(
        verdict=Verdict(row.verdict),
        reasons=tuple(Reason.model_validate(reason) for reason in row.reasons),
        policy_version=row.policy_version,
        decided_by=row.decided_by,
    )
