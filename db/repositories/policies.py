"""Libraries' policies, their shadows' decisions, what people taught of vendors, and runs of policies."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import (
    Library,
    LibraryPolicy,
    Media,
    MediaDecision,
    PolicyChange,
    PolicyRun,
    PolicyRunItem,
    ShadowDecision,
    VendorReliability,
    now,
)
from mediagate.errors import Conflict, NotFound
from mediagate.media.values import Verdict
from mediagate.moderation.policy import Policy
from mediagate.moderation.policy_runs import ABORTED, MODES, ItemState, PolicyMode
from mediagate.moderation.reliability import Outcome, Reliability
from mediagate.moderation.remoderation import PERSON

Position = tuple[datetime, UUID]

_ACTIVE = (PolicyMode.LIVE, PolicyMode.SHADOW)
_COUNTS = tuple(Outcome.model_fields)


class Active(NamedTuple):
    """What decides in a library."""

    live: Policy
    shadow: LibraryPolicy | None
    """Not read yet: what is wrong with it must not matter to the live one."""


class Shadowed(NamedTuple):
    """A shadow's decision, and what a person decided of the same item, if one did."""

    row: ShadowDecision
    person: Verdict | None


class PolicyRepository:
    """Policies, and what follows from them beside decisions."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # Policies

    async def active(self, library: Library) -> Active:
        """The policy that decides, and the shadow beside it: one look into an index.

        Without a live one it is that of the library's settings, and without that the built-in default.
        """
        # Spelt as the index is: with parameters in its place no prepared plan could use it.
        query = select(LibraryPolicy).where(
            col(LibraryPolicy.library_id) == library.id, text("mode IN ('live', 'shadow')")
        )
        found = {row.mode: row for row in (await self._session.scalars(query)).all()}
        live = found.get(PolicyMode.LIVE)
        policy = live.policy if live else Policy.model_validate(library.settings.get("policy", {}))
        return Active(policy, found.get(PolicyMode.SHADOW))

    async def add(self, policy: LibraryPolicy) -> LibraryPolicy:
        """Store a draft under the library's next number, or find it by its id; the caller holds the library's lock."""
        if standing := await self._session.get(LibraryPolicy, policy.id):
            return standing
        last = select(func.max(LibraryPolicy.number)).where(col(LibraryPolicy.library_id) == policy.library_id)
        policy.number = (await self._session.scalar(last) or 0) + 1
        self._session.add(policy)
        await self._session.flush()
        self._session.add(_change(policy, "", by=policy.created_by, note=policy.note))
        return policy

    async def numbered(self, library_id: UUID, number: int) -> LibraryPolicy:
        """The library's policy of that number. Raises NotFound."""
        query = select(LibraryPolicy).where(
            col(LibraryPolicy.library_id) == library_id, col(LibraryPolicy.number) == number
        )
        found = (await self._session.scalars(query)).one_or_none()
        if found is None:
            raise NotFound(f"This library has no policy number {number}.")
        return found

    async def page(self, library_id: UUID, *, after: Position | None, limit: int) -> Sequence[LibraryPolicy]:
        """A library's policies, newest first."""
        query = select(LibraryPolicy).where(col(LibraryPolicy.library_id) == library_id)
        if after:
            query = query.where(tuple_(col(LibraryPolicy.created_at), col(LibraryPolicy.id)) < tuple_(*after))
        query = query.order_by(col(LibraryPolicy.created_at).desc(), col(LibraryPolicy.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def set_mode(self, policy: LibraryPolicy, mode: PolicyMode, *, by: str, note: str = "") -> None:
        """Bring a policy into another mode, and whatever was live or a shadow before out of its way.

        The caller holds the library's lock. The same mode again changes nothing.

        Raises:
            Conflict: this mode does not follow the present one.
        """
        if policy.mode is mode:
            return
        if mode not in MODES[policy.mode]:
            allowed = ", ".join(sorted(MODES[policy.mode]))
            raise Conflict(f"A {policy.mode.value} policy does not become {mode.value}; it may become {allowed}.")
        if mode in _ACTIVE:
            query = select(LibraryPolicy).where(
                col(LibraryPolicy.library_id) == policy.library_id, col(LibraryPolicy.mode) == mode
            )
            for former in (await self._session.scalars(query)).all():
                await self._move(former, PolicyMode.RETIRED, by=by, note=f"{policy.version} took its place")
        await self._move(policy, mode, by=by, note=note)

    async def changes(self, policy_id: UUID) -> Sequence[PolicyChange]:
        """Who brought a policy into which mode, oldest first."""
        query = select(PolicyChange).where(col(PolicyChange.policy_id) == policy_id)
        return (await self._session.scalars(query.order_by(col(PolicyChange.id)))).all()

    async def _move(self, policy: LibraryPolicy, mode: PolicyMode, *, by: str, note: str) -> None:
        former, policy.mode = policy.mode, mode
        if mode in _ACTIVE:
            policy.activated_at = now()
        self._session.add(_change(policy, former.value, by=by, note=note))
        await self._session.flush()  # before another one takes the place: the index allows one only

    # Shadows

    async def put_shadow(self, decision: ShadowDecision) -> None:
        """Keep what a shadow would have decided; a later word in the same round takes the place of an earlier one."""
        values = decision.model_dump()
        statement = insert(ShadowDecision).values(values)
        changed = {name: statement.excluded[name] for name in values if name != "id"}
        key = ["media_id", "policy_id", "round"]
        await self._session.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))

    async def shadowed(self, policy_id: UUID, *, after: Position | None, limit: int) -> Sequence[Shadowed]:
        """What a policy would have decided as a shadow, newest first, with what people decided of the same items."""
        person = (
            select(col(MediaDecision.verdict))
            .where(
                col(MediaDecision.media_id) == col(ShadowDecision.media_id),
                col(MediaDecision.final),
                col(MediaDecision.decided_by).startswith(PERSON),
                col(MediaDecision.reasons)[0]["code"].astext.is_distinct_from(ABORTED),
            )
            .order_by(col(MediaDecision.round).desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(ShadowDecision, person).where(col(ShadowDecision.policy_id) == policy_id)
        if after:
            query = query.where(tuple_(col(ShadowDecision.created_at), col(ShadowDecision.id)) < tuple_(*after))
        query = query.order_by(col(ShadowDecision.created_at).desc(), col(ShadowDecision.id).desc()).limit(limit)
        rows = (await self._session.execute(query)).all()
        return [Shadowed(row[0], Verdict(row[1]) if row[1] else None) for row in rows]

    # What people taught

    async def reliability(self, library_id: UUID, *, floor: int) -> Reliability:
        """What was learnt in a library; where it has fewer than `floor` cases, in all libraries together."""
        query = select(VendorReliability).where(
            or_(col(VendorReliability.library_id) == library_id, col(VendorReliability.library_id).is_(None))
        )
        counts: dict[str, dict[str, Outcome]] = {}
        # The library's own last, so that they take the place of the sums.
        query = query.order_by(col(VendorReliability.library_id).nulls_first())
        for row in (await self._session.scalars(query)).all():
            outcome = Outcome(**{name: getattr(row, name) for name in _COUNTS})
            if row.library_id is None or outcome.cases >= floor:
                counts.setdefault(row.vendor, {})[row.category] = outcome
        return Reliability(counts=counts)

    async def teach(self, library_id: UUID, lesson: Reliability) -> None:
        """Count what a decision taught, for the library and for all. Not idempotent: with the decision, or not at all.

        Last in a transaction: rows of all libraries are locked until then, in the order of the names.
        """
        for vendor, category, outcome in lesson.rows():
            for owner in (library_id, None):
                values = {"library_id": owner, "vendor": vendor, "category": category, **outcome.model_dump()}
                statement = insert(VendorReliability).values(values)
                sums = {name: getattr(VendorReliability, name) + statement.excluded[name] for name in _COUNTS}
                key = ["library_id", "vendor", "category"]
                await self._session.execute(statement.on_conflict_do_update(index_elements=key, set_=sums))

    # Runs

    async def begin_run(self, run: PolicyRun) -> PolicyRun:
        """Insert a run, or the one of this id that is there already.

        Raises:
            Conflict: another one that changes items of this library has not ended.
        """
        if standing := await self._session.get(PolicyRun, run.id):
            return standing
        if run.mode != "dry_run":
            query = select(PolicyRun).where(
                col(PolicyRun.library_id) == run.library_id, text("mode <> 'dry_run' AND ended_at IS NULL")
            )
            if other := (await self._session.scalars(query)).one_or_none():
                raise Conflict(f"The run {other.id} of this library is {other.state.value}: let it end, or cancel it.")
        self._session.add(run)
        await self._session.flush()
        return run

    async def run(self, run_id: UUID, *, lock: bool = False) -> PolicyRun:
        """One run. Raises NotFound."""
        found = await self._session.get(PolicyRun, run_id, with_for_update=lock, populate_existing=lock)
        if found is None:
            raise NotFound("There is no run of a policy with this id.")
        return found

    async def run_with_policy(self, run_id: UUID) -> tuple[PolicyRun, Library, LibraryPolicy]:
        """One run, whose it is, and its policy. Raises NotFound."""
        query = (
            select(PolicyRun, Library, LibraryPolicy)
            .join(Library, col(Library.id) == col(PolicyRun.library_id))
            .join(LibraryPolicy, col(LibraryPolicy.id) == col(PolicyRun.policy_id))
        )
        row = (await self._session.execute(query.where(col(PolicyRun.id) == run_id))).one_or_none()
        if row is None:
            raise NotFound("There is no run of a policy with this id.")
        return row[0], row[1], row[2]

    async def runs(
        self, library_id: UUID, *, after: Position | None, limit: int
    ) -> Sequence[tuple[PolicyRun, LibraryPolicy]]:
        """A library's runs with their policies, newest first."""
        query = (
            select(PolicyRun, LibraryPolicy)
            .join(LibraryPolicy, col(LibraryPolicy.id) == col(PolicyRun.policy_id))
            .where(col(PolicyRun.library_id) == library_id)
        )
        if after:
            query = query.where(tuple_(col(PolicyRun.created_at), col(PolicyRun.id)) < tuple_(*after))
        query = query.order_by(col(PolicyRun.created_at).desc(), col(PolicyRun.id).desc()).limit(limit)
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def put_items(self, items: Iterable[PolicyRunItem]) -> None:
        """Keep what a preview found; what is known of an item already stays."""
        values = [item.model_dump() for item in items]
        if values:
            await self._session.execute(insert(PolicyRunItem).values(values).on_conflict_do_nothing())

    async def items(
        self, run_id: UUID, *, state: ItemState | None = None, after: Position | None, limit: int
    ) -> Sequence[PolicyRunItem]:
        """Items of a run, the newest item first."""
        query = select(PolicyRunItem).where(col(PolicyRunItem.run_id) == run_id)
        if state:
            query = query.where(col(PolicyRunItem.state) == state)
        if after:
            query = query.where(tuple_(col(PolicyRunItem.at), col(PolicyRunItem.media_id)) < tuple_(*after))
        query = query.order_by(col(PolicyRunItem.at).desc(), col(PolicyRunItem.media_id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def items_with_media(
        self, run_id: UUID, state: ItemState, *, after: Position | None, limit: int
    ) -> Sequence[tuple[PolicyRunItem, Media]]:
        """Those in one state, with what they are about."""
        query = (
            select(PolicyRunItem, Media)
            .join(Media, col(Media.id) == col(PolicyRunItem.media_id))
            .where(col(PolicyRunItem.run_id) == run_id, col(PolicyRunItem.state) == state)
        )
        if after:
            query = query.where(tuple_(col(PolicyRunItem.at), col(PolicyRunItem.media_id)) < tuple_(*after))
        query = query.order_by(col(PolicyRunItem.at).desc(), col(PolicyRunItem.media_id).desc()).limit(limit)
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def settle_item(self, run_id: UUID, media_id: UUID, *states: ItemState, **values: Any) -> None:
        """Note what became of an item that is in one of these states; in another one it stays as it is."""
        still = (
            col(PolicyRunItem.run_id) == run_id,
            col(PolicyRunItem.media_id) == media_id,
            col(PolicyRunItem.state).in_(states),
        )
        await self._session.execute(update(PolicyRunItem).where(*still).values(values))


def _change(policy: LibraryPolicy, former: str, *, by: str, note: str) -> PolicyChange:
    return PolicyChange(
        policy_id=policy.id, library_id=policy.library_id, from_mode=former, to_mode=policy.mode, by=by, note=note
    )
