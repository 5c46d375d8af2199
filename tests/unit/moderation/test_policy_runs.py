"""What a run of a policy changes, what it leaves alone, and how the counts of many items add up."""

import pytest

from mediagate.media.values import Verdict
from mediagate.moderation.policy import Decision
from mediagate.moderation.policy_runs import Comparison, compared, left_alone, total

A, J, Q, R = Verdict.APPROVE, Verdict.REJECT, Verdict.QUARANTINE, Verdict.REVIEW


class TestLeftAlone:
    @pytest.mark.parametrize(
        ("standing", "by", "wanted", "include_human", "why"),
        [
            (A, "policy", J, False, None),
            (A, "policy", A, False, "nothing changes"),
            (A, "person:ada", A, True, "nothing changes"),
            (J, "deadline", A, False, None),
            (J, "policy_run:1", A, False, None),
            (A, "policy", R, False, None),
            (J, "policy", R, False, "it is withheld already: nobody is asked"),
            (Q, "person:ada", R, True, "it is withheld already: nobody is asked"),
            (A, "person:ada", J, False, "a person decided"),
            (A, "person:ada", J, True, None),
            (J, "person:ada", A, False, "a person decided"),
        ],
    )
    def test_why(self, standing: Verdict, by: str, wanted: Verdict, include_human: bool, why: str | None) -> None:
        assert left_alone(standing, by, wanted, include_human=include_human) == why


def one(standing: Verdict, wanted: Verdict, *, person: bool = False) -> Comparison:
    """One item."""
    said = Decision(verdict=wanted, reasons=(), policy_version="p", rule=f"{wanted.value}:x")
    return compared(standing, said, person=standing if person else None, applicable=standing is not wanted)


class TestComparison:
    def test_of_nothing(self) -> None:
        empty = total([])
        assert empty == Comparison()
        assert (empty.agreement, empty.agreement_with_people) == (None, None)

    def test_adds_up_in_any_order(self) -> None:
        items = [one(A, A), one(A, J), one(J, J, person=True), one(A, R, person=True), one(Q, J, person=True)]
        found = total(items)
        assert found.matrix == {"approve": {"approve": 1, "reject": 1, "review": 1}} | {
            "reject": {"reject": 1},
            "quarantine": {"reject": 1},
        }
        assert (found.looked_at, found.changed, found.applicable) == (5, 3, 3)
        assert found.reasons == {"reject:x": 2, "review:x": 1}
        assert found.agreement == 0.4
        assert total(reversed(items)).model_dump() == found.model_dump()
        assert total(items[:2]) + total(items[2:]) == found

    def test_people_agree_where_both_withhold_or_neither_does(self) -> None:
        """Where the policy would ask a person there is nothing to agree on."""
        same = [one(J, Q, person=True), one(A, A, person=True), one(A, R, person=True)]
        assert total(same).agreement_with_people == 1.0
        assert total([*same, one(A, J, person=True), one(Q, A, person=True)]).agreement_with_people == 0.5

    def test_travels_and_is_stored_with_its_rates(self) -> None:
        found = total([one(A, J, person=True), one(A, A)])
        stored = found.model_dump(mode="json")
        assert (stored["agreement"], stored["agreement_with_people"]) == (0.5, 0.0)
        assert Comparison.model_validate(stored) == found
