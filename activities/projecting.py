"""Short idempotent writes, run as local activities: decisions and failures into the projection."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities.measures import count_decision
from activities.policies import Case, decide_case, shadow
from mediagate import metrics
from mediagate.media.lifecycle import DECIDED, GONE, status_for
from mediagate.media.values import Status, Verdict
from mediagate.moderation.policy import Decision, Finding, Policy, Reason
from mediagate.moderation.reliability import lesson
from workflows.messages import DecisionInput, DecisionResult, FailureInput

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Library, Media, MediaDecision


class Projecting:
    """Decisions and failures."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def record_decision(self, job: DecisionInput) -> DecisionResult:
        """Take and store a decision. Idempotent: the first final decision of a round stands and is returned.

        One of a later round that withholds the item closes its row at once: what was public is so no more, whatever
        becomes of its files. With the first final one people's verdicts teach how far vendors are trusted.
        """
        media_id = UUID(job.media_id)
        async with self._deps.db.transaction() as tx:
            media, library = await tx.media.with_library(media_id, lock=True)
            reviewed, opened, news = media.status is Status.IN_REVIEW, None, False
            standing = await tx.decisions.final(media_id, round_=job.round)
            if standing is None:
                standing, news = await _decide(tx, media, library, job)
            if news and reviewed:
                opened = await tx.decisions.opening(media_id, round_=job.round)
            result = _result(standing)
            if result.verdict is Verdict.APPROVE and media.status is Status.PROCESSING:
                # The gate's own lists moderated it: no vendor was asked.
                await tx.media.move(media, Status.AWAITING_MODERATION)
            if media.status in GONE:
                pass  # whoever restores it finds what was decided
            elif not standing.final:
                await tx.media.move(media, Status.IN_REVIEW, reason=result.reason)
            elif standing.round and result.verdict is not Verdict.APPROVE:
                await tx.media.move(media, status_for(result.verdict), reason=result.reason, detail=result.detail)
            await tx.media.record(
                media_id,
                f"decided:{standing.round}:{standing.final}",
                "decided",
                {"verdict": standing.verdict, "by": standing.decided_by, "reasons": standing.reasons},
            )
            if news and standing.final:
                taught = lesson(
                    map(Finding.model_validate, standing.findings),
                    result.verdict,
                    decided_by=standing.decided_by,
                    reason=result.reason,
                )
                await tx.policies.teach(library.id, taught)
        if news:
            count_decision(standing, opened=opened)
        return result

    @activity.defn
    async def record_failure(self, job: FailureInput) -> None:
        """Show that the run failed, and why; `mediagate runs retry` resumes it. Idempotent.

        What is decided and filed stays so, whatever becomes of a run that was reset after that.
        """
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(UUID(job.media_id), lock=True)
            news = media.status not in DECIDED | GONE | {Status.FAILED}
            if media.status not in DECIDED | GONE:
                await tx.media.move(media, Status.FAILED, reason=job.kind, detail=job.detail)
            key = f"failed:{activity.info().workflow_run_id}"
            await tx.media.record(media.id, key, "failed", {"kind": job.kind, "detail": job.detail})
        if news:
            metrics.UPLOADS.add(outcome=Status.FAILED.value)


async def _decide(tx: Transaction, media: Media, library: Library, job: DecisionInput) -> tuple[MediaDecision, bool]:
    """What the live policy says, or what somebody else decided in its place, stored; and what the shadow says.

    False: an attempt before this one stored it.
    """
    from db.tables import MediaDecision  # SQLAlchemy: not for what only imports the workflow

    # What opens a later round need not have heard what was said in earlier ones.
    events = await tx.inbox.heard(media.id) if job.from_inbox or job.round else job.events
    case, active = Case(media, library, events, job.lane), await tx.policies.active(library)
    by_policy = await decide_case(tx, case, active.live)
    taken = _decision(job, active.live, by_policy)
    made = MediaDecision(
        media_id=media.id,
        round=job.round,
        final=taken.verdict is not Verdict.REVIEW,
        verdict=taken.verdict.value,
        policy_version=taken.policy_version,
        reasons=[reason.model_dump(mode="json") for reason in taken.reasons],
        findings=[finding.model_dump(mode="json") for finding in taken.findings],
        risk=taken.risk,
        rule=taken.rule,
        decided_by=job.decided_by,
        note=job.note,
    )
    standing = await tx.decisions.record(made)
    if active.shadow and taken is by_policy:
        await shadow(tx, case, active.shadow, by_policy, round_=job.round)
    return standing, standing.id == made.id


def _decision(job: DecisionInput, policy: Policy, by_policy: Decision) -> Decision:
    """The policy's, with another's verdict in its place where there is one."""
    if not (job.verdict or job.deadline_passed):
        return by_policy
    verdict = policy.after_deadline if job.deadline_passed else job.verdict
    others = {"verdict": verdict, "reasons": job.reasons, "rule": ""}
    if job.policy_version:
        others["policy_version"] = job.policy_version
    return by_policy.model_copy(update=others)


def _result(row: MediaDecision) -> DecisionResult:
    return DecisionResult(
        verdict=Verdict(row.verdict),
        reasons=tuple(Reason.model_validate(reason) for reason in row.reasons),
        policy_version=row.policy_version,
        decided_by=row.decided_by,
    )
