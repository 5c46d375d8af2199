"""Which policy decides, what a shadow would have decided, what people teach, and what a run looks at again."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text

from activities.policies import Case, decide_by_live, put_policy
from activities.policy_orders import dry_run, shadow_report
from activities.policy_runs import PolicyRuns
from db.tables import PolicyRun, VendorReliability
from mediagate.errors import PolicyUnusable
from mediagate.media.values import Status, Verdict
from mediagate.moderation.lanes import Lane
from mediagate.moderation.policy import Policy, Reason
from mediagate.moderation.policy_runs import ItemState, PolicyMode, RunMode, RunState
from mediagate.moderation.reliability import Outcome
from tests.activities.steps import Steps, perform
from tests.policies import CAREFUL, STRICT, decided, items, run_row, said, standing, stored
from tests.world import VENDOR, picture
from workflows.policy_run_messages import ItemOutcome, PolicyRunProgress, PreviewInput, RunItemsInput, RunRecord


async def record(steps: Steps, media_id: str, score: float = 0.45, **fields: Any) -> Any:
    """The first decision on an item."""
    events = (said(media_id, {"nudity": score}),)
    return await perform(steps.projecting.record_decision, steps.decision(media_id, **{"events": events, **fields}))


async def moderated(steps: Steps) -> str:
    """An item that waits for its decision."""
    return await steps.world.seal(picture(), status=Status.AWAITING_MODERATION)


async def shadows(steps: Steps, number: int = 1) -> list[tuple[Verdict, Verdict, str]]:
    """What a policy would have decided, what was decided, by which policy."""
    async with steps.world.db.transaction() as tx:
        policy = await tx.policies.numbered(steps.world.library.id, number)
        rows = await tx.policies.shadowed(policy.id, after=None, limit=99)
    return [(row.verdict, row.live_verdict, row.live_version) for row, _ in rows]


async def learnt(steps: Steps) -> dict[str, Outcome]:
    """What this library's people taught of the vendor, by category."""
    query = text("SELECT category, tp, fp, tn, fn FROM vendor_reliability WHERE library_id = :id AND vendor = :vendor")
    async with steps.world.db.transaction() as tx:
        rows = await tx.session.execute(query, {"id": steps.world.library.id, "vendor": VENDOR})
        return {row.category: Outcome(tp=row.tp, fp=row.fp, tn=row.tn, fn=row.fn) for row in rows}


