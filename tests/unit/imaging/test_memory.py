"""Admission by bytes: bounded, fair, never stuck."""

import signal
import threading

import pytest

from mediagate.imaging import MemoryBudget

PATIENCE = 10.0


def wait_until(budget: MemoryBudget, waiting: int) -> None:
    tick = threading.Event()
    for _ in range(1000):
        if budget.waiting == waiting:
            return
        tick.wait(0.01)
    pytest.fail(f"never saw {waiting} waiting")


class Work(threading.Thread):
    """Takes bytes, says that it is in, and stays until it is let go."""

    def __init__(self, budget: MemoryBudget, nbytes: int) -> None:
        super().__init__(daemon=True)
        self._budget, self._nbytes = budget, nbytes
        self.inside, self.let_go = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._budget.admit(self._nbytes):
            self.inside.set()
            self.let_go.wait(PATIENCE)

    def finish(self) -> None:
        self.let_go.set()
        self.join(PATIENCE)
        assert not self.is_alive()


class TestMemoryBudget:
    def test_work_that_fits_runs_together(self) -> None:
        budget = MemoryBudget(100)
        with budget.admit(60), budget.admit(40):
            assert budget.waiting == 0

    def test_work_that_does_not_fit_waits(self) -> None:
        budget = MemoryBudget(100)
        first, second = Work(budget, 60), None
        assert first.inside.wait(PATIENCE)
        second = Work(budget, 41)
        wait_until(budget, 1)
        assert not second.inside.is_set()
        first.finish()
        assert second.inside.wait(PATIENCE)
        second.finish()

    def test_larger_than_the_budget_runs_alone(self) -> None:
        budget = MemoryBudget(100)
        small = Work(budget, 1)
        assert small.inside.wait(PATIENCE)
        large = Work(budget, 1000)
        wait_until(budget, 1)
        assert not large.inside.is_set()
        small.finish()
        assert large.inside.wait(PATIENCE)
        after = Work(budget, 1)
        wait_until(budget, 1)
        large.finish()
        assert after.inside.wait(PATIENCE)
        after.finish()

    def test_small_work_does_not_overtake_large(self) -> None:
        budget = MemoryBudget(100)
        running = Work(budget, 50)
        assert running.inside.wait(PATIENCE)
        large = Work(budget, 80)
        wait_until(budget, 1)
        small = Work(budget, 30)
        wait_until(budget, 2)
        assert not small.inside.is_set()
        running.finish()
        assert large.inside.wait(PATIENCE)
        assert not small.inside.is_set()
        large.finish()
        assert small.inside.wait(PATIENCE)
        small.finish()

    def test_bytes_come_back_after_an_error(self) -> None:
        budget = MemoryBudget(100)
        with pytest.raises(ValueError, match="bad"), budget.admit(100):
            raise ValueError("bad")
        with budget.admit(100):
            assert budget.waiting == 0

    def test_interrupted_wait_leaves_the_queue(self) -> None:
        budget = MemoryBudget(100)
        running = Work(budget, 100)
        assert running.inside.wait(PATIENCE)

        def interrupt(*_: object) -> None:
            raise InterruptedError

        def send() -> None:
            wait_until(budget, 1)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        # Only a signal ends a wait, and Python handles it in the main thread, which is this one.
        before = signal.signal(signal.SIGUSR1, interrupt)
        sender = threading.Thread(target=send)
        try:
            sender.start()
            with pytest.raises(InterruptedError), budget.admit(100):
                pytest.fail("was admitted")
        finally:
            sender.join(PATIENCE)
            signal.signal(signal.SIGUSR1, before)
        behind = Work(budget, 10)
        wait_until(budget, 1)
        running.finish()
        assert behind.inside.wait(PATIENCE)
        behind.finish()

    def test_budget_is_never_exceeded(self) -> None:
        budget, lock = MemoryBudget(100), threading.Lock()
        used, peaks = [0], list[int]()

        def work(nbytes: int) -> None:
            for _ in range(50):
                with budget.admit(nbytes):
                    with lock:
                        used[0] += nbytes
                        peaks.append(used[0])
                    with lock:
                        used[0] -= nbytes

        threads = [threading.Thread(target=work, args=(n,)) for n in (10, 30, 50, 70, 90)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(peaks) == 250
        assert max(peaks) <= 100
