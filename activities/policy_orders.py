"""What people ask of policies: dry-runs, shadow reports, runs and orders to them; for the API and the CLI."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from activities.policy_runs import Looked, look_again
from mediagate.errors import Conflict, NotFound
from mediagate.moderation.policy import Decision, Policy
from mediagate.moderation.policy_runs import (
    ENDED,
    Comparison,
    ItemState,
    PolicyMode,
    RunMode,
    RunState,
    compared,
    left_alone,
    total,
)
from workflows.policy_run_client import order_policy_run, start_policy_run
from workflows.policy_run_messages import PolicyRunInput

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from db.repositories.policies import Shadowed
    from db.session import Database
    from db.tables import Library, LibraryPolicy, PolicyRun
    from workflows.client import Flows

PAGE = 500
MOST_SHADOWED = 5_000
"""Decisions that a shadow report is about."""


async def dry_run(
    db: Database, library: Library, policy: Policy, *, last: int, include_human: bool = False
) -> tuple[Comparison, list[Looked]]:
    """What a policy would make of the last decided items, and those that would change. Reads only."""
    comparison, changed = Comparison(), list[Looked]()
    after: tuple[datetime, UUID] | None = None
    while comparison.looked_at < last:
        limit = min(PAGE, last - comparison.looked_at)
        page = await look_again(db, library, policy, after=after, limit=limit, include_human=include_human)
        comparison += total(one.comparison for one in page)
        changed += [one for one in page if one.changed]
        if len(page) < limit:
            break
        after = page[-1].position
    return comparison, changed


class ShadowReport(NamedTuple):
    """What a policy decided as a shadow, against what was decided."""

    comparison: Comparison
    examples: list[Shadowed]
    """Those that differ, the latest first."""


async def shadow_report(db: Database, stored: LibraryPolicy, *, last: int, examples: int) -> ShadowReport:
    """Of the last decisions beside which the policy was the shadow. Reads only."""
    comparison = Comparison()
    differing: list[Shadowed] = []
    after: tuple[datetime, UUID] | None = None
    while comparison.looked_at < last:
        limit = min(PAGE, last - comparison.looked_at)
        async with db.transaction() as tx:
            page = await tx.policies.shadowed(stored.id, after=after, limit=limit)
        comparison += total(map(_of_shadow, page))
        differing += [one for one in page if one.row.verdict is not one.row.live_verdict]
        differing = differing[:examples]
        if len(page) < limit:
            break
        after = page[-1].row.created_at, page[-1].row.id
    return ShadowReport(comparison, differing)


async def start_run(db: Database, flows: Flows, library: Library, number: int, job: PolicyRunInput) -> PolicyRun:
    """Begin a dry-run or an application of a policy. Idempotent by the run's id, which is in `job`.

    Raises:
        NotFound: there is no such policy.
        Conflict: it is to be applied but is not live, or another run changes items of this library.
        WorkflowsUnavailable: its row is there; the same call again starts it, `cancel` takes it away.
    """
    from db.tables import PolicyRun

    async with db.transaction() as tx:
        await tx.access.library(library.slug, lock=True)
        stored = await tx.policies.numbered(library.id, number)
        if job.mode is RunMode.APPLY and stored.mode is not PolicyMode.LIVE:
            raise Conflict(f"Only the live policy can be applied; {stored.version} is {stored.mode.value}.")
        run = await tx.policies.begin_run(
            PolicyRun(
                id=UUID(job.run_id),
                library_id=library.id,
                policy_id=stored.id,
                mode=job.mode,
                last=job.last,
                include_human=job.include_human,
                report=Comparison().model_dump(mode="json"),
                created_by=job.actor,
            )
        )
    await start_policy_run(flows, job)
    return run


async def undo_run(
    db: Database,
    flows: Flows,
    library: Library,
    run_id: UUID,
    *,
    by: str,
    review: timedelta,
    undo_id: UUID | None = None,
) -> PolicyRun:
    """Begin to bring every item that a run changed back to the verdict before. Idempotent by the new run's id.

    Raises:
        NotFound: there is no such run in this library.
        Conflict: it changed nothing, has not ended, or another run changes items of this library.
        WorkflowsUnavailable: as for `start_run`.
    """
    from db.tables import PolicyRun

    async with db.transaction() as tx:
        await tx.access.library(library.slug, lock=True)
        run = _own(await tx.policies.run(run_id), library)
        if run.mode is not RunMode.APPLY or run.state not in ENDED:
            raise Conflict(f"Only a run that applied a policy and has ended can be undone; it is {run.state.value}.")
        if not await tx.policies.items(run_id, state=ItemState.APPLIED, after=None, limit=1):
            raise Conflict("Nothing that this run changed is left to be brought back.")
        undo = await tx.policies.begin_run(
            PolicyRun(
                id=undo_id or uuid4(),
                library_id=library.id,
                policy_id=run.policy_id,
                mode=RunMode.UNDO,
                undoes=run.id,
                state=RunState.APPLYING,
                report=Comparison().model_dump(mode="json"),
                created_by=by,
            )
        )
    await start_policy_run(
        flows,
        PolicyRunInput(
            run_id=str(undo.id), library=library.slug, mode=RunMode.UNDO, undoes=str(run.id), actor=by, review=review
        ),
    )
    return undo


async def order_run(db: Database, flows: Flows, library: Library, run_id: UUID, order: str, *, by: str) -> PolicyRun:
    """`confirm`, `pause`, `resume` or `cancel` a run; its row as it stands then.

    Raises:
        NotFound: there is no such run in this library.
        Conflict: the run is not at a point where that is possible, or the policy is not live any more.
        WorkflowsUnavailable: no answer in time; look at the run again.
    """
    async with db.transaction() as tx:
        run, _, stored = await tx.policies.run_with_policy(run_id)
        _own(run, library)
    if run.ended_at:
        raise Conflict(f"The run has ended already: it is {run.state.value}.")
    if order == "confirm" and stored.mode is not PolicyMode.LIVE:
        raise Conflict(
            f"{stored.version} is {stored.mode.value} by now; only the live policy is applied. Cancel the run."
        )
    try:
        await order_policy_run(flows, str(run_id), order, by)
    except NotFound as error:
        if order != "cancel":
            raise Conflict("The run has not been started, or has ended just now.") from error
        await _end_unstarted(db, run_id, by)
    async with db.transaction() as tx:
        return await tx.policies.run(run_id)


async def _end_unstarted(db: Database, run_id: UUID, by: str) -> None:
    """A row whose workflow was never started would keep other runs away."""
    from db.tables import now

    async with db.transaction() as tx:
        run = await tx.policies.run(run_id, lock=True)
        if run.ended_at is None:
            run.state, run.detail, run.ended_at = RunState.CANCELLED, f"cancelled by {by} before it began", now()


def _own(run: PolicyRun, library: Library) -> PolicyRun:
    if run.library_id != library.id:
        raise NotFound("There is no run of a policy with this id.")
    return run


def _of_shadow(one: Shadowed) -> Comparison:
    row = one.row
    said = Decision(verdict=row.verdict, reasons=(), policy_version="", risk=row.risk, rule=row.rule)
    applicable = left_alone(row.live_verdict, "policy", row.verdict, include_human=False) is None
    return compared(row.live_verdict, said, person=one.person, applicable=applicable)