class TestLive:
    async def test_decides_and_its_version_risk_and_rule_are_kept(self, steps: Steps) -> None:
        await stored(steps.world.db, steps.world.library, STRICT, PolicyMode.LIVE)
        media_id = await moderated(steps)
        result = await record(steps, media_id)
        assert (result.verdict, result.policy_version) == (Verdict.REJECT, "strict@1")
        row = await standing(steps.world.db, UUID(media_id))
        assert (row.risk, row.rule, row.decision.verdict) == (0.45, "reject:nudity", Verdict.REJECT)

    async def test_a_persons_verdict_has_the_risk_but_no_rule(self, steps: Steps) -> None:
        media_id = await moderated(steps)
        await record(steps, media_id, verdict=Verdict.REJECT, decided_by="person:ada")
        row = await standing(steps.world.db, UUID(media_id))
        assert (row.risk, row.rule, row.policy_version) == (0.5, "", "thresholds-1")

    async def test_a_draft_decides_nothing(self, steps: Steps) -> None:
        await stored(steps.world.db, steps.world.library, STRICT)
        assert (await record(steps, await moderated(steps))).policy_version == "thresholds-1"

    async def test_rules_know_the_facts_of_the_item(self, steps: Steps) -> None:
        rule = "{name: r, when: {all: [%s]}, then: {verdict: quarantine}}"
        facts = [
            f"{{fact: library, equals: {steps.world.library.slug}}}",
            "{fact: tags, equals: beach}",
            "{fact: category, equals: holiday}",
            "{fact: trusted, equals: true}",
            "{fact: lane, equals: bulk}",
            "{fact: content_type, equals: image/jpeg}",
            "{fact: width, at_least: 600}",
            "{fact: frames, equals: 3}",
        ]
        await stored(steps.world.db, steps.world.library, f"rules: [{rule % ', '.join(facts)}]", PolicyMode.LIVE)
        fields: dict[str, Any] = {
            "tags": ["beach"],
            "category": "holiday",
            "trusted": True,
            "width": 640,
            "facts": {"frames": 3},
        }
        media_id = await steps.world.seal(picture(), status=Status.AWAITING_MODERATION, **fields)
        result = await record(steps, media_id, 0.1, lane=Lane.BULK)
        assert (result.verdict, result.reason) == (Verdict.QUARANTINE, "rule:r")

    async def test_what_is_learnt_of_a_vendor_counts(self, steps: Steps) -> None:
        """A vendor that is wrong as often as right pulls less: 0.9 does not reject alone."""
        library = steps.world.library
        await stored(steps.world.db, library, "fusion: {reliability_floor: 10}", PolicyMode.LIVE)
        assert (await record(steps, await moderated(steps), 0.9)).verdict is Verdict.REJECT
        async with steps.world.db.transaction() as tx:
            tx.session.add(VendorReliability(library_id=library.id, vendor=VENDOR, category="nudity", tp=50, fp=50))
        assert (await record(steps, await moderated(steps), 0.9)).verdict is Verdict.REVIEW

    async def test_reads_of_policies_do_not_grow_with_their_number(self, steps: Steps) -> None:
        library = steps.world.library
        for _ in range(5):
            await stored(steps.world.db, library, STRICT, PolicyMode.LIVE)
        media_id = await moderated(steps)
        statements: list[str] = []
        async with steps.world.db.transaction() as tx:
            media, _ = await tx.media.with_library(UUID(media_id))
            engine = tx.session.sync_session.get_bind().engine

            def keep(*args: Any) -> None:
                statements.append(args[2])

            event.listen(engine, "before_cursor_execute", keep)
            try:
                await decide_by_live(tx, Case(media, library, ()))
            finally:
                event.remove(engine, "before_cursor_execute", keep)
        assert len(statements) == 2
        assert ["FROM policy" in statements[0], "FROM vendor_reliability" in statements[1]] == [True, True]


