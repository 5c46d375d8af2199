"""When a breaker lets calls through, and what reports of calls do to it."""

from datetime import UTC, datetime, timedelta

import pytest

from mediagate.vendors import breaker
from mediagate.vendors.breaker import PROBE_PATIENCE, Breaker, BreakerRules, BreakerState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = BreakerRules(failures=3, rest=timedelta(seconds=30))
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def resting(*, turn: int = 1) -> Breaker:
    """Opened at noon by three failures."""
    return Breaker(state=OPEN, failures=3, until=at(30), turn=turn)


def probing(*, turn: int = 2) -> Breaker:
    """Its probe began at noon."""
    return Breaker(state=HALF_OPEN, failures=3, until=NOON + PROBE_PATIENCE, turn=turn)


HELD = Breaker(state=OPEN, failures=1, until=None, turn=4)
PATIENCE = PROBE_PATIENCE.total_seconds()


class TestAdmit:
    @pytest.mark.parametrize(
        ("given", "seconds", "state", "turn", "ask_again"),
        [
            pytest.param(Breaker(), 0, CLOSED, 0, None, id="closed"),
            pytest.param(Breaker(failures=2), 0, CLOSED, 0, None, id="closed after failures"),
            pytest.param(resting(), 0, OPEN, 1, 30, id="just opened"),
            pytest.param(resting(), 29.9, OPEN, 1, 30, id="at the end of its rest"),
            pytest.param(resting(), 30, HALF_OPEN, 2, None, id="rested: a probe"),
            pytest.param(resting(), 86_400, HALF_OPEN, 2, None, id="rested long ago: a probe"),
            pytest.param(probing(), 1, HALF_OPEN, 2, 6, id="one probe at a time"),
            pytest.param(probing(), PATIENCE - 1, HALF_OPEN, 2, PATIENCE, id="the probe is nearly given up"),
            pytest.param(probing(), PATIENCE, HALF_OPEN, 3, None, id="the probe is given up: another one"),
            pytest.param(HELD, 0, OPEN, 4, 30, id="held open"),
            pytest.param(HELD, 86_400, OPEN, 4, 86_430, id="held open for a day"),
        ],
    )
    def test_who_is_let_through(
        self, given: Breaker, seconds: float, state: BreakerState, turn: int, ask_again: float | None
    ) -> None:
        admission = breaker.admit(given, RULES, at(seconds))
        assert (admission.breaker.state, admission.breaker.turn) == (state, turn)
        assert admission.ask_again == (None if ask_again is None else at(ask_again))

    def test_a_refusal_changes_nothing(self) -> None:
        for given in (resting(), probing(), HELD):
            assert breaker.admit(given, RULES, at(1)).breaker is given


class TestFailed:
    @pytest.mark.parametrize(
        ("given", "turn", "expected"),
        [
            pytest.param(Breaker(), 0, Breaker(failures=1), id="the first"),
            pytest.param(Breaker(failures=1), 0, Breaker(failures=2), id="the last that it bears"),
            pytest.param(Breaker(failures=2), 0, Breaker(state=OPEN, failures=3, until=at(30), turn=1), id="it opens"),
            pytest.param(probing(), 2, Breaker(state=OPEN, failures=4, until=at(30), turn=3), id="the probe"),
            pytest.param(probing(), 1, probing(), id="a probe that was given up"),
            pytest.param(resting(), 0, resting(), id="a call from before it opened"),
            pytest.param(Breaker(turn=5), 4, Breaker(turn=5), id="a call from before it was closed"),
            pytest.param(HELD, 3, HELD, id="a call from before it was held"),
        ],
    )
    def test_what_a_failure_does(self, given: Breaker, turn: int, expected: Breaker) -> None:
        assert breaker.failed(given, turn, RULES, NOON) == expected

    @pytest.mark.parametrize(("retry_after", "seconds"), [(None, 30), (5.0, 30), (300.0, 300)])
    def test_it_rests_at_least_as_long_as_the_vendor_asks_for(self, retry_after: float | None, seconds: float) -> None:
        opened = breaker.failed(Breaker(failures=2), 0, RULES, NOON, retry_after=retry_after)
        assert opened.until == at(seconds)


class TestSucceeded:
    @pytest.mark.parametrize(
        ("given", "turn", "expected"),
        [
            pytest.param(Breaker(turn=7), 7, Breaker(turn=7), id="no news"),
            pytest.param(Breaker(failures=2), 0, Breaker(), id="failures are forgotten"),
            pytest.param(probing(), 2, Breaker(turn=3), id="the probe closes it"),
            pytest.param(probing(), 1, probing(), id="a probe that was given up"),
            pytest.param(resting(), 0, resting(), id="a call from before it opened"),
            pytest.param(HELD, 3, HELD, id="a call from before it was held"),
        ],
    )
    def test_what_a_success_does(self, given: Breaker, turn: int, expected: Breaker) -> None:
        assert breaker.succeeded(given, turn) == expected


class TestWithdrawn:
    @pytest.mark.parametrize(
        ("given", "turn", "expected"),
        [
            pytest.param(Breaker(failures=2), 0, Breaker(failures=2), id="while closed nothing"),
            pytest.param(probing(), 2, Breaker(state=OPEN, failures=3, until=NOON, turn=3), id="the probe"),
            pytest.param(probing(), 1, probing(), id="a probe that was given up"),
            pytest.param(resting(), 1, resting(), id="while it rests nothing"),
        ],
    )
    def test_what_a_call_does_that_says_nothing(self, given: Breaker, turn: int, expected: Breaker) -> None:
        assert breaker.withdrawn(given, turn, NOON) == expected

    def test_the_next_one_is_the_probe(self) -> None:
        given_back = breaker.withdrawn(probing(), 2, NOON)
        assert breaker.admit(given_back, RULES, NOON).breaker.state is HALF_OPEN


class TestPeople:
    @pytest.mark.parametrize("given", [Breaker(), resting(), probing(), HELD], ids=lambda one: one.state.value)
    def test_close_and_hold_from_anywhere(self, given: Breaker) -> None:
        assert breaker.closed(given) == Breaker(turn=given.turn + 1)
        held = breaker.held_open(given)
        assert (held.state, held.held, held.turn) == (OPEN, True, given.turn + 1)

    def test_only_what_a_person_opened_is_held(self) -> None:
        assert [one.held for one in (Breaker(), resting(), probing(), HELD)] == [False, False, False, True]


class TestStory:
    def test_down_for_two_minutes(self) -> None:
        """Every second somebody calls; the vendor is down from the 10th to the 130th."""
        state, calls = Breaker(), []
        for second in range(200):
            admission = breaker.admit(state, RULES, at(second))
            state = admission.breaker
            if admission.ask_again:
                continue
            calls.append(second)
            down = 10 <= second < 130
            state = (
                breaker.failed(state, state.turn, RULES, at(second)) if down else breaker.succeeded(state, state.turn)
            )
        assert [second for second in calls if 10 <= second < 130] == [10, 11, 12, 42, 72, 102]
        assert calls[calls.index(102) + 1 :] == list(range(132, 200))
        assert state.clean
