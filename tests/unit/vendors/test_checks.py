"""Who is asked, when an outage begins, and what ends it."""

from datetime import UTC, datetime, timedelta

import pytest

from mediagate.vendors import checks
from mediagate.vendors.breaker import Breaker, BreakerState
from mediagate.vendors.checks import CheckOutcome, Standing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EARLIER = NOON - timedelta(minutes=2)
CLOSED = Breaker()
RESTING = Breaker(state=BreakerState.OPEN, failures=5, until=NOON + timedelta(seconds=30), turn=1)
RESTED = RESTING.model_copy(update={"until": NOON})
PROBED = Breaker(state=BreakerState.HALF_OPEN, failures=5, until=NOON, turn=2)
HELD = Breaker(state=BreakerState.OPEN, turn=3)
ANSWERS, FAILS, NOT_ASKED = CheckOutcome.ANSWERS, CheckOutcome.FAILS, CheckOutcome.NOT_ASKED
FAILING = Standing(failures=2, failing_since=EARLIER)
DOWN = Standing(failures=3, failing_since=EARLIER, down_since=EARLIER)
TRIPPED = Standing(down_since=EARLIER)


class TestWhoIsAsked:
    @pytest.mark.parametrize(
        ("breaker", "polls", "outcome"),
        [
            pytest.param(CLOSED, True, None, id="a vendor"),
            pytest.param(CLOSED, False, NOT_ASKED, id="one that answers at once"),
            pytest.param(RESTING, True, CheckOutcome.RESTING, id="resting"),
            pytest.param(RESTED, True, None, id="rested"),
            pytest.param(PROBED, True, None, id="being probed"),
            pytest.param(HELD, True, CheckOutcome.HELD, id="held"),
            pytest.param(HELD, False, CheckOutcome.HELD, id="held and answering at once"),
        ],
    )
    def test_by_its_breaker(self, breaker: Breaker, polls: bool, outcome: CheckOutcome | None) -> None:
        assert checks.left_alone(breaker, polls=polls, now=NOON) is outcome


def after(standing: Standing, outcome: CheckOutcome, breaker: Breaker = CLOSED) -> Standing:
    return checks.after(standing, outcome, breaker, at=NOON, opened_at=EARLIER, most=3)


class TestOutages:
    def test_a_failed_check_is_counted(self) -> None:
        assert after(Standing(), FAILS) == Standing(failures=1, failing_since=NOON)

    def test_an_answer_makes_them_forgotten(self) -> None:
        assert after(FAILING, ANSWERS) == Standing()

    def test_the_third_in_a_row_begins_an_outage_that_began_with_the_first(self) -> None:
        assert after(FAILING, FAILS) == DOWN

    @pytest.mark.parametrize("outcome", [CheckOutcome.RESTING, ANSWERS, NOT_ASKED])
    def test_so_does_an_open_breaker(self, outcome: CheckOutcome) -> None:
        assert after(Standing(), outcome, RESTED) == TRIPPED

    @pytest.mark.parametrize("breaker", [CLOSED, PROBED], ids=["closed", "half-open"])
    def test_no_other_breaker_does(self, breaker: Breaker) -> None:
        assert after(Standing(), ANSWERS, breaker) == Standing()

    @pytest.mark.parametrize("breaker", [RESTED, PROBED], ids=["open", "half-open"])
    def test_an_answer_does_not_end_it_before_the_breaker_is_closed(self, breaker: Breaker) -> None:
        assert after(DOWN, ANSWERS, breaker) == TRIPPED

    def test_a_closed_breaker_does_not_end_it_before_there_is_an_answer(self) -> None:
        assert after(DOWN, FAILS).down_since == EARLIER

    @pytest.mark.parametrize("standing", [DOWN, TRIPPED], ids=["failing", "tripped"])
    def test_both_end_it(self, standing: Standing) -> None:
        assert after(standing, ANSWERS) == Standing()

    def test_of_one_that_cannot_be_asked_the_breaker_says_all(self) -> None:
        assert after(TRIPPED, NOT_ASKED) == Standing()

    @pytest.mark.parametrize("standing", [Standing(), FAILING, DOWN], ids=["well", "failing", "down"])
    def test_what_a_person_holds_stands_still(self, standing: Standing) -> None:
        assert after(standing, CheckOutcome.HELD, HELD) == standing