class TestShadow:
    async def test_decides_beside_it_and_changes_nothing(self, steps: Steps) -> None:
        await stored(steps.world.db, steps.world.library, STRICT, PolicyMode.SHADOW)
        media_id = await moderated(steps)
        result = await record(steps, media_id, 0.45)
        assert (result.verdict, result.policy_version) == (Verdict.REVIEW, "thresholds-1")
        assert await shadows(steps) == [(Verdict.REJECT, Verdict.REVIEW, "thresholds-1")]
        assert (await steps.world.media(media_id)).status is Status.IN_REVIEW

    async def test_is_not_asked_where_a_person_a_deadline_or_the_gate_decides(self, steps: Steps) -> None:
        await stored(steps.world.db, steps.world.library, STRICT, PolicyMode.SHADOW)
        given = {"verdict": Verdict.REJECT, "reasons": (Reason(code="x"),)}
        for fields in (given | {"decided_by": "person:ada"}, given | {"decided_by": "gate"}, {"deadline_passed": True}):
            await record(steps, await moderated(steps), **fields)
        assert await shadows(steps) == []

    @pytest.mark.parametrize(
        "damage",
        [
            'UPDATE policy SET document = \'{"default": {"review_at": "high"}}\' WHERE library_id = :id',
            "UPDATE policy SET document = '[]' WHERE library_id = :id",
            "UPDATE policy SET name = E'x\\x01', document = '{\"rules\": 7}' WHERE library_id = :id",
        ],
        ids=["value", "shape", "rules"],
    )
    async def test_its_failure_fails_no_decision(self, steps: Steps, damage: str) -> None:
        library = steps.world.library
        await stored(steps.world.db, library, STRICT, PolicyMode.SHADOW)
        async with steps.world.db.transaction() as tx:
            await tx.session.execute(text(damage), {"id": library.id})
        media_id = await moderated(steps)
        assert (await record(steps, media_id, 0.1)).verdict is Verdict.APPROVE
        assert await shadows(steps) == []
        assert (await standing(steps.world.db, UUID(media_id))).verdict == "approve"

    async def test_nor_does_a_table_that_refuses_it(self, steps: Steps) -> None:
        """Even the statement that fails inside the decision's transaction is undone by itself."""
        library = steps.world.library
        policy = await stored(steps.world.db, library, STRICT, PolicyMode.SHADOW)
        constraint = f"ck_{uuid4().hex[:8]}"
        refuse = f"ALTER TABLE shadow_decision ADD CONSTRAINT {constraint} CHECK (policy_id <> '{policy.id}')"
        async with steps.world.db.transaction() as tx:
            await tx.session.execute(text(refuse))
        try:
            assert (await record(steps, await moderated(steps), 0.1)).verdict is Verdict.APPROVE
            assert await shadows(steps) == []
        finally:
            async with steps.world.db.transaction() as tx:
                await tx.session.execute(text(f"ALTER TABLE shadow_decision DROP CONSTRAINT {constraint}"))

    async def test_is_reported_against_the_live_one_and_against_people(self, steps: Steps) -> None:
        world = steps.world
        policy = await stored(world.db, world.library, STRICT, PolicyMode.SHADOW)
        reviewed, approved, unsure = [await moderated(steps) for _ in range(3)]
        await record(steps, reviewed, 0.55)
        await record(steps, approved, 0.1)
        await record(steps, unsure, 0.3)
        for media_id, verdict in ((reviewed, Verdict.APPROVE), (unsure, Verdict.APPROVE)):
            await record(steps, media_id, 0.55, verdict=verdict, decided_by="person:ada", round=media_id == unsure)
        report = await shadow_report(world.db, policy, last=10, examples=1)
        assert report.comparison.matrix == {
            "review": {"reject": 1},
            "approve": {"approve": 1, "review": 1},
        }
        assert report.comparison.people == {"approve": {"reject": 1, "review": 1}}
        assert (report.comparison.agreement, report.comparison.agreement_with_people) == (1 / 3, 0.0)
        assert [one.row.media_id for one in report.examples] == [UUID(unsure)]
        assert (await shadow_report(world.db, policy, last=1, examples=5)).comparison.looked_at == 1


class TestTeaching:
    async def test_a_persons_verdict_teaches_once(self, steps: Steps) -> None:
        media_id = await moderated(steps)
        await record(steps, media_id, 0.9)
        human = {"verdict": Verdict.APPROVE, "decided_by": "person:ada", "reasons": (Reason(code="person"),)}
        other = await moderated(steps)
        for _ in range(3):
            await record(steps, other, 0.9, **human)
        assert await learnt(steps) == {"nudity": Outcome(fp=1), "verdict": Outcome(fp=1)}

    async def test_nobody_else_does(self, steps: Steps) -> None:
        for by in ("policy", "gate", "deadline", "policy_run:7", "undo:7"):
            await record(steps, await moderated(steps), 0.1, verdict=Verdict.APPROVE, decided_by=by)
        aborted = {"verdict": Verdict.REJECT, "reasons": (Reason(code="aborted"),), "decided_by": "person:ada"}
        await record(steps, await moderated(steps), 0.1, **aborted)
        opened = {"verdict": Verdict.REVIEW, "decided_by": "person:ada", "reasons": (Reason(code="x"),)}
        await record(steps, await moderated(steps), 0.1, **opened)
        assert await learnt(steps) == {}

    async def test_a_takedown_teaches_from_what_was_heard_before(self, steps: Steps) -> None:
        media_id = await moderated(steps)
        async with steps.world.db.transaction() as tx:
            await tx.inbox.put_own(said(media_id, {"gore": 0.1}))
        await perform(steps.projecting.record_decision, steps.decision(media_id, from_inbox=True))
        await steps.file(media_id)
        reasons = (Reason(code="takedown:gore"),)
        job = steps.decision(
            media_id, round=1, verdict=Verdict.QUARANTINE, decided_by="person:ada", reasons=reasons, events=()
        )
        for _ in range(2):
            await perform(steps.projecting.record_decision, job)
        assert (await learnt(steps))["gore"] == Outcome(fn=1)
        assert {f["category"] for f in (await standing(steps.world.db, UUID(media_id))).findings} == {"verdict", "gore"}


