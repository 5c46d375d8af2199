"""What steps count: each thing once, also when the step runs twice, and nothing of what did not happen."""

from collections import Counter as Amounts
from collections.abc import Mapping
from datetime import timedelta

from mediagate.evidence.keys import MemoryKeys
from mediagate.measuring import Counter, Gauge, Histogram, recorded_by
from mediagate.media.values import Verdict
from mediagate.moderation.banks import Polarity
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.vault import Vault
from tests.activities.steps import Steps, perform
from tests.activities.test_detecting_banks import again, bank, file_of
from tests.activities.test_twice import STEPS
from tests.evidence import restricted, seal
from tests.world import picture
from workflows.messages import FailureInput


class Counted:
    """A recorder that adds up counters and histograms' observations, by name and values of labels."""

    def __init__(self) -> None:
        self.by: Amounts[tuple[str, ...]] = Amounts()

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        self.by[(metric.name, *labels.values())] += amount

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Not what these tests are about."""

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        self.by[(metric.name, *labels.values())] += 1

    def of(self, *names: str) -> dict[tuple[str, ...], int]:
        """Those of these metrics."""
        return {key: amount for key, amount in self.by.items() if key[0] in names}


async def test_an_upload_that_repeats_every_step(steps: Steps) -> None:
    counted = Counted()
    with recorded_by(counted):
        media_id = await steps.world.seal(picture())
        for step in STEPS.values():
            await step(steps, media_id)
            await step(steps, media_id)
    assert counted.of("mediagate_uploads_total", "mediagate_upload_seconds", "mediagate_mails_total") == {
        ("mediagate_uploads_total", "approved"): 1,
        ("mediagate_upload_seconds", "approved"): 1,
        ("mediagate_mails_total", "sent"): 1,
    }
    assert counted.of("mediagate_decisions_total", "human_review_decisions_total", "mediagate_notifications_total") == {
        ("mediagate_decisions_total", "approve", "person", "built_in", "first"): 1,  # nobody had opened a review
        ("mediagate_notifications_total", "moderation_result"): 1,
    }


async def test_a_review_whose_opening_is_recorded_twice(steps: Steps) -> None:
    media_id = await steps.submitted()
    opening = steps.decision(media_id, verdict=Verdict.REVIEW, decided_by="gate")
    verdict = steps.decision(media_id, verdict=Verdict.REJECT, decided_by="person:ada")
    counted = Counted()
    with recorded_by(counted):
        for job in (opening, opening, verdict, verdict, opening):
            await perform(steps.projecting.record_decision, job)
    assert counted.of("mediagate_decisions_total", "human_review_decisions_total", "mediagate_review_seconds") == {
        ("mediagate_decisions_total", "review", "gate", "built_in", "first"): 1,
        ("mediagate_decisions_total", "reject", "person", "built_in", "first"): 1,
        ("human_review_decisions_total", "reject"): 1,
        ("mediagate_review_seconds",): 1,
    }


async def test_a_failure(steps: Steps) -> None:
    media_id = await steps.rendered()
    job = FailureInput(**steps.ref(media_id).model_dump(), kind="ObjectCorrupt", detail="Altered.")
    counted = Counted()
    with recorded_by(counted):
        await perform(steps.projecting.record_failure, job)
        await perform(steps.projecting.record_failure, job)
    assert counted.of("mediagate_uploads_total") == {("mediagate_uploads_total", "failed"): 1}


async def test_a_hit_of_a_hash_bank(steps: Steps) -> None:
    data = picture(seed=77)
    await bank(steps, file_of(data))
    await bank(steps, file_of(data), polarity=Polarity.GOOD, action=Verdict.APPROVE)
    media_id = await steps.world.seal(data)
    counted = Counted()
    with recorded_by(counted):
        await again(steps, media_id)
        await again(steps, media_id)
    assert counted.of("mediagate_hash_bank_hits_total") == {
        ("mediagate_hash_bank_hits_total", "sha256", "bad"): 1,
        ("mediagate_hash_bank_hits_total", "sha256", "good"): 1,
    }


async def test_evidence_that_is_sealed(steps: Steps) -> None:
    vault = Vault(MemoryKeys(), MemoryLockedStore(), timedelta(days=1))
    media_id = (await restricted(steps.world)).media_id
    counted = Counted()
    with recorded_by(counted):
        await seal(steps.world, media_id, vault=vault)
        await seal(steps.world, media_id, vault=vault)
    assert counted.of("mediagate_evidence_sealed_total") == {("mediagate_evidence_sealed_total",): 1}
