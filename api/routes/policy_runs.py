"""Runs of policies over decided items: started, confirmed, paused, cancelled, undone, and what they found."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from activities.policy_orders import order_run, start_run, undo_run
from api.deps import Admin, Caller, Gate, GateDep, Reader, library_for
from api.idempotency import identity, once
from api.pages import Limit, decode, encode
from api.policy_models import RunCreate, RunItemPage, RunItemRead, RunPage, RunRead
from db.tables import Library, LibraryPolicy, PolicyRun
from mediagate.errors import NotFound
from mediagate.moderation.policy_runs import ItemState
from workflows.names import policy_run_id
from workflows.policy_run_messages import PolicyRunInput

# Comes before that of `api.routes.policies`, whose `/{number}` its paths would be taken for.
router = APIRouter(prefix="/libraries/{slug}/policies", tags=["policies"])

MOST_NUMBER = 2**31 - 1
Number = Annotated[int, Path(ge=1, le=MOST_NUMBER)]
Order = Annotated[str, Path(pattern="^(confirm|pause|resume|cancel)$")]


@router.post("/{number}/runs", response_model=RunRead, status_code=202)
async def begin_run(
    slug: str, number: Number, body: RunCreate, request: Request, gate: GateDep, caller: Admin
) -> JSONResponse:
    """Hold a policy against decided items. Applying it waits for `confirm` when it has shown what would change."""
    library = await library_for(gate, caller, slug)
    raw = await request.body()

    async def act() -> RunRead:
        return await started(gate, caller, library, number, body, identity(request, caller, raw))

    return await once(request, gate, caller, raw, act, status=202)


@router.get("/runs")
async def list_runs(slug: str, gate: GateDep, caller: Reader, cursor: str | None = None, limit: Limit = 50) -> RunPage:
    """Runs of a library's policies, newest first."""
    library = await library_for(gate, caller, slug)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        rows = await tx.policies.runs(library.id, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1][0].created_at, page[-1][0].id) if len(rows) > limit else None
    return RunPage(items=[_read(*row) for row in page], next_cursor=more)


@router.get("/runs/{run_id}")
async def read_run(slug: str, run_id: UUID, gate: GateDep, caller: Reader) -> RunRead:
    """How far a run is, or what it did."""
    return await _run(gate, await _run_of(gate, await library_for(gate, caller, slug), run_id))


@router.get("/runs/{run_id}/items")
async def list_run_items(
    slug: str,
    run_id: UUID,
    gate: GateDep,
    caller: Reader,
    state: ItemState | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> RunItemPage:
    """The items that a run found, the newest first. Those of an undo are the items of the run that it undoes."""
    run = await _run_of(gate, await library_for(gate, caller, slug), run_id)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        rows = await tx.policies.items(run.undoes or run.id, state=state, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].at, page[-1].media_id) if len(rows) > limit else None
    return RunItemPage(items=[RunItemRead.model_validate(row.model_dump()) for row in page], next_cursor=more)


@router.post("/runs/{run_id}/undo", response_model=RunRead, status_code=202)
async def undo(slug: str, run_id: UUID, request: Request, gate: GateDep, caller: Admin) -> JSONResponse:
    """Begin to bring back what a run changed; not what a person decided since. The answer is the run that does so."""
    library = await library_for(gate, caller, slug)
    body = await request.body()

    async def act() -> RunRead:
        undo_id, review = identity(request, caller, body), gate.settings.review_time
        run = await undo_run(gate.db, gate.flows, library, run_id, by=caller.name, review=review, undo_id=undo_id)
        return await _run(gate, run)

    return await once(request, gate, caller, body, act, status=202)


@router.post("/runs/{run_id}/{order}", response_model=RunRead)
async def order_to_run(
    slug: str, run_id: UUID, order: Order, request: Request, gate: GateDep, caller: Admin
) -> JSONResponse:
    """Confirm what a preview showed, pause a run, let it go on, or cancel it; what is applied stays so."""
    library = await library_for(gate, caller, slug)

    async def act() -> RunRead:
        return await _run(gate, await order_run(gate.db, gate.flows, library, run_id, order, by=caller.name))

    return await once(request, gate, caller, await request.body(), act, status=200)


async def started(gate: Gate, caller: Caller, library: Library, number: int, asked: RunCreate, run_id: UUID) -> RunRead:
    """Begin a run, and show it."""
    job = PolicyRunInput(
        run_id=str(run_id),
        library=library.slug,
        actor=caller.name,
        review=gate.settings.review_time,
        **asked.model_dump(),
    )
    return await _run(gate, await start_run(gate.db, gate.flows, library, number, job))


async def _run_of(gate: Gate, library: Library, run_id: UUID) -> PolicyRun:
    async with gate.db.transaction() as tx:
        run = await tx.policies.run(run_id)
    if run.library_id != library.id:
        raise NotFound("There is no run of a policy with this id.")
    return run


async def _run(gate: Gate, row: PolicyRun) -> RunRead:
    async with gate.db.transaction() as tx:
        _, _, stored = await tx.policies.run_with_policy(row.id)
    return _read(row, stored)


def _read(row: PolicyRun, stored: LibraryPolicy) -> RunRead:
    return RunRead.model_validate(
        {
            **row.model_dump(),
            "number": stored.number,
            "version": stored.version,
            "comparison": row.report,
            "workflow_id": policy_run_id(str(row.id)),
        }
    )