class TestDryRun:
    async def test_the_same_policy_changes_nothing(self, steps: Steps) -> None:
        world = steps.world
        for score in (0.1, 0.3, 0.9):
            media_id = await moderated(steps)
            async with world.db.transaction() as tx:
                await tx.inbox.put_own(said(media_id, {"nudity": score}))
            await perform(steps.projecting.record_decision, steps.decision(media_id, from_inbox=True))
            await steps.file(media_id, Verdict((await standing(world.db, UUID(media_id))).verdict))
        comparison, changed = await dry_run(world.db, world.library, Policy(), last=100)
        assert (comparison.looked_at, comparison.agreement, changed) == (3, 1.0, [])

    async def test_counts_reasons_and_people(self, steps: Steps) -> None:
        world = steps.world
        for age, (verdict, by, score) in enumerate(
            [
                (Verdict.APPROVE, "policy", 0.1),
                (Verdict.APPROVE, "policy", 0.45),
                (Verdict.REJECT, "person:ada", 0.45),
                (Verdict.APPROVE, "person:ada", 0.45),
                (Verdict.REJECT, "deadline", 0.25),
            ]
        ):
            await decided(world.db, world.library, verdict, by=by, scores={"nudity": score}, age=age)
        policy = (await stored(world.db, world.library, STRICT)).policy
        comparison, changed = await dry_run(world.db, world.library, policy, last=100)
        assert comparison.matrix == {"approve": {"approve": 1, "reject": 2}, "reject": {"reject": 1, "review": 1}}
        assert comparison.reasons == {"reject:nudity": 2, "review:nudity": 1}
        assert comparison.people == {"reject": {"reject": 1}, "approve": {"reject": 1}}
        assert (comparison.changed, comparison.applicable, comparison.agreement_with_people) == (3, 1, 0.5)
        assert [one.left for one in changed] == [
            None,
            "a person decided",
            "it is withheld already: nobody is asked",
        ]

    async def test_leaves_out_what_nobody_moderated(self, steps: Steps) -> None:
        world = steps.world
        await decided(world.db, world.library, Verdict.REJECT, by="gate", reason="corrupt_file")
        await decided(world.db, world.library, Verdict.REJECT, by="person:ada", reason="aborted")
        await decided(world.db, world.library, status=Status.IN_REVIEW)
        await decided(world.db, world.library, status=Status.TRASHED)
        assert (await dry_run(world.db, world.library, Policy(), last=100))[0].looked_at == 0

    async def test_takes_three_questions_for_a_page(self, steps: Steps) -> None:
        world = steps.world
        for age in range(20):
            await decided(world.db, world.library, age=age)
        statements: list[str] = []
        async with world.db.transaction() as tx:
            engine = tx.session.sync_session.get_bind().engine

        def keep(*args: Any) -> None:
            statements.append(args[2])

        event.listen(engine, "before_cursor_execute", keep)
        try:
            comparison, _ = await dry_run(world.db, world.library, Policy(), last=15)
        finally:
            event.remove(engine, "before_cursor_execute", keep)
        assert (comparison.looked_at, len(statements)) == (15, 3)


