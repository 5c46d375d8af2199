"""A library's policies: stored, tried, activated, and held against what is decided already."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from activities.policies import differences, put_policy, set_mode
from activities.policy_orders import MOST_SHADOWED, dry_run, shadow_report
from activities.policy_runs import Looked
from api.deps import Admin, Gate, GateDep, Reader, library_for
from api.idempotency import identity, once
from api.pages import Limit, decode, encode
from api.policy_models import (
    ChangedPage,
    ChangedRead,
    DryRunCreate,
    DryRunRead,
    PolicyChangeRead,
    PolicyChecked,
    PolicyDetail,
    PolicyModeSet,
    PolicyPage,
    PolicyPatch,
    PolicyRead,
    RunCreate,
    RunRead,
    ShadowedRead,
    ShadowReportRead,
)
from api.routes.policy_runs import Number, started
from db.repositories.policies import Shadowed
from db.tables import Library, LibraryPolicy
from mediagate.errors import InvalidRequest, UnsupportedType
from mediagate.moderation import documents
from mediagate.moderation.policy_runs import MOST_AT_ONCE, RunMode

router = APIRouter(prefix="/libraries/{slug}/policies", tags=["policies"])

YAML = ("application/yaml", "application/x-yaml", "text/yaml")
"""RFC 9512 registers the first one."""
_DOCUMENT = {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
_BODY = {"requestBody": {"required": True, "content": _DOCUMENT}}


@router.post("", response_model=PolicyDetail, status_code=201, openapi_extra=_BODY)
async def create_policy(
    slug: str,
    request: Request,
    gate: GateDep,
    caller: Admin,
    note: Annotated[str, Query(max_length=2000, pattern="^[^\x00]*$")] = "",
) -> JSONResponse:
    """Store the document in the body, YAML or JSON, as a draft. It decides nothing before its mode is changed."""
    library = await library_for(gate, caller, slug)
    body = await request.body()

    async def act() -> PolicyDetail:
        stored = await put_policy(
            gate.db,
            library.slug,
            _text(request, body),
            by=caller.name,
            note=note,
            vendors=gate.vendors,
            policy_id=identity(request, caller, body),
        )
        return await _detail(gate, library, stored)

    return await once(request, gate, caller, body, act, status=201)


@router.get("")
async def list_policies(
    slug: str, gate: GateDep, caller: Reader, cursor: str | None = None, limit: Limit = 50
) -> PolicyPage:
    """A library's policies, newest first."""
    library = await library_for(gate, caller, slug)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        rows = await tx.policies.page(library.id, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    return PolicyPage(items=[_read(row) for row in page], next_cursor=more)


@router.post("/validate", openapi_extra=_BODY)
async def validate_policy(slug: str, request: Request, gate: GateDep, caller: Admin) -> PolicyChecked:
    """Check the document in the body and say what it would change.

    Nothing is stored. It has no effect, so it needs no `Idempotency-Key`, and takes no notice of one.
    """
    library = await library_for(gate, caller, slug)
    text = _text(request, await request.body())
    policy = await asyncio.to_thread(documents.parse, text, vendors=gate.vendors)
    async with gate.db.transaction() as tx:
        live = (await tx.policies.active(library)).live
    return PolicyChecked(
        name=policy.name or policy.version,
        digest=documents.digest(policy),
        document=documents.canonical(policy),
        diff=list(differences(live, policy)),
        warnings=await _warnings(gate, text),
    )


@router.get("/{number}")
async def read_policy(slug: str, number: Number, gate: GateDep, caller: Reader) -> PolicyDetail:
    """What a policy says, and what is different from the one that decides now."""
    library = await library_for(gate, caller, slug)
    return await _detail(gate, library, await _numbered(gate, library, number))


@router.patch("/{number}")
async def change_mode(slug: str, number: Number, body: PolicyPatch, gate: GateDep, caller: Admin) -> PolicyModeSet:
    """Make it the shadow, the live policy, or retire it; what was in that place before is retired."""
    library = await library_for(gate, caller, slug)
    stored, told = await set_mode(
        gate.db, library.slug, number, body.mode, by=caller.name, note=body.note, vendors=gate.vendors
    )
    return PolicyModeSet(**_read(stored).model_dump(), diff=list(told))


@router.post("/{number}/dry-run", response_model=DryRunRead, responses={202: {"model": RunRead}})
async def try_policy(
    slug: str, number: Number, body: DryRunCreate, request: Request, gate: GateDep, caller: Admin
) -> JSONResponse:
    """What it would make of the last decided items; of more than 500 as a run, whose items are read page by page."""
    library = await library_for(gate, caller, slug)
    stored = await _numbered(gate, library, number)
    raw = await request.body()

    async def at_once() -> DryRunRead:
        comparison, changed = await dry_run(gate.db, library, stored.policy, last=body.last)
        items = [_changed(one) for one in changed]
        return DryRunRead(version=stored.version, comparison=comparison, changed=ChangedPage(items=items))

    async def as_run() -> RunRead:
        asked = RunCreate(mode=RunMode.DRY_RUN, last=body.last)
        return await started(gate, caller, library, number, asked, identity(request, caller, raw))

    if body.last > MOST_AT_ONCE:
        return await once(request, gate, caller, raw, as_run, status=202)
    return await once(request, gate, caller, raw, at_once, status=200)


@router.get("/{number}/shadow-report")
async def read_shadow_report(
    slug: str,
    number: Number,
    gate: GateDep,
    caller: Reader,
    last: Annotated[int, Query(ge=1, le=MOST_SHADOWED, description="decisions")] = 1000,
    examples: Annotated[int, Query(ge=0, le=200)] = 20,
) -> ShadowReportRead:
    """What it decided as a shadow, against what was decided, and against people."""
    library = await library_for(gate, caller, slug)
    stored = await _numbered(gate, library, number)
    report = await shadow_report(gate.db, stored, last=last, examples=examples)
    return ShadowReportRead(version=stored.version, comparison=report.comparison, examples=_examples(report.examples))


def _text(request: Request, body: bytes) -> str:
    """Raises UnsupportedType, InvalidRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {*YAML, "application/json"}:
        raise UnsupportedType("Send the document as application/yaml or application/json.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The document is not UTF-8: byte {error.start} does not fit.") from error


async def _warnings(gate: Gate, text: str) -> list[str]:
    checked = await asyncio.to_thread(documents.check, text, vendors=gate.vendors)
    return [str(problem) for problem in checked.problems]


async def _numbered(gate: Gate, library: Library, number: int) -> LibraryPolicy:
    async with gate.db.transaction() as tx:
        return await tx.policies.numbered(library.id, number)


def _read(row: LibraryPolicy) -> PolicyRead:
    return PolicyRead.model_validate({**row.model_dump(), "version": row.version})


async def _detail(gate: Gate, library: Library, row: LibraryPolicy) -> PolicyDetail:
    async with gate.db.transaction() as tx:
        live = (await tx.policies.active(library)).live
        changes = await tx.policies.changes(row.id)
    return PolicyDetail(
        **_read(row).model_dump(),
        document=row.document,
        source=row.source,
        diff=list(differences(live, row.policy)),
        warnings=await _warnings(gate, row.source),
        changes=[PolicyChangeRead.model_validate(change.model_dump()) for change in changes],
    )


def _changed(one: Looked) -> ChangedRead:
    return ChangedRead(
        media_id=one.media.id,
        from_verdict=one.standing.decision.verdict,
        decided_by=one.standing.decided_by,
        to_verdict=one.wanted.verdict,
        reasons=[reason.model_dump() for reason in one.wanted.reasons],
        risk=one.wanted.risk,
        left=one.left or "",
    )


def _examples(found: Sequence[Shadowed]) -> list[ShadowedRead]:
    return [
        ShadowedRead.model_validate({**one.row.model_dump(), "at": one.row.created_at, "person": one.person})
        for one in found
    ]
