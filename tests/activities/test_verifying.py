"""The scan for malware, in the step that checks the stored object."""

import pytest
from sqlalchemy import select
from sqlmodel import col

from activities.verifying import SCAN_TRIES
from db.tables import Notification
from mediagate.errors import ScannerUnavailable
from mediagate.malware.scanner import EICAR, MemoryScanner, ScanOutcome, ScanResult
from mediagate.media.values import Refusal
from tests.activities.steps import Steps, perform
from tests.world import picture
from workflows.messages import StepResult


def with_comment(data: bytes, comment: bytes) -> bytes:
    """A JPEG with a comment segment behind its first marker: valid in every respect."""
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


HIDDEN = {
    "by itself": EICAR,
    "in a comment": with_comment(picture(), EICAR),
    "appended": picture() + EICAR,
    "in front": EICAR + picture(),
}


def scanned(steps: Steps, scanner: MemoryScanner, *, fail_closed: bool = True) -> Steps:
    """The same world with that scanner."""
    settings = steps.world.settings.model_copy(update={"clamd_fail_closed": fail_closed})
    return steps.over(scanner=scanner, settings=settings)


async def verified(steps: Steps, data: bytes, **info: object) -> tuple[str, StepResult]:
    media_id = await steps.world.seal(data)
    return media_id, await perform(steps.rendering.verify_and_render, steps.ref(media_id), **info)


async def notes(steps: Steps) -> list[Notification]:
    query = select(Notification).where(col(Notification.library_id) == steps.world.library.id)
    async with steps.world.db.transaction() as tx:
        return list((await tx.session.scalars(query)).all())


class TestScan:
    @pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN)
    async def test_malware_is_refused_by_its_name_before_anything_is_decoded(self, steps: Steps, data: bytes) -> None:
        media_id, outcome = await verified(scanned(steps, MemoryScanner()), data)
        assert (outcome.refused, outcome.detail) == (Refusal.MALWARE, "Eicar-Test-Signature")
        assert (await steps.world.media(media_id)).facts == {}

    @pytest.mark.parametrize(
        ("hidden", "refused"),
        [
            ("by itself", Refusal.UNKNOWN_TYPE),
            ("in a comment", None),
            ("appended", Refusal.TRAILING_DATA),
            ("in front", Refusal.UNKNOWN_TYPE),
        ],
    )
    async def test_what_its_signatures_do_not_know_is_left_to_the_structure(
        self, steps: Steps, hidden: str, refused: Refusal | None
    ) -> None:
        """Signatures may want the string at the file's beginning, and without a scanner there is only the structure."""
        blind = MemoryScanner()
        blind.answer = ScanResult(ScanOutcome.CLEAN)
        for given in (scanned(steps, blind), steps):
            _, outcome = await verified(given, HIDDEN[hidden])
            assert outcome.refused is refused

    async def test_a_clean_file_goes_on(self, steps: Steps) -> None:
        scanner = MemoryScanner()
        media_id, outcome = await verified(scanned(steps, scanner), picture())
        assert outcome == StepResult()
        assert scanner.scanned == [(await steps.world.media(media_id)).sha256]
        assert await notes(steps) == []

    async def test_a_file_that_is_too_large_for_it_is_unscannable(self, steps: Steps) -> None:
        _, outcome = await verified(scanned(steps, MemoryScanner(max_bytes=100)), picture())
        assert outcome.refused is Refusal.UNSCANNABLE
        assert "size limit exceeded" in outcome.detail

    async def test_a_scan_that_fails_is_tried_again_and_then_given_up(self, steps: Steps) -> None:
        scanner = MemoryScanner()
        scanner.answer = ScanResult(ScanOutcome.FAILED, "Time limit reached")
        failing = scanned(steps, scanner)
        for attempt in range(1, SCAN_TRIES):
            with pytest.raises(ScannerUnavailable, match="Time limit reached"):
                await verified(failing, picture(), attempt=attempt)
        _, outcome = await verified(failing, picture(), attempt=SCAN_TRIES)
        assert outcome.refused is Refusal.UNSCANNABLE


class TestAway:
    async def test_uploads_wait_by_default(self, steps: Steps) -> None:
        scanner = MemoryScanner()
        scanner.trouble = ScannerUnavailable()
        for attempt in (1, SCAN_TRIES + 1):
            with pytest.raises(ScannerUnavailable):
                await verified(scanned(steps, scanner), picture(), attempt=attempt)
        assert await notes(steps) == []

    @pytest.mark.parametrize("why", ["away", "failing", "too large"])
    async def test_if_told_so_they_go_on_and_admins_hear_of_it_once(self, steps: Steps, why: str) -> None:
        scanner = MemoryScanner(max_bytes=100 if why == "too large" else None)
        scanner.trouble = ScannerUnavailable() if why == "away" else None
        scanner.answer = ScanResult(ScanOutcome.FAILED, "Can't write to file") if why == "failing" else None
        going_on = scanned(steps, scanner, fail_closed=False)
        for _ in range(3):
            media_id, outcome = await verified(going_on, picture())
            assert outcome == StepResult()
            timeline = await steps.world.timeline(media_id)
            assert timeline.index("unscanned") < timeline.index("verified")
        (note,) = await notes(steps)
        assert (note.kind, note.mailed_at) == ("unscanned", None)
        assert "not scanned for malware" in note.subject
        assert "MEDIAGATE_CLAMD_FAIL_CLOSED" in note.body

    async def test_malware_never_goes_on(self, steps: Steps) -> None:
        _, outcome = await verified(scanned(steps, MemoryScanner(), fail_closed=False), EICAR)
        assert outcome.refused is Refusal.MALWARE

    async def test_a_repeat_writes_one_line(self, steps: Steps) -> None:
        scanner = MemoryScanner()
        scanner.trouble = ScannerUnavailable()
        going_on = scanned(steps, scanner, fail_closed=False)
        media_id, _ = await verified(going_on, picture())
        before = await steps.state(media_id)
        await perform(going_on.rendering.verify_and_render, steps.ref(media_id))
        assert await steps.state(media_id) == before
