"""Heartbeats, and the guard against files that end their workers."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import heartbeats
from activities.heartbeats import MAX_DEATHS
from mediagate.errors import DecoderDied, PoisonedFile, StorageUnavailable
from tests.activities.steps import perform


class Attempt:
    """One attempt under the guard; `deaths`: what the heartbeat of the one before said."""

    def __init__(self, *deaths: int) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._environment = ActivityEnvironment()
        self._environment.info = replace(self._environment.info, heartbeat_details=deaths)
        self._environment.on_heartbeat = lambda *details: self.told.append(details)

    async def run(self, error: BaseException | None = None) -> str:
        """Work that ends well, or with an error."""

        async def work() -> str:
            async with heartbeats.poison_guarded(60):
                await asyncio.sleep(0)
                if error:
                    raise error
            return "done"

        return await self._environment.run(work)


class TestEvery:
    async def test_beats_with_its_details_while_the_block_runs(self) -> None:
        beats: list[tuple[object, ...]] = []
        beaten = asyncio.Event()
        environment = ActivityEnvironment()

        def note(*details: object) -> None:
            beats.append(details)
            if len(beats) == 3:
                beaten.set()

        environment.on_heartbeat = note

        async def work() -> None:
            async with heartbeats.every(0.001, "half"):
                await beaten.wait()

        await environment.run(work)
        assert beats[:3] == [("half",)] * 3

    async def test_stops_with_the_block(self) -> None:
        async def work() -> int:
            before = len(asyncio.all_tasks())
            async with heartbeats.every(60):
                pass
            return len(asyncio.all_tasks()) - before

        assert await perform(work) == 0


class TestPoisonGuard:
    async def test_a_first_attempt_says_that_it_would_be_the_first_death(self) -> None:
        attempt = Attempt()
        assert await attempt.run() == "done"
        assert attempt.told == [(1,)]

    @pytest.mark.parametrize("deaths", range(1, MAX_DEATHS))
    async def test_attempts_that_ended_without_a_word_are_counted(self, deaths: int) -> None:
        attempt = Attempt(deaths)
        assert await attempt.run() == "done"
        assert attempt.told == [(deaths + 1,)]

    async def test_after_too_many_the_file_is_not_touched_again(self) -> None:
        attempt = Attempt(MAX_DEATHS)
        with pytest.raises(PoisonedFile):
            await attempt.run(AssertionError("The file was touched."))
        assert attempt.told == []

    async def test_a_decoder_that_died_counts_like_a_worker_that_did(self) -> None:
        attempt = Attempt(1)
        with pytest.raises(DecoderDied):
            await attempt.run(DecoderDied())
        assert attempt.told == [(2,), (2,)]

    @pytest.mark.parametrize("error", [StorageUnavailable(), ValueError("a bug"), asyncio.CancelledError()])
    async def test_an_attempt_that_says_how_it_ended_is_no_death(self, error: BaseException) -> None:
        attempt = Attempt(2)
        with pytest.raises(type(error)):
            await attempt.run(error)
        assert attempt.told == [(3,), (2,)]
