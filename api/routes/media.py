"""Media items: what is known about them, their timeline, and what people may tell their runs."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.deps import Gate, GateDep, Reader, Reviewer, Uploader, library_for, media_for
from api.files import owed_renditions, variant_url
from api.idempotency import once
from api.models import (
    AbortCreate,
    DecisionCreate,
    DecisionRead,
    DecisionStands,
    MediaPage,
    MediaRead,
    MediaSummary,
    RenditionRead,
    TakedownCreate,
    Timeline,
    TimelineEvent,
    VariantRead,
    WorkflowRead,
)
from api.pages import Limit, decode, encode
from db.tables import Library, Media, MediaDecision, MediaVariant
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from mediagate.media.lifecycle import DECIDED, WORK
from mediagate.media.values import Status, VariantFile
from mediagate.moderation.explain import Card, explain
from mediagate.text.tags import normalised_tag
from workflows.messages import AbortRequest, DecisionResult, HumanDecision, TakedownInput
from workflows.names import workflow_id

router = APIRouter(tags=["media"])


@router.get("/media/{media_id}")
async def read_media(
    media_id: UUID,
    gate: GateDep,
    caller: Reader,
    redact: Annotated[bool, Query(description="false: texts as they were sent; needs review:write")] = True,
) -> MediaRead:
    """Everything about an item. URLs of an approved item are signed and public, others need a key.

    Personal data in its texts is redacted, unless the library's text rules say otherwise.
    """
    if not redact and not api_keys.allows(caller.scopes, Scope.REVIEW_WRITE):
        raise NotAllowed(f"This key lacks the scope {Scope.REVIEW_WRITE.value}, so it sees texts redacted.")
    media, library = await media_for(gate, caller, media_id)
    async with gate.db.transaction() as tx:
        variants = await tx.media.variants(media_id)
        decision = await tx.decisions.latest(media_id)
    (summary,) = await _summaries([media], library, redact=redact)
    return MediaRead(
        **summary.model_dump(),
        detail=media.detail,
        facts=media.facts,
        variants=[_variant(gate, media, library, row) for row in variants],
        renditions=[_rendition(gate, media, library, file) for file in owed_renditions(media, library, variants)],
        decision=_decision(decision) if decision else None,
        workflow=_workflow(gate, media),
        accepted_at=media.accepted_at,
        filed_at=media.filed_at,
    )


@router.get("/media/{media_id}/decision/card")
async def read_card(media_id: UUID, gate: GateDep, caller: Reader) -> Card:
    """Why the decision that stands is what it is: every finding, its weight, the thresholds next to it."""
    await media_for(gate, caller, media_id)
    async with gate.db.transaction() as tx:
        standing = await tx.decisions.latest(media_id)
    if standing is None:
        raise NotFound("This item is not decided yet.")
    return explain(standing.decision)


@router.get("/libraries/{slug}/media")
async def list_media(
    slug: str,
    gate: GateDep,
    caller: Reader,
    status: Status | None = None,
    q: Annotated[str | None, Query(max_length=200, description="part of the file name")] = None,
    tag: Annotated[str, Query(max_length=200, description="one that the item has")] = "",
    category: Annotated[str, Query(max_length=200)] = "",
    cursor: str | None = None,
    limit: Limit = 50,
) -> MediaPage:
    """A library's items, newest first."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        rows = await tx.media.page(
            library.id,
            status=status,
            q=q,
            after=decode(cursor),
            limit=limit + 1,
            tag=_as_stored("tag", tag),
            category=_as_stored("category", category),
        )
    page = rows[:limit]
    more = encode(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    return MediaPage(items=await _summaries(page, library), next_cursor=more)


@router.get("/media/{media_id}/timeline")
async def read_timeline(media_id: UUID, gate: GateDep, caller: Reader) -> Timeline:
    """Every step, event, decision and notification, in order."""
    await media_for(gate, caller, media_id)
    async with gate.db.transaction() as tx:
        rows = await tx.media.timeline(media_id)
    return Timeline(media_id=media_id, items=[TimelineEvent(kind=row.kind, at=row.at, data=row.data) for row in rows])


@router.post("/media/{media_id}/decision", response_model=DecisionStands)
async def decide(
    media_id: UUID, body: DecisionCreate, request: Request, gate: GateDep, caller: Reviewer
) -> JSONResponse:
    """A person's verdict on an item in review; the answer is the decision that stands."""
    media, _ = await media_for(gate, caller, media_id)

    async def act() -> DecisionStands:
        _refuse_decided(media)
        human = HumanDecision(verdict=body.verdict, reviewer=caller.name, reason=body.reason, note=body.note)
        return _stands(media_id, await _told(gate.flows.decide(str(media_id), human)))

    return await once(request, gate, caller, await request.body(), act, status=200)


@router.post("/media/{media_id}/abort", response_model=DecisionStands)
async def abort(media_id: UUID, body: AbortCreate, request: Request, gate: GateDep, caller: Uploader) -> JSONResponse:
    """Stop an upload that is not decided yet: it ends as rejected, its file backed up."""
    media, _ = await media_for(gate, caller, media_id)

    async def act() -> DecisionStands:
        _refuse_decided(media)
        request_ = AbortRequest(actor=caller.name, reason=body.reason)
        return _stands(media_id, await _told(gate.flows.abort(str(media_id), request_)))

    return await once(request, gate, caller, await request.body(), act, status=200)


@router.post("/media/{media_id}/takedown", response_model=DecisionStands)
async def take_down(
    media_id: UUID, body: TakedownCreate, request: Request, gate: GateDep, caller: Reviewer
) -> JSONResponse:
    """Withdraw an approved item. Once this answers, no public URL of it opens; files and caches follow.

    Sent again for an item that was taken down before, it answers with the decision that stands and purges caches again.
    """
    _, library = await media_for(gate, caller, media_id)

    async def act() -> DecisionStands:
        async with gate.db.transaction() as tx:
            media = await tx.media.get(media_id)
            standing = await tx.decisions.latest(media_id)
        job = TakedownInput(
            media_id=str(media_id),
            library=library.slug,
            tracking_id=request.state.tracking_id,
            verdict=body.verdict,
            reason=body.reason,
            note=body.note,
            actor=caller.name,
            round=_takedown_round(media, standing),
        )
        return _stands(media_id, await gate.flows.takedown(job))

    return await once(request, gate, caller, await request.body(), act, status=200)


def _takedown_round(media: Media, standing: MediaDecision | None) -> int:
    """The round that a takedown decides: a new one, or the one that withheld the item before.

    Raises:
        Conflict: it is not public, and was not taken down.
    """
    latest = standing.round if standing else 0
    if media.status is Status.APPROVED:
        return latest + 1
    if media.status in DECIDED and latest:
        return latest
    if media.status in WORK:
        raise Conflict("It is not decided yet, so it is not public: abort the upload instead (POST …/abort).")
    raise Conflict(f"It is not public, so there is nothing to take down: {media.status.value}.")


def _refuse_decided(media: Media) -> None:
    if media.status in DECIDED:
        raise Conflict(f"It is decided already: {media.status.value}.")


async def _told(answer: Awaitable[DecisionResult]) -> DecisionResult:
    """A run that does not exist (yet) is a conflict with the item's state, not a missing item."""
    try:
        return await answer
    except NotFound as error:
        raise Conflict("No run is at work on this item.") from error


def _stands(media_id: UUID, result: DecisionResult) -> DecisionStands:
    return DecisionStands(
        media_id=media_id,
        verdict=result.verdict,
        policy_version=result.policy_version,
        decided_by=result.decided_by,
        reasons=[reason.model_dump() for reason in result.reasons],
    )


async def _summaries(rows: Sequence[Media], library: Library, *, redact: bool = True) -> list[MediaSummary]:
    policy = library.texts

    def shown(text: str) -> str:
        from mediagate.text.pii import redacted

        return redacted(text, policy.pii) if redact and policy.redact else text

    def summary(media: Media) -> MediaSummary:
        texts = {"caption": shown(media.caption), "title": shown(media.title), "alt_text": shown(media.alt_text)}
        return MediaSummary.model_validate({**media.model_dump(), **texts, "library": library.slug})

    return await asyncio.to_thread(lambda: [summary(row) for row in rows])


def _as_stored(name: str, written: str) -> str | None:
    try:
        return normalised_tag(written) if written else None
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.") from error


def _variant(gate: Gate, media: Media, library: Library, row: MediaVariant) -> VariantRead:
    return VariantRead.model_validate(
        {**row.model_dump(), "url": variant_url(gate, media, library, row.file, row.sha256)}
    )


def _rendition(gate: Gate, media: Media, library: Library, file: VariantFile) -> RenditionRead:
    return RenditionRead(name=file.name, format=file.format, url=variant_url(gate, media, library, file))


def _decision(row: MediaDecision) -> DecisionRead:
    return DecisionRead.model_validate({**row.model_dump(), "decided_at": row.created_at})


def _workflow(gate: Gate, media: Media) -> WorkflowRead:
    id_ = workflow_id(str(media.id))
    base = gate.settings.temporal_ui_url
    url = f"{base.rstrip('/')}/namespaces/{gate.flows.client.namespace}/workflows/{id_}" if base else None
    return WorkflowRead(id=id_, run_id=media.run_id, url=url)
