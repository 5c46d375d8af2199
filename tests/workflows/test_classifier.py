"""The local classifier's word in the run: it counts in the decision, and stands in for nobody who was asked."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.environment import whole_environment
from mediagate import classifier
from mediagate.classifier import Classification
from mediagate.errors import InvalidRequest
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.local import LocalVendor
from mediagate.vendors.memory import MemoryVendor
from tests.unit.classifier.models import RED, colour_model, jpeg, write
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import SECRET, VENDOR, GateWith, World, picture

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def word(media_id: str, verdict: str = "approve", **scores: float) -> VendorEvent:
    """The classifier's event."""
    said = Classification(scores=scores, verdict=VendorVerdict(verdict), model="colours-1", sha256="ab" * 32)
    return classifier.event(media_id, said, at=NOON)


async def put(world: World, event: VendorEvent) -> None:
    """Store it as the rendering does."""
    async with world.db.transaction() as tx:
        await tx.inbox.put_own(event)


async def tell(world: World, event: VendorEvent) -> None:
    """Store it, and hand it to the run as well."""
    await put(world, event)
    assert await world.flows.signal_moderation(event.media_id, event)


class RenamedVendor(MemoryVendor):
    """Goes by another name when it is polled than when it took the submission."""

    def __init__(self) -> None:
        super().__init__(name=VENDOR, secret=SECRET)
        self.successor = MemoryVendor(name="successor", secret=SECRET)

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        return await self.successor.poll(media_id, reference=reference)


async def findings(world: World, media_id: str) -> set[tuple[str, Any]]:
    """Who said what, as the last decision weighed it."""
    (*_, decision) = await runs.decisions(world, media_id)
    return {(f["vendor"], f["verdict"]) for f in decision.findings if f["category"] == "verdict"}


async def moderated(world: World, verdict: str, **scores: float) -> str:
    """An upload whose classifier spoke while it was rendered, and that waits for the vendor."""
    media_id = await world.seal(picture())
    await put(world, word(media_id, verdict, **scores))
    await runs.start(world, media_id)
    await runs.stage(world, media_id, Status.AWAITING_MODERATION)
    return media_id


