"""What a real scrape of a worker tells after known events, and which names of others are really served."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mediagate import __version__, metrics
from mediagate.errors import StorageUnavailable
from mediagate.measuring import Histogram, Home
from mediagate.media.values import Status
from mediagate.storage.store import ObjectStore
from tests.scraping import Scrape, free_address, measured, scrape
from tests.stores import LayeredStore
from tests.unit.observability.names import SDK, SERVER, checked
from tests.workflows.runs import until
from tests.world import VENDOR, GateWith, World, picture
from workflows.messages import SweepInput


@workflow.defn
class FailingWorkflow:
    """Ends as failed."""

    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("On purpose.")


@workflow.defn
class BrokenWorkflow:
    """Has a defect: its task fails, and is tried again."""

    @workflow.run
    async def run(self) -> None:
        raise ValueError("On purpose.")


class Moved:
    """What changed between two scrapes, but for times and sums."""

    def __init__(self, before: Scrape, after: Scrape) -> None:
        old = self._counts(before)
        self.by = {key: value - old.get(key, 0) for key, value in self._counts(after).items()}

    @staticmethod
    def _counts(found: Scrape) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        counted = [sample for sample in found.samples if sample.name.endswith(("_total", "_count"))]
        for sample in counted:
            sample.labels.pop("service_name", None)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in counted}

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """By values of labels, in the order of their names; only what moved."""
        found = {key[1]: value for key, value in self.by.items() if key[0] == name and value}
        return {tuple(value for _, value in sorted(labels)): amount for labels, amount in found.items()}


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
async def watched(gate_with: GateWith, services: dict[str, str], address: str) -> AsyncIterator[World]:
    """A world whose workers serve their metrics at `address`."""
    async with gate_with(roles=()) as opened, measured(opened, services, address) as world:
        yield world


async def decided(world: World, verdict: str, **fields: object) -> str:
    """An upload about which the vendor says this; its run has ended."""
    media_id = await world.upload(picture())
    await world.until(media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id, verdict, **fields))
    await world.ended(media_id)
    return media_id


async def test_one_approved_and_one_rejected(watched: World, address: str) -> None:
    before = await scrape(address)
    ids = [await decided(watched, "approve", scores={"nudity": 0.02, "made_up": 0.03})]
    ids.append(await decided(watched, "reject", scores={"nudity": 0.97}))
    after = await scrape(address)
    moved = Moved(before, after)
    assert moved.of("mediagate_uploads_total") == {("approved",): 1, ("rejected",): 1}
    assert moved.of("mediagate_upload_seconds_count") == {("approved",): 1, ("rejected",): 1}
    assert moved.of("mediagate_decisions_total") == {
        ("policy", "built_in", "first", "approve"): 1,
        ("policy", "built_in", "first", "reject"): 1,
    }
    assert moved.of("moderation_requests_total") == {("submit", "answered", VENDOR): 2}
    assert moved.of("moderation_request_duration_seconds_count") == {(VENDOR,): 2}
    assert moved.of("moderation_confidence_score_count") == {("nudity", VENDOR): 2, ("other", VENDOR): 1}
    assert moved.of("mediagate_mails_total") == {("sent",): 2}
    assert sum(moved.of("mediagate_notifications_total").values()) == 2
    assert moved.of("vendor_api_errors_total") == {}
    assert moved.of("human_review_decisions_total") == {}
    assert moved.of("mediagate_high_risk_content_total") == {}
    assert {outcome for outcome, _ in moved.of("mediagate_step_seconds_count")} == {"done"}
    assert moved.of("mediagate_step_seconds_count")[("done", "file_media")] == 2
    assert moved.of("mediagate_step_failures_total") == moved.of("mediagate_step_retries_total") == {}
    assert (after.value("mediagate_store_bytes_total", direction="written") or 0) > 0
    assert (after.value("mediagate_disk_free_bytes") or 0) <= (after.value("mediagate_disk_size_bytes") or 0)
    assert after.value("mediagate_build_info", version=__version__) == 1
    for secret in (*ids, watched.library.slug):
        assert secret not in after.text


async def test_a_review_that_a_person_ends(watched: World, address: str) -> None:
    before = await scrape(address)
    media_id = await watched.upload(picture())
    await watched.until(media_id, Status.AWAITING_MODERATION)
    await watched.webhook(watched.event(media_id, "review", scores={"nudity": 0.5}))
    await watched.until(media_id, Status.IN_REVIEW)
    opened = Moved(before, await scrape(address))
    answer = await watched.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "reject"})
    assert answer.status_code == 200, answer.text
    await watched.ended(media_id)
    moved = Moved(before, await scrape(address))
    assert opened.of("human_review_decisions_total") == {}
    assert opened.of("moderation_confidence_score_count") == {("nudity", VENDOR): 1}
    assert moved.of("moderation_confidence_score_count") == {("nudity", VENDOR): 1}  # weighed once
    assert moved.of("human_review_decisions_total") == {("reject",): 1}
    assert moved.of("mediagate_review_seconds_count") == {(): 1}
    assert moved.of("mediagate_decisions_total") == {
        ("policy", "built_in", "first", "review"): 1,
        ("person", "built_in", "first", "reject"): 1,
    }


async def test_content_of_high_risk(watched: World, address: str) -> None:
    before = await scrape(address)
    media_id = await decided(watched, "reject", scores={"csam": 0.99})
    assert (await watched.media(media_id)).status is Status.QUARANTINED
    moved = Moved(before, await scrape(address))
    assert moved.of("mediagate_high_risk_content_total") == {("csam",): 1}
    assert moved.of("mediagate_uploads_total") == {("quarantined",): 1}


class Refusing(LayeredStore):
    """A store that copies nothing for a while."""

    def __init__(self, inner: ObjectStore, times: int) -> None:
        super().__init__(inner)
        self._left = times

    async def before(self, call: str, key: str) -> None:
        if call == "copy" and self._left:
            self._left -= 1
            raise StorageUnavailable(retry_after=0.1)


async def test_a_step_that_fails_and_is_tried_again(
    gate_with: GateWith, services: dict[str, str], address: str
) -> None:
    async with gate_with(roles=()) as opened:
        refusing = Refusing(opened.store, times=2)
        lamed = replace(opened, deps=replace(opened.deps, store=refusing))
        async with measured(lamed, services, address) as world:
            before = await scrape(address)
            await decided(world, "approve")
            moved = Moved(before, await scrape(address))
    assert moved.of("mediagate_step_failures_total") == {("storage_unavailable", "file_media"): 2}
    assert moved.of("mediagate_step_retries_total") == {("file_media",): 2}
    assert moved.of("mediagate_step_seconds_count")[("failed", "file_media")] == 2
    assert moved.of("mediagate_uploads_total") == {("approved",): 1}


async def test_a_sweep(watched: World, address: str) -> None:
    assert (await scrape(address)).value("mediagate_sweep_completed_timestamp_seconds") is None
    handle = await watched.client.start_workflow(
        "SweepWorkflow", SweepInput(), id=f"sweep-{uuid4()}", task_queue=f"{watched.flows.prefix}-flow"
    )
    await handle.result()
    found = await scrape(address)
    assert found.value("mediagate_sweep_completed_timestamp_seconds") == pytest.approx(
        (await handle.describe()).close_time.timestamp(),  # type: ignore[union-attr]
        abs=5,
    )
    assert found.value("mediagate_swept_total", what="cleared") is not None


async def test_counters_begin_at_zero_with_every_series_that_can_be_named(watched: World, address: str) -> None:
    found = await scrape(address)
    assert found.value("moderation_requests_total", vendor=VENDOR, call="submit", outcome="failed") == 0
    assert found.value("vendor_api_errors_total", vendor=VENDOR, kind="timeout") == 0
    assert found.value("appeals_overturned_total") == 0
    assert found.value("reputation_changes_total", direction="down") == 0
    assert watched.settings.vendor_names == (VENDOR,)


async def test_promtool_finds_no_fault_with_names_of_ours(watched: World, address: str) -> None:
    await decided(watched, "approve")
    ours = {metric.name for metric in metrics.CATALOGUE if metric.home is not Home.API}
    text = (await scrape(address)).text
    families = [part for part in ("\n" + text).split("\n# HELP ") if part.split(" ", 1)[0] in ours]
    assert len(families) > 20
    own = "".join(f"# HELP {family}\n" for family in families)
    assert await asyncio.to_thread(checked, "check", "metrics", given=own) == ""


async def test_buckets_are_those_of_the_catalogue(watched: World, address: str) -> None:
    await decided(watched, "approve", scores={"nudity": 0.02})
    found = await scrape(address)
    for metric in (metrics.STEP_SECONDS, metrics.MODERATION_CONFIDENCE, metrics.UPLOAD_SECONDS):
        assert isinstance(metric, Histogram)
        bounds = {sample.labels["le"] for sample in found.samples if sample.name == f"{metric.name}_bucket"}
        assert {float(bound) for bound in bounds if bound != "+Inf"} == set(metric.buckets)


async def test_the_names_of_others_that_rules_and_dashboards_use(watched: World, address: str) -> None:
    await decided(watched, "approve")
    queue = f"others-{uuid4().hex[:8]}"
    # Without a cache of runs, each task begins with a replay.
    workflows = [FailingWorkflow, BrokenWorkflow]
    runner = UnsandboxedWorkflowRunner()  # this module imports the world
    async with Worker(
        watched.client, task_queue=queue, workflows=workflows, workflow_runner=runner, max_cached_workflows=0
    ):
        with pytest.raises(WorkflowFailureError):
            await watched.client.execute_workflow(FailingWorkflow.run, id=f"failing-{uuid4()}", task_queue=queue)
        broken = await watched.client.start_workflow(BrokenWorkflow.run, id=f"broken-{uuid4()}", task_queue=queue)
        with pytest.raises(RPCError):
            await watched.client.get_workflow_handle(f"nothing-{uuid4()}").describe()

        async def all_there() -> bool:
            return (await scrape(address)).names >= SDK

        await until(all_there)
        await broken.terminate("seen")
    found = await scrape(address)
    assert found.value("temporal_workflow_task_execution_failed", workflow_type="BrokenWorkflow") is not None
    reasons = {s.labels["failure_reason"] for s in found.samples if s.name == "temporal_workflow_task_execution_failed"}
    assert reasons == {"WorkflowError"}
    ports = json.loads((Path(os.environ["MEDIAGATE_TEST_FOLDER"]) / "ports.json").read_text())

    async def served() -> bool:
        return (await scrape(f"127.0.0.1:{ports['temporal-metrics']}")).names >= SERVER

    await until(served)