class TestRunSteps:
    """Each twice, with the effect of once."""

    async def run(self, steps: Steps, scores: Sequence[float], mode: RunMode = RunMode.APPLY) -> PolicyRun:
        world = steps.world
        for age, score in enumerate(scores):
            await decided(world.db, world.library, scores={"nudity": score}, age=age)
        policy = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run = PolicyRun(library_id=world.library.id, policy_id=policy.id, mode=mode, created_by="ada")
        async with world.db.transaction() as tx:
            return await tx.policies.begin_run(run)

    async def test_a_preview_keeps_what_would_change(self, steps: Steps) -> None:
        run, step = await self.run(steps, [0.45, 0.1, 0.3]), PolicyRuns(steps.deps).preview_policy
        first = [await perform(step, PreviewInput(run_id=str(run.id), limit=2)) for _ in range(2)]
        assert first[0] == first[1]
        assert (first[0].comparison.looked_at, first[0].comparison.changed) == (2, 1)
        rest = PreviewInput(run_id=str(run.id), limit=2, after_time=first[0].after_time, after_id=first[0].after_id)
        second = await perform(step, rest)
        assert (second.comparison.looked_at, second.after_time) == (1, None)
        found = await items(steps.world.db, run.id)
        assert sorted(item.to_verdict for item in found.values()) == ["reject", "review"]

    async def test_items_are_taken_until_somebody_else_decides_them(self, steps: Steps) -> None:
        run, runs = await self.run(steps, [0.45, 0.45]), PolicyRuns(steps.deps)
        await perform(runs.preview_policy, PreviewInput(run_id=str(run.id)))
        take = RunItemsInput(run_id=str(run.id))
        page = await perform(runs.take_run_items, take)
        assert [(item.round, item.verdict, item.policy_version, item.overruled) for item in page.items] == [
            (1, Verdict.REJECT, "strict@1", False)
        ] * 2
        by_us, by_others = (item.media_id for item in page.items)
        for media_id, by in ((by_us, f"policy_run:{run.id}"), (by_others, "late_verdict")):
            job = steps.decision(media_id, round=1, verdict=Verdict.REJECT, decided_by=by, reasons=(Reason(code="x"),))
            await perform(steps.projecting.record_decision, job)
        again = await perform(runs.take_run_items, take)
        assert [item.overruled for item in again.items] == [False, True]

    async def test_what_has_ended_is_written_once(self, steps: Steps) -> None:
        run, runs = await self.run(steps, [0.45]), PolicyRuns(steps.deps)
        await perform(runs.preview_policy, PreviewInput(run_id=str(run.id)))
        (media_id,) = await items(steps.world.db, run.id)
        applied = (ItemOutcome(media_id=str(media_id), state=ItemState.APPLIED, round=1),)
        done = PolicyRunProgress(state=RunState.DONE, applied=1)
        for progress in (done, done, PolicyRunProgress()):
            await perform(runs.record_policy_run, RunRecord(run_id=str(run.id), progress=progress, outcomes=applied))
        row = await run_row(steps.world.db, run.id)
        assert (row.state, row.applied) == (RunState.DONE, 1)
        item = (await items(steps.world.db, run.id))[media_id]
        assert (item.state, item.round) == (ItemState.APPLIED, 1)

    async def test_a_document_of_a_newer_release_is_not_guessed_at(self, steps: Steps) -> None:
        world = steps.world
        policy = await put_policy(world.db, world.library.slug, CAREFUL, by="ada")
        policy.document = {"default": {"review_at": "sometimes"}}
        with pytest.raises(PolicyUnusable, match="careful@1 cannot be read by this release"):
            assert policy.policy

    async def test_uploads_wait_for_a_live_one_that_can_be_read(self, steps: Steps) -> None:
        world = steps.world
        await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        broken = "UPDATE policy SET document = '[]' WHERE library_id = :id"
        async with world.db.transaction() as tx:
            await tx.session.execute(text(broken), {"id": world.library.id})
        media_id = await moderated(steps)
        with pytest.raises(PolicyUnusable):
            await record(steps, media_id)
        await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        assert (await record(steps, media_id)).policy_version == "strict@2"