class TestBesideAVendor:
    async def test_its_word_does_not_end_the_wait(self, world: World) -> None:
        media_id = await moderated(world, "reject", nudity=0.99)
        assert (await runs.details(world, media_id)).startswith(f"Waiting for the webhook of {VENDOR}; poll 1")
        assert await runs.decisions(world, media_id) == []

    @pytest.mark.parametrize(
        ("local", "scores", "vendor", "reason"),
        [
            ("approve", {}, "approve", "clean"),
            ("reject", {}, "approve", "vendor:reject"),
            ("approve", {}, "reject", "vendor:reject"),
            ("approve", {"csam": 0.9}, "approve", "quarantine:csam"),
        ],
    )
    async def test_both_words_are_weighed(
        self, world: World, local: str, scores: dict[str, float], vendor: str, reason: str
    ) -> None:
        media_id = await moderated(world, local, **scores)
        await world.webhook(world.event(media_id, vendor))
        assert (await world.ended(media_id))["reason"] == reason
        assert await findings(world, media_id) == {("onnx", local), (VENDOR, vendor)}

    async def test_a_doubt_of_it_asks_a_person_whom_no_further_word_relieves(self, world: World) -> None:
        media_id = await moderated(world, "review", nudity=0.6)
        await world.webhook(world.event(media_id))
        await runs.stage(world, media_id, Status.IN_REVIEW)
        await world.webhook(world.event(media_id))
        decided = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert decided.json()["decided_by"] == "person:tester"

    async def test_the_vendors_webhook_before_everything_ends_the_wait_at_once(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            await world.webhook(world.event(media_id))
            await tell(world, word(media_id, "reject"))
            async with world.workers():
                assert (await world.ended(media_id))["reason"] == "vendor:reject"
            assert await findings(world, media_id) == {("onnx", "reject"), (VENDOR, "approve")}
            assert await runs.events(world, media_id, E.EVENT_TYPE_TIMER_STARTED) == 0

    async def test_a_word_that_is_told_and_found_counts_once(self, world: World) -> None:
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        for _ in range(2):
            await tell(world, word(media_id, "reject"))
        await world.webhook(world.event(media_id))
        assert (await world.ended(media_id))["reason"] == "vendor:reject"
        (decision,) = await runs.decisions(world, media_id)
        assert [f["vendor"] for f in decision.findings] == [VENDOR, "onnx"]


class TestASilentVendor:
    async def test_its_word_leaves_the_decision_to_a_person_and_the_vendors_late_one_closes_it(
        self, hasty_world: World
    ) -> None:
        world = hasty_world
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.IN_REVIEW)
        await tell(world, word(media_id, "reject", gore=0.9))
        await runs.happened(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        assert (await runs.details(world, media_id)).startswith("In review because of vendor_silent")
        await world.webhook(world.event(media_id))
        assert (await world.ended(media_id))["reason"] == "reject:gore"

    async def test_the_decision_that_opens_the_review_shows_what_it_said(self, hasty_world: World) -> None:
        world = hasty_world
        media_id = await world.seal(picture())
        await put(world, word(media_id, "approve", nudity=0.1))
        await runs.start(world, media_id)
        await runs.stage(world, media_id, Status.IN_REVIEW)
        assert await findings(world, media_id) == {("onnx", "approve")}

    async def test_a_poll_that_finds_the_vendor_renamed_settles_as_well(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(), vendor_wait=0.1, vendor_polls=1) as world:
            media_id = await world.upload(picture())
            vendor = RenamedVendor()
            vendor.successor.answer(media_id, [{"verdict": "reject"}], now=NOON)
            async with world.workers(vendors={VENDOR: vendor}):
                assert (await world.ended(media_id))["reason"] == "vendor:reject"


class TestASubmissionThatFails:
    async def test_its_word_is_not_taken_for_the_vendors(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            world.vendor.trouble = InvalidRequest("Too strange for us.")
            media_id = await world.upload(picture())
            await tell(world, word(media_id, "approve"))
            async with world.workers():
                await runs.stage(world, media_id, Status.IN_REVIEW)
                assert (await world.media(media_id)).reason == "vendor_unavailable"
                await world.webhook(world.event(media_id))
                assert (await world.ended(media_id))["reason"] == "clean"
            assert await findings(world, media_id) == {("onnx", "approve"), (VENDOR, "approve")}


@asynccontextmanager
async def alone(gate_with: GateWith, **settings: Any) -> AsyncIterator[World]:
    """A gate without any vendor but the classifier; its workers are at work."""
    async with gate_with(roles=(), **settings) as world:
        local = world.settings.model_copy(update={"vendor_name": "onnx"})
        async with world.workers(settings=local, vendors={"onnx": LocalVendor()}):
            yield world


class TestAlone:
    @pytest.mark.parametrize(("verdict", "status"), [("approve", Status.APPROVED), ("reject", Status.REJECTED)])
    async def test_its_word_decides_without_any_wait(self, gate_with: GateWith, verdict: str, status: Status) -> None:
        async with alone(gate_with) as world:
            media_id = await world.seal(picture())
            await put(world, word(media_id, verdict))
            await runs.start(world, media_id)
            assert (await world.ended(media_id))["status"] == status
            assert await runs.events(world, media_id, E.EVENT_TYPE_TIMER_STARTED) == 0

    async def test_without_a_word_a_person_is_asked(self, gate_with: GateWith) -> None:
        async with alone(gate_with, vendor_wait=0.1, vendor_polls=1) as world:
            media_id = await world.upload(picture())
            await runs.stage(world, media_id, Status.IN_REVIEW)
            assert (await world.media(media_id)).reason == "vendor_silent"


class TestTheWorker:
    async def test_says_what_a_model_says_in_its_picture_processes(self, world: World, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        said = await world.deps.pictures.run(0, classifier.classify, config, [jpeg(RED)])
        assert said == classifier.classify(config, [jpeg(RED)])

    def test_does_not_start_with_a_model_that_it_cannot_use(self, services: dict[str, str], tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        config.model.write_bytes(b"another one")
        model = {"MODEL": str(config.model), "SHA256": config.sha256, "LABELS": str(config.labels)}
        environment = whole_environment({**services, **{f"MEDIAGATE_ONNX_{name}": v for name, v in model.items()}})
        command = [sys.executable, "-m", "worker", "--role", "cpu"]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False, env=environment
        )
        assert ended.returncode == 1
        assert "worker.not_started" in ended.stdout + ended.stderr
        assert f"and not {config.sha256} as it should" in ended.stdout + ended.stderr
