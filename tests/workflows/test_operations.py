"""Operators' commands on open runs, on the real server: what is stuck, taking hold of it, many at once, histories."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli.runs.commands import app
from db.repositories.audit import Actor
from db.session import Database
from mediagate.errors import DatabaseUnavailable, InvalidRequest, NotFound, VendorUnavailable
from mediagate.evidence.chain import Chain
from mediagate.media.values import Status, Verdict
from mediagate.settings import Settings
from tests.evidence import sealing_keys
from tests.workflows import runs
from tests.workflows.operating import Operator, on_record
from tests.world import GateWith, World, picture
from workflows.messages import HumanDecision, SweepInput, UploadInput, UploadResult
from workflows.names import Role, task_queue
from workflows.operations.batches import FASTEST, Act, Batches, Order
from workflows.operations.operator import Operations

# Only one batch operation may be at work in the namespace that all test processes share.
pytestmark = pytest.mark.xdist_group("batches")


@pytest.fixture
def operate(services: dict[str, str], stack_settings: Settings, tmp_path: Path) -> Operator:
    return Operator.of(app, services, stack_settings, tmp_path)


@pytest.fixture
async def unanswered(world: World) -> AsyncIterator[str]:
    """An upload whose submission is tried again and again, because the vendor is away."""
    world.vendor.trouble = VendorUnavailable(retry_after=600)
    media_id = await world.upload(picture())
    await runs.retried(world, media_id, "submit_for_moderation")
    yield media_id
    await world.run(media_id).terminate()


@workflow.defn(name="UploadWorkflow", sandboxed=False)
class UploadThatFails:
    """Has a bug."""

    @workflow.run
    async def run(self, upload: UploadInput) -> UploadResult:
        raise RuntimeError(f"{upload.library} is wrong")


class TestStuck:
    async def test_a_retry_loop_is_listed_with_its_reason_and_the_command_that_ends_it(
        self, world: World, operate: Operator, unanswered: str
    ) -> None:
        asked = ("stuck", "--library", world.library.slug, "--attempts", "2")
        found = await operate.until(lambda said: said["runs"], *asked)
        (trouble,) = found["runs"][0]["troubles"]
        assert (trouble["kind"], trouble["reason"]) == (
            "retrying",
            f"submit is at attempt 2: VendorUnavailable: {VendorUnavailable().message}",
        )
        world.vendor.trouble = None
        done = await operate(*trouble["command"].removeprefix("mediagate runs ").split())
        assert (done.code, (await operate(*asked)).code) == (0, 0)
        await runs.stage(world, unanswered, Status.AWAITING_MODERATION)

    async def test_code_that_fails_is_told_with_its_failure(self, gate_with: GateWith, operate: Operator) -> None:
        async with gate_with(roles=(Role.IO,)) as world:
            media_id = await world.seal(b"any")
            await runs.start(world, media_id)
            broken = Worker(
                world.client,
                task_queue=task_queue(world.flows.prefix, Role.FLOW),
                workflows=[UploadThatFails],
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
            async with broken:
                found = await operate.until(lambda said: said["runs"], "stuck", "--library", world.library.slug)
            (trouble,) = found["runs"][0]["troubles"]
            assert trouble["kind"] == "code fails"
            assert trouble["reason"].endswith(f"RuntimeError: {world.library.slug} is wrong")
            await world.run(media_id).terminate()

    async def test_a_paused_activity_is_listed_until_it_goes_on(
        self, world: World, operate: Operator, unanswered: str
    ) -> None:
        said = await operate("unstick", unanswered, "--pause", "--reason", "vendor moves", "--yes", "--by", "ada")
        assert said.code == 0
        asked = ("stuck", "--library", world.library.slug)
        found = await operate.until(lambda said: said["runs"], *asked)
        (trouble,) = found["runs"][0]["troubles"]
        assert (trouble["kind"], trouble["reason"].endswith(": vendor moves")) == ("paused", True)
        world.vendor.trouble = None
        await operate(*trouble["command"].removeprefix("mediagate runs ").split())
        await runs.stage(world, unanswered, Status.AWAITING_MODERATION)
        paused, unpaused = await on_record(world, subject=f"run:media-{unanswered}")
        assert (paused.actor, paused.reason, paused.document["do"]) == ("ada", "vendor moves", "pause")
        assert (unpaused.action, unpaused.document["do"]) == ("run.unstick", "unpause")


class TestUnstick:
    async def test_options_are_changed_and_taken_back(self, world: World, operate: Operator, unanswered: str) -> None:
        given = ("--timeout", "7m", "--max-attempts", "9", "--priority", "1")
        plan = await operate("unstick", unanswered, *given, "--json")
        assert (plan.code, plan.json["done"], await options(world, unanswered)) == (0, False, (30, 0, 0))
        await operate("unstick", unanswered, *given, "--yes")
        assert await options(world, unanswered) == (420, 9, 1)
        await runs.retried(world, unanswered, "submit_for_moderation")
        await operate("unstick", unanswered, "--restore", "--yes")
        assert (await options(world, unanswered))[:2] == (30, 0)

    async def test_what_is_not_pending_is_refused_with_what_is(self, operate: Operator, unanswered: str) -> None:
        with pytest.raises(NotFound, match=r"activity of file_media; pending: submit_for_moderation \(attempt"):
            await operate("unstick", unanswered, "--activity", "file", "--yes")

    async def test_without_the_database_nothing_is_done(self, world: World, operate: Operator, unanswered: str) -> None:
        cut = Operator(app, operate.environment | {"MEDIAGATE_DATABASE_URL": "postgresql://postgres@127.0.0.1:9/none"})
        for command in (("unstick", unanswered, "--pause"), ("cancel", unanswered)):
            with pytest.raises(DatabaseUnavailable, match="nothing was done"):
                await cut(*command, "--yes")
        (pending,) = (await Operations(world.client).describe(f"media-{unanswered}")).pending
        assert (pending.paused, pending.state) == (False, "waiting")


class TestWaiting:
    async def test_who_is_waited_for_and_until_when(self, world: World, operate: Operator) -> None:
        vendor, person = await runs.to_moderation(world), await runs.to_review(world)
        here = ("--library", world.library.slug)
        found = await operate.until(lambda said: len(said["runs"]) == 2, "waiting", *here)
        waits = {run["workflow_id"]: run["wait"] for run in found["runs"]}
        of_vendor, of_person = waits[f"media-{vendor}"], waits[f"media-{person}"]
        assert (of_vendor["for"], of_vendor["what"]) == ("vendor", "webhook of memory, then poll 1")
        assert of_person["for"] == "person"
        assert of_vendor["until"] < of_person["until"]
        alone = (await operate("waiting", "--for", "person", *here, "--json")).json
        assert [run["workflow_id"] for run in alone["runs"]] == [f"media-{person}"]


class TestBulk:
    async def test_a_dry_run_shows_the_runs_and_the_act_ends_all_of_them(self, world: World, operate: Operator) -> None:
        media_ids = {await runs.to_moderation(world) for _ in range(3)}
        await operate.until(lambda said: len(said["runs"]) == 3, "waiting", "--library", world.library.slug)
        asked = ("bulk", "cancel", "--library", world.library.slug, "--stage", "awaiting_moderation")
        plan = (await operate(*asked, "--json")).json
        assert (plan["done"], plan["carried_out"], len(plan["runs"])) == (0, False, 3)
        assert await statuses(world, media_ids) == {WorkflowExecutionStatus.RUNNING}
        two = (await operate(*asked, "--limit", "2", "--yes", "--json")).json
        assert (two["done"], two["failed"], two["complete"]) == (2, 0, False)
        for run in two["runs"]:
            with pytest.raises(WorkflowFailureError):
                await world.ended(run["workflow_id"].removeprefix("media-"))
        one = (await operate(*asked, "--yes", "--json")).json
        assert (one["done"], one["complete"]) == (1, True)
        for media_id in media_ids:
            with pytest.raises(WorkflowFailureError):
                await world.ended(media_id)
        acts = await on_record(world, action="run.bulk.cancel")
        operation, *single = [act for act in acts if act.document["job_id"] == two["jobs"][0].rpartition("-")[0]]
        assert operation.document["query"].startswith(f"Library = '{world.library.slug}'")
        assert (operation.document["count"], len(single)) == (2, 2)
        listed = (await operate("batches", "list", "--json")).json
        assert {*two["jobs"], *one["jobs"]} <= {batch["job_id"] for batch in listed}

    async def test_nothing_fits(self, world: World, operate: Operator) -> None:
        assert (await operate("bulk", "terminate", "--library", world.library.slug, "--yes")).code == 3

    async def test_activities_are_given_options_and_tried_at_once(
        self, world: World, operate: Operator, unanswered: str
    ) -> None:
        which = ("--library", world.library.slug, "--activity", "submit", "--yes", "--json")
        changed = (await operate("bulk", "set-options", "--timeout", "5m", *which)).json
        assert (changed["done"], (await options(world, unanswered))[0]) == (1, 300)
        world.vendor.trouble = None
        assert (await operate("bulk", "retry-activities", *which)).json["done"] == 1
        await runs.stage(world, unanswered, Status.AWAITING_MODERATION)

    async def test_paused_activities_go_on(self, world: World, operate: Operator, unanswered: str) -> None:
        await operate("unstick", unanswered, "--pause", "--yes")
        world.vendor.trouble = None
        assert (await operate("bulk", "unpause", "--library", world.library.slug, "--yes", "--json")).json["done"] == 1
        await runs.stage(world, unanswered, Status.AWAITING_MODERATION)

    async def test_a_signal_and_a_reset_and_the_end(self, world: World, operate: Operator) -> None:
        media_id = await runs.to_moderation(world)
        here = ("--library", world.library.slug, "--yes", "--json")
        event = json.dumps(world.event(media_id, "review", scores={"nudity": 0.6}))
        signal = ("--signal", "moderation_event", "--input", event)
        assert (await operate("bulk", "signal", *signal, *here)).json["done"] == 1
        await runs.stage(world, media_id, Status.IN_REVIEW)
        before = (await world.run(media_id).describe()).run_id
        assert (await operate("bulk", "reset", "--status", "running", *here)).json["done"] == 1
        await runs.stage(world, media_id, Status.IN_REVIEW)
        assert (await world.run(media_id).describe()).run_id != before
        assert (await operate("bulk", "terminate", *here)).json["done"] == 1
        assert await statuses(world, {media_id}) == {WorkflowExecutionStatus.TERMINATED}
        noted = [act.data for act in await on_record(world, action="run.bulk.signal")]
        assert "nudity" not in "".join(noted)

    async def test_an_operation_is_stopped_on_its_way(self, world: World, operate: Operator) -> None:
        batches, job_id = Batches(world.client), uuid4().hex
        known = (await Operations(world.client).describe(f"media-{await runs.to_moderation(world)}"),)
        gone = [replace(known[0], workflow_id=f"media-{uuid4()}", run_id=str(uuid4())) for _ in range(FASTEST * 20)]
        await batches.start(Order(Act.TERMINATE), gone, job_id=job_id, reason="test")
        stopped = (await operate("batches", "stop", job_id, "--by", "ada", "--json")).json
        assert (stopped["state"], stopped["done"] < len(gone)) == ("failed", True)
        (act,) = await on_record(world, subject=f"runs:{job_id}")
        assert (act.action, act.actor) == ("run.bulk.stop", "ada")
        with pytest.raises(NotFound, match="at work"):
            await operate("batches", "stop", job_id)


class TestReset:
    async def test_many_are_taken_back_to_a_step_at_once(self, world: World, operate: Operator) -> None:
        media_ids = [await runs.to_moderation(world) for _ in range(2)]
        fits = ("--query", "MediaStage = 'awaiting_moderation'", "--library", world.library.slug)
        await operate.until(lambda said: len(said["runs"]) == 2, "reset", "--to", "submit", *fits)
        done = await operate("reset", "--to", "submit", *fits, "--yes", "--json")
        assert {run["result"] for run in done.json["runs"]} == {"reset"}
        for media_id in media_ids:
            await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            await world.webhook(world.event(media_id))
            assert (await world.ended(media_id))["status"] == Status.APPROVED
            assert len(await runs.decisions(world, media_id)) == 1


class TestHistories:
    async def test_an_export_holds_nothing_that_people_wrote_and_is_still_understood(
        self, world: World, operate: Operator, tmp_path: Path
    ) -> None:
        media_id = await world.upload(picture(), filename="bride and groom.jpg", caption="Our wedding in Rome")
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        raw = {"url": "https://cdn.example/secret", "token": "t0ps3cret"}
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}, labels=["A bride"], raw=raw))
        await runs.stage(world, media_id, Status.IN_REVIEW)
        decision = HumanDecision(verdict=Verdict.APPROVE, reviewer="grace.hopper", note="It is art")
        await world.flows.decide(media_id, decision)
        await world.ended(media_id)
        out = tmp_path / "histories"
        assert (await operate("export", media_id, "--out", str(out))).code == 0
        (file,) = out.iterdir()
        text = plain(file.read_text())
        for word in ("bride", "wedding", "Rome", "https:", "t0ps3cret", "grace", "It is", "@", "site-packages"):
            assert word not in text
        assert media_id in text
        checked = (await operate("check", str(out), "--json")).json["histories"]
        assert [(one["workflow_id"], one["outcome"]) for one in checked] == [(f"media-{media_id}", "fits")]
        live = await operate("check", media_id)
        assert live.code == 0

    async def test_what_is_no_history_is_refused(self, operate: Operator, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("{}")
        with pytest.raises(InvalidRequest, match="is no history"):
            await operate("check", str(tmp_path / "x.json"))


class TestTrail:
    @pytest.fixture
    def db(self, own_db: Database) -> Database:
        return own_db

    async def test_a_sweep_notes_the_end_of_the_audit_trail_where_nobody_can_change_it(
        self, gate_with: GateWith
    ) -> None:
        own = f"audit-{uuid4().hex[:12]}"
        async with gate_with(evidence_keys=sealing_keys(), evidence_bucket=own) as world:
            async with world.db.transaction() as tx:
                record = await tx.audit.note("test.done", "test:1", Actor("ada", "cli:ada"))
            await runs.sweep(world, SweepInput())
            assert world.deps.vault
            assert await world.deps.vault.checkpoints(Chain.AUDIT) == {record.seq: {record.hash}}


async def options(world: World, media_id: str) -> tuple[int, int, int]:
    """Time for an attempt in seconds, most attempts, priority of the one pending activity."""
    described = await world.run(media_id).describe()
    (pending,) = described.raw_description.pending_activities
    given = pending.activity_options
    return given.start_to_close_timeout.seconds, given.retry_policy.maximum_attempts, given.priority.priority_key


async def statuses(world: World, media_ids: set[str]) -> set[WorkflowExecutionStatus | None]:
    """How the runs of these stand."""
    described = await asyncio.gather(*(world.run(one).describe() for one in media_ids))
    return {one.status for one in described}


def plain(history: str) -> str:
    """A history with its payloads in clear."""
    payloads = re.findall(r'"data": ?"([A-Za-z0-9+/=]*)"', history)
    return "\n".join([history, *(base64.b64decode(one).decode() for one in payloads)])
