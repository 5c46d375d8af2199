from itertools import pairwise, product

import pytest

from mediagate.errors import IllegalTransition
from mediagate.media import lifecycle
from mediagate.media.values import Status, Verdict

S = Status


class TestTransitions:
    def test_the_table_knows_every_status(self) -> None:
        assert set(lifecycle.TRANSITIONS) == set(Status)

    @pytest.mark.parametrize(
        "way",
        [
            [S.AWAITING_UPLOAD, S.ACCEPTED, S.PROCESSING, S.AWAITING_MODERATION, S.APPROVED],
            [S.AWAITING_UPLOAD, S.ACCEPTED, S.PROCESSING, S.AWAITING_MODERATION, S.IN_REVIEW, S.QUARANTINED],
            [S.AWAITING_UPLOAD, S.ACCEPTED, S.PROCESSING, S.REJECTED],
            [S.AWAITING_UPLOAD, S.EXPIRED],
            [S.ACCEPTED, S.PROCESSING, S.FAILED, S.PROCESSING, S.AWAITING_MODERATION, S.APPROVED],
        ],
    )
    def test_a_legal_way_passes(self, way: list[Status]) -> None:
        for current, wanted in pairwise(way):
            lifecycle.check(current, wanted)
        assert way[-1] in lifecycle.TRANSITIONS

    @pytest.mark.parametrize("status", list(Status))
    def test_a_step_that_runs_twice_stays(self, status: Status) -> None:
        before = lifecycle.TRANSITIONS[status]
        lifecycle.check(status, status)
        assert lifecycle.TRANSITIONS[status] == before

    @pytest.mark.parametrize(
        ("current", "wanted"),
        [
            (S.AWAITING_UPLOAD, S.APPROVED),
            (S.ACCEPTED, S.APPROVED),
            (S.PROCESSING, S.APPROVED),
            (S.APPROVED, S.PROCESSING),
            (S.EXPIRED, S.ACCEPTED),
            (S.ERASED, S.APPROVED),
        ],
    )
    def test_an_illegal_step_is_refused_by_name(self, current: Status, wanted: Status) -> None:
        with pytest.raises(IllegalTransition, match=f"{current.value!r} may not become {wanted.value!r}"):
            lifecycle.check(current, wanted)

    def test_nothing_becomes_approved_but_after_moderation_or_repair(self) -> None:
        before_approval = {c for c, w in product(Status, [S.APPROVED]) if w in lifecycle.TRANSITIONS[c]}
        assert before_approval == {
            S.AWAITING_MODERATION, S.IN_REVIEW, S.REJECTED, S.QUARANTINED, S.FAILED, S.TRASHED,
        }  # fmt: skip


class TestStatusFor:
    @pytest.mark.parametrize(
        ("verdict", "status"),
        [(Verdict.APPROVE, S.APPROVED), (Verdict.REJECT, S.REJECTED), (Verdict.QUARANTINE, S.QUARANTINED)],
    )
    def test_verdicts_lead_to_ends(self, verdict: Verdict, status: Status) -> None:
        assert lifecycle.status_for(verdict) is status

    def test_review_is_no_end(self) -> None:
        with pytest.raises(IllegalTransition):
            lifecycle.status_for(Verdict.REVIEW)
