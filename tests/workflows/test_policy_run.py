"""Runs of policies through the real gate: previews, confirmations, orders on the way, undoing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from activities.policy_orders import order_run, start_run, undo_run
from db.tables import LibraryPolicy, PolicyRun
from mediagate.errors import Conflict, NotFound
from mediagate.media.values import Status, Verdict
from mediagate.moderation.policy_runs import ItemState, PolicyMode, RunMode, RunState
from mediagate.storage import keys
from tests.policies import CAREFUL, STRICT, filed, items, run_row, standing, stored
from tests.workflows import runs
from tests.world import World, picture
from workflows.messages import HumanDecision, RemoderateInput
from workflows.names import FAILURE_KIND, policy_run_id, remoderation_id
from workflows.policy_run_client import order_policy_run
from workflows.policy_run_messages import PolicyRunInput, PolicyRunProgress

DAY = timedelta(days=1)


async def begin(world: World, policy: LibraryPolicy, mode: RunMode = RunMode.APPLY, **fields: Any) -> PolicyRun:
    """Start a run as the API does."""
    job = PolicyRunInput(
        run_id=str(uuid4()), library=world.library.slug, mode=mode, actor="ada", **{"per_second": 100, **fields}
    )
    return await start_run(world.db, world.flows, world.library, policy.number, job)


async def order(world: World, run: PolicyRun, what: str) -> PolicyRun:
    return await order_run(world.db, world.flows, world.library, run.id, what, by="bob")


def handle(world: World, run: PolicyRun) -> WorkflowHandle[Any, PolicyRunProgress]:
    return world.client.get_workflow_handle(policy_run_id(str(run.id)), result_type=PolicyRunProgress)


async def ended(world: World, run: PolicyRun) -> PolicyRun:
    """The row of a run that has ended; it tells the same as the run."""
    progress = await handle(world, run).result()
    row = await run_row(world.db, run.id)
    assert (row.state, row.applied, row.skipped, row.failed, row.detail, row.report) == (
        progress.state,
        progress.applied,
        progress.skipped,
        progress.failed,
        progress.detail,
        progress.comparison.model_dump(mode="json"),
    )
    assert row.ended_at
    return row


async def reached(world: World, run: PolicyRun, condition: Callable[[PolicyRun], bool]) -> PolicyRun:
    async def row() -> PolicyRun | None:
        found = await run_row(world.db, run.id)
        return found if condition(found) else None

    found = await runs.until(row)
    assert found
    return found


async def previewed(world: World, run: PolicyRun) -> PolicyRun:
    return await reached(world, run, lambda row: row.state is RunState.PREVIEWED)


async def applied(world: World, *media: UUID, text: str = STRICT, **fields: Any) -> PolicyRun:
    """A run that was confirmed and has ended."""
    run = await begin(world, await stored(world.db, world.library, text, PolicyMode.LIVE), **fields)
    await previewed(world, run)
    await order(world, run, "confirm")
    return await ended(world, run)


async def undone(world: World, run: PolicyRun) -> PolicyRun:
    return await ended(world, await undo_run(world.db, world.flows, world.library, run.id, by="eve", review=DAY))


async def status(world: World, media_id: UUID) -> Status:
    return (await world.media(str(media_id))).status


class TestDryRun:
    async def test_looks_at_everything_and_changes_nothing(self, world: World) -> None:
        media = [await filed(world, scores={"nudity": score}) for score in (0.1, 0.45, 0.3)]
        draft = await stored(world.db, world.library, STRICT)
        run = await ended(world, await begin(world, draft, RunMode.DRY_RUN, page=2))
        assert (run.state, run.applied, run.would_change) == (RunState.DONE, 0, 2)
        assert run.report["matrix"] == {"approve": {"approve": 1, "reject": 1, "review": 1}}
        assert run.report["reasons"] == {"reject:nudity": 1, "review:nudity": 1}
        found = await items(world.db, run.id)
        assert {media_id: item.to_verdict for media_id, item in found.items()} == {
            media[1]: Verdict.REJECT,
            media[2]: Verdict.REVIEW,
        }
        assert {await status(world, media_id) for media_id in media} == {Status.APPROVED}

    async def test_of_the_last_few_in_a_history_that_begins_anew(self, world: World) -> None:
        media = [await filed(world, scores={"nudity": 0.45}) for _ in range(4)]
        draft = await stored(world.db, world.library, STRICT)
        run = await begin(world, draft, RunMode.DRY_RUN, page=1, stretch=1, last=3)
        assert (await ended(world, run)).report["looked_at"] == 3
        assert set(await items(world.db, run.id)) == set(media[1:])
        first = await world.client.get_workflow_handle(
            policy_run_id(str(run.id)), run_id=await first_run_id(world, run)
        ).fetch_history()
        kinds = [event.event_type for event in first.events]
        assert kinds[-1] == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW


async def first_run_id(world: World, run: PolicyRun) -> str:
    """Of a chain of runs."""
    history = await handle(world, run).fetch_history()
    return history.events[0].workflow_execution_started_event_attributes.first_execution_run_id


class TestApply:
    async def test_what_was_confirmed_is_decided_anew_and_can_be_undone(self, world: World) -> None:
        bad, good = await filed(world, scores={"nudity": 0.45}), await filed(world)
        run = await applied(world, bad, good)
        assert (run.state, run.would_change, run.applied) == (RunState.DONE, 1, 1)
        assert (run.created_by, run.confirmed_by) == ("ada", "bob")
        now = await standing(world.db, bad)
        assert (now.round, now.verdict, now.decided_by) == (1, "reject", f"policy_run:{run.id}")
        assert (now.policy_version, now.reasons[0]["code"]) == ("strict@1", "reject:nudity")
        assert (await status(world, bad), await status(world, good)) == (Status.REJECTED, Status.APPROVED)
        assert "media/rejected/ID/source" in await world.objects(str(bad))

        undo = await undone(world, run)
        assert (undo.mode, undo.undoes, undo.applied, undo.skipped) == (RunMode.UNDO, run.id, 1, 0)
        back = await standing(world.db, bad)
        assert (back.round, back.verdict, back.decided_by) == (2, "approve", f"undo:{run.id}")
        assert (back.policy_version, back.reasons[0]["code"]) == ("thresholds-1", "clean")
        assert await status(world, bad) is Status.APPROVED
        (item,) = (await items(world.db, run.id)).values()
        assert item.state is ItemState.UNDONE
        assert item.undone_at
        with pytest.raises(Conflict, match="Nothing that this run changed"):
            await undo_run(world.db, world.flows, world.library, run.id, by="eve", review=DAY)

    async def test_a_preview_that_nobody_confirms_changes_nothing(self, skipping_world: World) -> None:
        world = skipping_world
        media_id = await filed(world, scores={"nudity": 0.45})
        run = await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE))
        run = await ended(world, run)
        assert (run.state, run.applied, run.would_change) == (RunState.NOT_APPLIED, 0, 1)
        assert run.confirm_until
        assert run.detail == "nobody confirmed it in time"
        assert await status(world, media_id) is Status.APPROVED

    async def test_a_preview_without_changes_waits_for_nobody(self, world: World) -> None:
        await filed(world)
        run = await ended(world, await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE)))
        assert (run.state, run.detail) == (RunState.DONE, "nothing was changed")

    async def test_only_the_live_policy_is_applied(self, world: World) -> None:
        await filed(world, scores={"nudity": 0.45})
        draft = await stored(world.db, world.library, STRICT)
        with pytest.raises(Conflict, match="strict@1 is draft"):
            await begin(world, draft)
        live = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run = await previewed(world, await begin(world, live))
        await stored(world.db, world.library, CAREFUL, PolicyMode.LIVE)
        with pytest.raises(Conflict, match="strict@2 is retired by now"):
            await order(world, run, "confirm")
        await order(world, run, "cancel")
        assert (await ended(world, run)).detail == "cancelled by bob; nothing was changed"

    async def test_one_run_at_a_time_changes_a_library(self, world: World) -> None:
        await filed(world, scores={"nudity": 0.45})
        live = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run = await previewed(world, await begin(world, live))
        with pytest.raises(Conflict, match=f"The run {run.id} of this library is previewed"):
            await begin(world, live)
        dry = await ended(world, await begin(world, live, RunMode.DRY_RUN))
        assert dry.would_change == 1
        await order(world, run, "cancel")
        await ended(world, run)
        await previewed(world, await begin(world, live))

    async def test_an_item_that_cannot_be_filed_does_not_hold_up_the_others(self, world: World) -> None:
        broken, whole = [await filed(world, scores={"nudity": 0.45}) for _ in range(2)]
        await world.store.put(keys.master(world.library.slug, str(broken)), picture(seed=9), content_type="image/jpeg")
        run = await applied(world)
        assert (run.state, run.applied, run.failed) == (RunState.DONE, 1, 1)
        found = await items(world.db, run.id)
        assert (found[broken].state, found[broken].detail) == (ItemState.FAILED, "ObjectCorrupt")
        assert found[whole].state is ItemState.APPLIED


class TestEnds:
    async def test_an_operator_cancels_it(self, world: World) -> None:
        await filed(world, scores={"nudity": 0.45})
        run = await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE))
        await previewed(world, run)
        await handle(world, run).cancel()
        with pytest.raises(WorkflowFailureError):
            await handle(world, run).result()
        row = await run_row(world.db, run.id)
        assert (row.state, row.detail) == (RunState.CANCELLED, "cancelled by an operator; 0 items stay changed")

    async def test_it_cannot_read_its_policy(self, world: World) -> None:
        policy = await stored(world.db, world.library, STRICT)
        async with world.db.transaction() as tx:
            (await tx.policies.numbered(world.library.id, 1)).document = {"default": "harsh"}
        run = await begin(world, policy, RunMode.DRY_RUN)
        with pytest.raises(WorkflowFailureError):
            await handle(world, run).result()
        row = await run_row(world.db, run.id)
        assert (row.state, bool(row.ended_at)) == (RunState.FAILED, True)
        assert row.detail == "Conflict: The stored policy strict@1 cannot be read by this release."
        described = await handle(world, run).describe()
        assert described.typed_search_attributes[FAILURE_KIND] == "Conflict"


class TestPeople:
    async def test_what_they_decided_before_is_left_alone(self, world: World) -> None:
        theirs = await filed(world, by="person:ada", scores={"nudity": 0.45})
        run = await applied(world, await filed(world, scores={"nudity": 0.45}))
        assert (run.report["people"], run.applied) == ({"approve": {"reject": 1}}, 1)
        item = (await items(world.db, run.id))[theirs]
        assert (item.state, item.detail) == (ItemState.LEFT, "a person decided")
        assert await status(world, theirs) is Status.APPROVED

    async def test_unless_the_run_is_told_otherwise(self, world: World) -> None:
        theirs = await filed(world, by="person:ada", scores={"nudity": 0.45})
        await applied(world, include_human=True)
        assert await status(world, theirs) is Status.REJECTED

    async def test_what_they_decide_meanwhile_wins(self, world: World) -> None:
        media_id = await filed(world, scores={"nudity": 0.45})
        run = await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE))
        await previewed(world, run)
        await runs.take_down(world, str(media_id))
        await order(world, run, "confirm")
        run = await ended(world, run)
        assert (run.applied, run.skipped) == (0, 1)
        assert (await standing(world.db, media_id)).decided_by == "person:ada"
        assert (await items(world.db, run.id))[media_id].detail == "decided since by somebody else"

    async def test_what_they_decide_later_is_not_undone(self, world: World) -> None:
        media_id, other = [await filed(world, Verdict.REJECT) for _ in range(2)]
        run = await applied(world)
        assert run.applied == 2
        await runs.take_down(world, str(media_id), round=2)
        undo = await undone(world, run)
        assert (undo.applied, undo.skipped) == (1, 1)
        assert (await standing(world.db, media_id)).decided_by == "person:ada"
        assert await status(world, other) is Status.REJECTED


class TestReviews:
    async def test_a_person_is_asked_and_not_waited_for(self, world: World) -> None:
        media = [await filed(world, scores={"nudity": 0.35}) for _ in range(2)]
        run = await applied(world, text=CAREFUL, at_once=1)
        assert run.applied == 2
        for media_id in media:
            await world.until(str(media_id), Status.IN_REVIEW)
        await world.flows.decide(str(media[0]), HumanDecision(verdict=Verdict.REJECT, reviewer="eve"))
        await world.client.get_workflow_handle(remoderation_id(str(media[0]))).result()
        undo = await undone(world, run)
        assert (undo.applied, undo.skipped) == (1, 1)
        await world.until(str(media[1]), Status.APPROVED)
        taken_back = await standing(world.db, media[1])
        assert (taken_back.round, taken_back.decided_by) == (1, f"undo:{run.id}")
        assert taken_back.policy_version == "thresholds-1"
        assert (await standing(world.db, media[0])).decided_by == "person:eve"

    async def test_one_whose_run_is_gone_is_left_to_people(self, world: World) -> None:
        """As when an operator terminated it: there is nothing to take back, and what is withheld stays so."""
        media_id = await filed(world, scores={"nudity": 0.35})
        run = await applied(world, text=CAREFUL)
        await world.until(str(media_id), Status.IN_REVIEW)
        await world.client.get_workflow_handle(remoderation_id(str(media_id))).terminate()
        undo = await undone(world, run)
        assert (undo.applied, undo.skipped) == (0, 1)
        assert await status(world, media_id) is Status.IN_REVIEW

    async def test_one_that_is_being_decided_anew_is_skipped(self, world: World) -> None:
        media_id = await filed(world, scores={"nudity": 0.45})
        run = await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE))
        await previewed(world, run)
        late = RemoderateInput(media_id=str(media_id), library=world.library.slug, round=1, cause="late_verdict")
        async with world.db.transaction() as tx:  # holds up the other one before it has decided
            await tx.media.get(media_id, lock=True)
            await world.flows.remoderate(late.model_copy(update={"verdict": Verdict.QUARANTINE}))
            await order(world, run, "confirm")
            await reached(world, run, lambda row: row.skipped == 1)
        assert (await items(world.db, run.id))[media_id].detail == "it is being decided anew"
        await world.until(str(media_id), Status.QUARANTINED)

    async def test_nobody_is_asked_about_what_is_withheld(self, world: World) -> None:
        media_id = await filed(world, Verdict.REJECT, scores={"nudity": 0.35})
        run = await ended(world, await begin(world, await stored(world.db, world.library, CAREFUL, PolicyMode.LIVE)))
        assert run.state is RunState.DONE
        assert (await items(world.db, run.id))[media_id].detail == "it is withheld already: nobody is asked"


async def begun(world: World, media_id: UUID) -> bool:
    """True once the item is being decided anew."""
    try:
        await world.client.get_workflow_handle(remoderation_id(str(media_id))).describe()
    except RPCError:
        return False
    return True


class TestOrders:
    async def test_a_pause_holds_until_it_ends(self, world: World) -> None:
        media = [await filed(world, scores={"nudity": 0.45}) for _ in range(3)]
        live = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run = await begin(world, live, at_once=1, page=1)
        await previewed(world, run)
        async with world.db.transaction() as tx:  # the first one to be decided waits for its lock
            await tx.media.get(media[2], lock=True)
            await order(world, run, "confirm")
            await runs.until(lambda: begun(world, media[2]))
            paused = await order(world, run, "pause")
        assert (paused.state, paused.detail) == (RunState.PAUSED, "paused by bob")
        await reached(world, run, lambda row: row.applied == 1)
        with pytest.raises(Conflict, match="nothing to pause"):
            await order(world, run, "pause")
        assert (await handle(world, run).query("progress", result_type=PolicyRunProgress)).paused
        assert await status(world, media[1]) is Status.APPROVED
        assert (await order_policy_run(world.flows, str(run.id), "resume", "bob")).shown is RunState.APPLYING
        with pytest.raises(Conflict, match="not paused"):
            await order(world, run, "resume")
        assert (await ended(world, run)).applied == 3
        assert {await status(world, media_id) for media_id in media} == {Status.REJECTED}

    async def test_cancelling_leaves_what_is_applied_and_says_so(self, world: World) -> None:
        media = [await filed(world, scores={"nudity": 0.45}) for _ in range(3)]
        live = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run = await begin(world, live, per_second=0.01)
        await previewed(world, run)
        await order(world, run, "confirm")
        await world.until(str(media[2]), Status.REJECTED)
        await order(world, run, "cancel")
        run = await ended(world, run)
        assert (run.state, run.detail) == (RunState.CANCELLED, "cancelled by bob; 1 items stay changed")
        assert [await status(world, media_id) for media_id in media[:2]] == [Status.APPROVED, Status.APPROVED]
        with pytest.raises(Conflict, match="ended already"):
            await order(world, run, "cancel")
        assert (await undone(world, run)).applied == 1

    async def test_another_librarys_run_is_unknown(self, world: World) -> None:
        run = await begin(world, await stored(world.db, world.library, STRICT, PolicyMode.LIVE))
        async with world.db.transaction() as tx:
            other = await tx.access.ensure_library(f"other-{uuid4().hex[:8]}", name="Other", settings={})
        with pytest.raises(NotFound):
            await order_run(world.db, world.flows, other, run.id, "cancel", by="eve")
        with pytest.raises(NotFound):
            await undo_run(world.db, world.flows, other, run.id, by="eve", review=DAY)
