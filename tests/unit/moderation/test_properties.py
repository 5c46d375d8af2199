"""What holds of every decision, whatever is said and by whom."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mediagate.media.values import Verdict
from mediagate.moderation.findings import DETECTORS, RULE_DETECTORS, VendorEvent, VendorVerdict
from mediagate.moderation.policy import Decision, Policy, decide
from mediagate.moderation.reliability import Outcome, Reliability
from mediagate.moderation.remoderation import stricter
from tests.unit.moderation.events import said

VENDORS = ("a", "b", "c", "onnx", "text", "banks")
CATEGORIES = ("nudity", "hate", "csam", "gore", "minors", "own-name")

steps = st.none() | st.floats(0, 1)
thresholds = st.builds(
    lambda bounds, on: dict(zip(("review_at", "reject_at", "quarantine_at"), _some(sorted(bounds), on), strict=True)),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
scores = st.dictionaries(st.sampled_from(CATEGORIES), st.floats(0, 1), max_size=4)
outcomes = st.builds(Outcome, tp=st.integers(0, 200), fp=st.integers(0, 200))
reliabilities = st.builds(
    Reliability,
    counts=st.dictionaries(
        st.sampled_from(("a", "b", "c", "onnx")),
        st.dictionaries(st.sampled_from(("verdict", "nudity", "csam")), outcomes, max_size=3),
        max_size=4,
    ),
)


def _some(bounds: list[float], on: list[bool]) -> list[float | None]:
    return [bound if here else None for bound, here in zip(bounds, on, strict=True)]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy.model_validate(
        {
            "default": draw(thresholds),
            "categories": draw(st.dictionaries(st.sampled_from(CATEGORIES), thresholds, max_size=3)),
            "fusion": {
                "disagreement": draw(st.floats(0.01, 1)),
                "prior": draw(st.floats(0.01, 0.99)),
                "quorum": draw(st.integers(1, 3)),
                "contradiction": draw(st.sampled_from(["reject", "review"])),
            },
            "ask": draw(st.sampled_from([[], ["a"], ["a", "b"]])),
        }
    )


@st.composite
def events(draw: st.DrawFn) -> VendorEvent:
    vendor = draw(st.sampled_from(VENDORS))
    event = said(vendor, draw(st.sampled_from(list(VendorVerdict))).value, minute=draw(st.integers(0, 2)))
    action = draw(st.none() | st.sampled_from(Verdict)) if vendor in RULE_DETECTORS else None
    changes = {"scores": draw(scores), "final": draw(st.booleans()), "action": action}
    return event.model_copy(update=changes)


spoken = st.lists(events(), max_size=8)
told_apart = st.lists(events(), min_size=1, max_size=8, unique_by=lambda event: event.event_id)
"""Of two events under one id the scores tell which counts, so that raising some may let the other one count."""


def taken(policy: Policy, heard: list[VendorEvent], reliability: Reliability) -> Decision:
    return decide(policy, heard, reliability=reliability)


@given(policies(), spoken, reliabilities, st.randoms())
def test_neither_order_nor_repetition_makes_a_difference(
    policy: Policy, heard: list[VendorEvent], reliability: Reliability, random: Random
) -> None:
    again = [*heard, *heard[::2]]
    random.shuffle(again)
    assert taken(policy, again, reliability) == taken(policy, heard, reliability)


@settings(max_examples=300)
@given(policies(), told_apart, reliabilities, st.data())
def test_a_score_that_rises_never_makes_a_verdict_milder(
    policy: Policy, heard: list[VendorEvent], reliability: Reliability, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(heard) - 1))
    raised = {category: data.draw(st.floats(score, 1)) for category, score in heard[place].scores.items()}
    after = [*heard]
    after[place] = heard[place].model_copy(update={"scores": raised})
    before_verdict, after_verdict = (taken(policy, each, reliability).verdict for each in (heard, after))
    assert not stricter(before_verdict, after_verdict)


@given(policies(), spoken, reliabilities)
def test_silence_never_approves(policy: Policy, heard: list[VendorEvent], reliability: Reliability) -> None:
    silent = [event.model_copy(update={"final": False}) if event.vendor not in DETECTORS else event for event in heard]
    silent = [event for event in silent if event.vendor != "onnx" and event.action is not Verdict.APPROVE]
    assert taken(policy, silent, reliability).verdict is not Verdict.APPROVE


@given(policies(), spoken, reliabilities)
def test_a_decision_is_whole(policy: Policy, heard: list[VendorEvent], reliability: Reliability) -> None:
    decision = taken(policy, heard, reliability)
    assert decision.reasons
    assert decision.rule
    assert 0 <= decision.risk <= 1
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@given(policies(), scores, st.sampled_from(["approve", "review", "reject"]))
def test_one_vendor_alone_decides_by_its_own_scores(policy: Policy, said_scores: dict[str, float], word: str) -> None:
    decision = decide(policy, [said("a", word).model_copy(update={"scores": said_scores})])
    assert {f.category: f.fused for f in decision.findings if f.score is not None} == said_scores
