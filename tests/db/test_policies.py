"""Policies in the database: one live and one shadow, an audit log that stays, what people taught, which index."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from activities.policies import put_policy, set_mode
from db.session import Database
from db.tables import Library, LibraryPolicy, PolicyRun, PolicyRunItem, ShadowDecision, now
from mediagate.errors import Conflict, NotFound
from mediagate.media.values import Verdict
from mediagate.moderation.policy import Policy
from mediagate.moderation.policy_runs import MODES, ItemState, PolicyMode, RunMode
from mediagate.moderation.reliability import Outcome, Reliability
from tests.db.test_repositories import Question, asked, plans
from tests.policies import CAREFUL, STRICT, decided, stored

PLACE = (now(), UUID(int=2))

QUESTIONS: dict[str, tuple[Question, tuple[str, ...]]] = {
    "active": (lambda tx, id_: tx.policies.active(Library(id=id_, slug="x")), ("uq_policy_mode",)),
    "page": (lambda tx, id_: tx.policies.page(id_, after=PLACE, limit=5), ("ix_policy_page",)),
    "changes": (lambda tx, id_: tx.policies.changes(id_), ("ix_policy_change_policy",)),
    "reliability": (lambda tx, id_: tx.policies.reliability(id_, floor=5), ("uq_vendor_reliability",)),
    "shadowed": (
        lambda tx, id_: tx.policies.shadowed(id_, after=PLACE, limit=5),
        ("ix_shadow_decision_page", "uq_decision_round"),
    ),
    "runs": (lambda tx, id_: tx.policies.runs(id_, after=PLACE, limit=5), ("ix_policy_run_page", "policy_pkey")),
    "items": (lambda tx, id_: tx.policies.items(id_, after=PLACE, limit=5), ("ix_policy_run_item_page",)),
    "items in a state": (
        lambda tx, id_: tx.policies.items_with_media(id_, ItemState.FOUND, after=PLACE, limit=5),
        ("ix_policy_run_item_state", "media_pkey"),
    ),
    "moderated items": (
        lambda tx, id_: tx.decisions.of_moderated(id_, after=PLACE, limit=5),
        ("ix_media_library_page", "uq_decision_round"),
    ),
    "latest of several": (lambda tx, id_: tx.decisions.latest_of([id_]), ("uq_decision_round",)),
    "heard of several": (lambda tx, id_: tx.inbox.heard_of([id_]), ("ix_inbox_media",)),
}


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        ask, indexes = QUESTIONS[name]
        async with asked(empty_db, ask, uuid4()) as (tx, statements):
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            await tx.session.execute(
                text("SET LOCAL enable_sort = off")
            )  # few rows are sorted sooner than read in order
            (plan,) = await plans(tx, statements)
        assert [index for index in indexes if index not in plan] == [], plan

    async def test_what_decides_is_one_question(self, db: Database, library: Library) -> None:
        async with asked(db, lambda tx, _: tx.policies.active(library), uuid4()) as (_, statements):
            assert len(statements) == 1


class TestModes:
    async def test_at_most_one_is_live_and_one_a_shadow(self, db: Database, library: Library) -> None:
        for mode in (PolicyMode.LIVE, PolicyMode.SHADOW):
            first, second = await stored(db, library, STRICT), await stored(db, library, CAREFUL)
            for policy in (first, second, first):
                await set_mode(db, library.slug, policy.number, mode, by="ada")
            async with db.transaction() as tx:
                assert (await tx.policies.numbered(library.id, second.number)).mode is PolicyMode.RETIRED
        async with db.transaction() as tx:
            active = await tx.policies.active(library)
        assert (active.live.version, active.live.default.reject_at) == ("strict@1", 0.4)
        assert active.shadow
        assert active.shadow.version == "strict@3"

    async def test_the_database_refuses_a_second_one(self, db: Database, library: Library) -> None:
        await stored(db, library, STRICT, PolicyMode.LIVE)
        with pytest.raises(IntegrityError):
            async with db.transaction() as tx:
                tx.session.add(_policy(library, number=9, mode=PolicyMode.LIVE))

    @pytest.mark.parametrize(("former", "wanted"), [(a, b) for a in PolicyMode for b in PolicyMode])
    async def test_which_follows_which(
        self, db: Database, library: Library, former: PolicyMode, wanted: PolicyMode
    ) -> None:
        policy = _policy(library, number=1, mode=former)
        async with db.transaction() as tx:
            tx.session.add(policy)
        if wanted is former or wanted in MODES[former]:
            moved, _ = await set_mode(db, library.slug, 1, wanted, by="ada")
            assert moved.mode is wanted
            assert bool(moved.activated_at) is (wanted is not former and wanted in {"live", "shadow"})
        else:
            with pytest.raises(Conflict, match=f"A {former.value} policy does not become {wanted.value}"):
                await set_mode(db, library.slug, 1, wanted, by="ada")

    async def test_the_same_again_writes_nothing(self, db: Database, library: Library) -> None:
        policy = await stored(db, library, STRICT, PolicyMode.LIVE, PolicyMode.LIVE)
        async with db.transaction() as tx:
            changes = await tx.policies.changes(policy.id)
        assert [(change.from_mode, change.to_mode, change.by) for change in changes] == [
            ("", "draft", "ada"),
            ("draft", "live", "ada"),
        ]

    async def test_at_the_same_time_each_gets_a_number_and_one_is_live(self, db: Database, library: Library) -> None:
        policies = await asyncio.gather(*(stored(db, library, STRICT, PolicyMode.LIVE) for _ in range(5)))
        assert sorted(policy.number for policy in policies) == [1, 2, 3, 4, 5]
        async with db.transaction() as tx:
            rows = await tx.policies.page(library.id, after=None, limit=9)
        assert sorted(row.mode for row in rows) == ["live", "retired", "retired", "retired", "retired"]

    async def test_the_log_of_changes_cannot_be_changed(self, db: Database, library: Library) -> None:
        await stored(db, library, STRICT)
        for change in ("UPDATE policy_change SET by = 'eve'", "DELETE FROM policy_change", "TRUNCATE policy_change"):
            with pytest.raises(IntegrityError, match="never changed or deleted"):
                async with db.transaction() as tx:
                    await tx.session.execute(text(change))

    async def test_unknown_ones(self, db: Database, library: Library) -> None:
        with pytest.raises(NotFound):
            await set_mode(db, library.slug, 1, PolicyMode.LIVE, by="ada")
        with pytest.raises(NotFound):
            await put_policy(db, "nowhere", STRICT, by="ada")


class TestActive:
    async def test_without_a_live_one_the_settings_decide_and_without_them_the_default(
        self, db: Database, library: Library
    ) -> None:
        async with db.transaction() as tx:
            assert (await tx.policies.active(library)).live == Policy()
        library.settings = {"policy": {"version": "of-settings", "default": {"review_at": 0.1}}}
        async with db.transaction() as tx:
            assert (await tx.policies.active(library)).live.version == "of-settings"
        policy = await stored(db, library, STRICT, PolicyMode.LIVE)
        async with db.transaction() as tx:
            assert (await tx.policies.active(library)).live.version == "strict@1"
        await set_mode(db, library.slug, policy.number, PolicyMode.RETIRED, by="ada")
        async with db.transaction() as tx:
            assert (await tx.policies.active(library)).live.version == "of-settings"

    async def test_a_long_name_leaves_room_for_the_number(self, library: Library) -> None:
        policy = _policy(library, number=12345, name="x" * 64)
        assert policy.version == "x" * 58 + "@12345"
        assert policy.policy.version == policy.version

    async def test_sent_again_under_its_id_it_is_the_same(self, db: Database, library: Library) -> None:
        policy_id = uuid4()
        both = [await put_policy(db, library.slug, STRICT, by="ada", policy_id=policy_id) for _ in range(2)]
        assert [policy.number for policy in both] == [1, 1]


class TestReliability:
    async def test_counts_are_added_up_for_the_library_and_for_all(self, db: Database, library: Library) -> None:
        vendor, lesson = f"v-{uuid4().hex[:8]}", Outcome(tp=1, fn=2)
        async with db.transaction() as tx:
            other = await tx.access.ensure_library(f"other-{uuid4().hex[:8]}", name="Other", settings={})
        for owner in (library, library, other):
            async with db.transaction() as tx:
                await tx.policies.teach(owner.id, Reliability(counts={vendor: {"gore": lesson}}))

        async def learnt(owner: Library, floor: int) -> Outcome:
            async with db.transaction() as tx:
                return (await tx.policies.reliability(owner.id, floor=floor)).counts[vendor]["gore"]

        everywhere = Outcome(tp=3, fn=6)
        assert await learnt(library, 6) == Outcome(tp=2, fn=4)
        assert await learnt(library, 7) == everywhere
        assert await learnt(other, 3) == lesson
        assert await learnt(other, 4) == everywhere

    async def test_libraries_that_teach_at_the_same_time_do_not_lock_each_other_out(
        self, db: Database, library: Library
    ) -> None:
        vendor = f"v-{uuid4().hex[:8]}"
        names = [f"c{number}" for number in range(8)]

        async def teach(order: list[str]) -> None:
            async with db.transaction() as tx:
                counts = {vendor: {name: Outcome(tp=1) for name in order}}
                await tx.policies.teach(library.id, Reliability(counts=counts))

        await asyncio.gather(*(teach(names if number % 2 else names[::-1]) for number in range(8)))
        async with db.transaction() as tx:
            counts = (await tx.policies.reliability(library.id, floor=1)).counts[vendor]
        assert {outcome.tp for outcome in counts.values()} == {8}


class TestShadows:
    async def test_a_later_word_of_a_round_replaces_the_earlier_one(self, db: Database, library: Library) -> None:
        policy = await stored(db, library, STRICT, PolicyMode.SHADOW)
        media_id = await decided(db, library, by="person:ada")
        for verdict in (Verdict.REVIEW, Verdict.REJECT):
            async with db.transaction() as tx:
                await tx.policies.put_shadow(
                    ShadowDecision(
                        policy_id=policy.id, media_id=media_id, verdict=verdict, risk=0.5, rule="x", live_version="y"
                    )
                )
        async with db.transaction() as tx:
            (found,) = await tx.policies.shadowed(policy.id, after=None, limit=5)
        assert (found.row.verdict, found.person) == (Verdict.REJECT, Verdict.APPROVE)


class TestRuns:
    async def test_an_item_is_settled_once(self, db: Database, library: Library) -> None:
        policy, media_id = await stored(db, library, STRICT), await decided(db, library)
        run = PolicyRun(library_id=library.id, policy_id=policy.id, mode=RunMode.APPLY, created_by="ada")
        item = PolicyRunItem(
            run_id=run.id, media_id=media_id, at=now(), from_version="v", decided_by="p", from_round=0, risk=0.0
        )
        async with db.transaction() as tx:
            await tx.policies.begin_run(run)
            await tx.policies.put_items([item])
            await tx.policies.settle_item(run.id, media_id, ItemState.FOUND, state=ItemState.APPLIED, round=1)
        async with db.transaction() as tx:
            await tx.policies.put_items([item])
            await tx.policies.settle_item(run.id, media_id, ItemState.FOUND, state=ItemState.SKIPPED)
        async with db.transaction() as tx:
            (row,) = await tx.policies.items(run.id, after=None, limit=5)
        assert (row.state, row.round) == (ItemState.APPLIED, 1)

    async def test_the_database_allows_one_at_a_time_that_changes_a_library(
        self, db: Database, library: Library
    ) -> None:
        policy = await stored(db, library, STRICT)

        async def begin(*modes: RunMode) -> None:
            async with db.transaction() as tx:
                for mode in modes:
                    tx.session.add(PolicyRun(library_id=library.id, policy_id=policy.id, mode=mode, created_by="a"))

        await begin(RunMode.DRY_RUN, RunMode.APPLY, RunMode.DRY_RUN)
        with pytest.raises(IntegrityError):
            await begin(RunMode.UNDO)


def _policy(library: Library, *, number: int, mode: PolicyMode = PolicyMode.DRAFT, name: str = "p") -> LibraryPolicy:
    return LibraryPolicy(
        library_id=library.id, number=number, name=name, mode=mode, source="", digest="", created_by="ada"
    )
