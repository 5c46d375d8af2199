"""Which policy decides in a library, and how it is put there: for activities, the API and the CLI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

import structlog

from mediagate.errors import NotFound, PolicyUnusable
from mediagate.moderation import documents
from mediagate.moderation.lanes import Lane, lane_of
from mediagate.moderation.policy import Decision, Policy, Subject, decide
from mediagate.moderation.policy_runs import PolicyMode

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from db.session import Database, Transaction
    from db.tables import Library, LibraryPolicy, Media
    from mediagate.moderation.findings import VendorEvent

log = structlog.get_logger()


class Case(NamedTuple):
    """An item that is to be decided."""

    media: Media
    library: Library
    events: Sequence[VendorEvent]
    lane: Lane | None = None
    """None: as size and trust have it; that it came with many others is not kept."""


async def decide_case(tx: Transaction, case: Case, policy: Policy) -> Decision:
    """What a policy says of an item, with what people taught about vendors."""
    reliability = await tx.policies.reliability(case.library.id, floor=policy.fusion.reliability_floor)
    return decide(policy, case.events, reliability=reliability, subject=subject_of(case, policy))


async def decide_by_live(tx: Transaction, case: Case) -> Decision:
    """What the library's live policy says."""
    return await decide_case(tx, case, (await tx.policies.active(case.library)).live)


async def shadow(tx: Transaction, case: Case, stored: LibraryPolicy, live: Decision, *, round_: int) -> None:
    """Note what a shadow would have decided. Whatever goes wrong with it is logged, and undone by itself."""
    from db.tables import ShadowDecision  # SQLAlchemy: not for what only imports a workflow

    try:
        async with tx.session.begin_nested():
            decided = await decide_case(tx, case, stored.policy)
            await tx.policies.put_shadow(
                ShadowDecision(
                    policy_id=stored.id,
                    media_id=case.media.id,
                    round=round_,
                    verdict=decided.verdict,
                    reasons=[reason.model_dump(mode="json") for reason in decided.reasons],
                    risk=decided.risk,
                    rule=decided.rule,
                    live_verdict=live.verdict,
                    live_version=live.policy_version,
                )
            )
    except Exception:
        log.exception("policy.shadow_failed", policy=stored.version, media_id=str(case.media.id))


def subject_of(case: Case, policy: Policy) -> Subject:
    """The facts of an item that rules may ask for."""
    media, facts = case.media, case.media.facts
    lane = case.lane or lane_of(policy.lanes, size=media.bytes or 0, trusted=media.trusted, open_uploads=0)
    return Subject(
        library=case.library.slug,
        size=media.bytes,
        content_type=facts.get("content_type") or media.content_type,
        width=media.width,
        height=media.height,
        frames=facts.get("frames"),
        tags=tuple(media.tags),
        category=media.category,
        lane=lane,
        trusted=media.trusted,
    )


async def put_policy(
    db: Database,
    slug: str,
    text: str,
    *,
    by: str,
    note: str = "",
    vendors: Collection[str] | None = None,
    policy_id: UUID | None = None,
) -> LibraryPolicy:
    """Store a document as a library's next draft. `vendors`: names that it may ask; None: any. Idempotent by the id.

    Raises:
        InvalidRequest, TooLarge: it is not valid; the message names what is wrong.
        NotFound: there is no such library.
    """
    from db.tables import LibraryPolicy

    policy = await asyncio.to_thread(documents.parse, text, vendors=vendors)
    async with db.transaction() as tx:
        library = await _locked(tx, slug)
        return await tx.policies.add(
            LibraryPolicy(
                id=policy_id or uuid4(),
                library_id=library.id,
                number=0,
                name=policy.name or policy.version,
                document=documents.canonical(policy),
                source=text,
                digest=documents.digest(policy),
                created_by=by,
                note=note,
            )
        )


async def set_mode(
    db: Database,
    slug: str,
    number: int,
    mode: PolicyMode,
    *,
    by: str,
    note: str = "",
    vendors: Collection[str] | None = None,
) -> tuple[LibraryPolicy, tuple[str, ...]]:
    """Bring a policy into a mode; the same again changes nothing. Also what differs from what was live before.

    Raises:
        Conflict: that mode does not follow the present one.
        InvalidRequest: it is to decide, but is not valid any more, as when it asks a vendor that is gone.
        NotFound: there is no such library or policy.
    """
    async with db.transaction() as tx:
        library = await _locked(tx, slug)
        stored = await tx.policies.numbered(library.id, number)
        if mode in {PolicyMode.LIVE, PolicyMode.SHADOW} and stored.mode is not mode:
            documents.parse(stored.document, vendors=vendors)
        told = await _told(tx, library, stored)
        await tx.policies.set_mode(stored, mode, by=by, note=note)
    return stored, told


def differences(old: Policy, new: Policy) -> tuple[str, ...]:
    """What the new one says otherwise, sentence by sentence; what it is called is nothing of that."""
    return documents.diff(old, new.model_copy(update={"name": old.name, "version": old.version}))


async def _told(tx: Transaction, library: Library, stored: LibraryPolicy) -> tuple[str, ...]:
    """What differs from the live one; what cannot be read is replaced, or retired, all the same."""
    try:
        return differences((await tx.policies.active(library)).live, stored.policy)
    except PolicyUnusable:
        return ()


async def _locked(tx: Transaction, slug: str) -> Library:
    library = await tx.access.library(slug, lock=True)
    if library is None:
        raise NotFound("There is no library with this name.")
    return library
