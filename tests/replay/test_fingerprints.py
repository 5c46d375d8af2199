"""A workflow that asks for something else than it did is noticed, by name and before it is deployed."""

from difflib import unified_diff
from pathlib import Path

import pytest
from temporalio import workflow

from tests.replay import corpus, fingerprints
from tests.replay.changed import GatedUpload, UngatedUpload
from tests.replay.fingerprints import Fingerprint
from tests.replay.test_replay import SweepThatDoesNothing, SweepThatPausesFirst, replay
from worker import WORKFLOWS
from workflows import policies
from workflows.messages import SweepInput, SweepResult
from workflows.names import Role
from workflows.policies import SWEEPING

ADVICE = """
{branch}: the code asks for something else than the recorded run did (- recorded, + now).

Runs that are under way in a deployment would get stuck on this. Put the change behind `workflow.patched("…")` and add
a branch for the new way (tests/replay/README.md). Only where no such run can be open, as before release 0.1, record
the corpus again instead, with its fingerprints: `python -m tests.replay.record`.

"""


def assert_unchanged(branch: str, recorded: Fingerprint, now: Fingerprint) -> None:
    """Fails with what differs and what to do."""
    difference = "\n".join(unified_diff(recorded, now, "recorded", "now", lineterm="", n=2))
    if difference:
        pytest.fail(ADVICE.format(branch=branch) + difference, pytrace=False)


class TestCorpus:
    def test_every_history_has_a_fingerprint_and_nothing_else_has(self) -> None:
        assert set(fingerprints.stored()) == {path.stem for path in corpus.recorded()}

    @pytest.mark.parametrize("path", corpus.recorded(), ids=lambda path: path.stem)
    async def test_the_code_asks_for_what_it_asked_for_when_this_was_recorded(self, path: Path) -> None:
        now = await fingerprints.taken(corpus.load(path), WORKFLOWS)
        assert_unchanged(path.stem, fingerprints.stored()[path.stem], now)


@workflow.defn(name="SweepWorkflow", sandboxed=False)
class SweepOnAnotherQueue:
    """The same activity, sent to where nobody offers it: a replay does not notice."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        config = policies.at(SWEEPING._replace(role=Role.CPU), "sweep")
        result: SweepResult = await workflow.execute_activity("sweep", sweep, result_type=SweepResult, **config)
        return result


class TestTeeth:
    @pytest.mark.parametrize(
        ("branch", "changed", "difference"),
        [
            ("approved", UngatedUpload, "+timer pause"),
            ("sweep", SweepThatPausesFirst, "+timer"),
            ("sweep", SweepThatDoesNothing, "-activity sweep on io"),
            ("sweep", SweepOnAnotherQueue, "+activity sweep on cpu"),
        ],
    )
    async def test_a_change_without_a_gate_is_named_with_what_to_do(
        self, branch: str, changed: type, difference: str
    ) -> None:
        now = await fingerprints.taken(corpus.load(corpus.path_of(branch)), [changed])
        with pytest.raises(pytest.fail.Exception, match=r"workflow\.patched") as failed:
            assert_unchanged(branch, fingerprints.stored()[branch], now)
        assert difference in str(failed.value).splitlines()

    async def test_a_change_behind_a_gate_passes_and_is_understood(self) -> None:
        history = corpus.load(corpus.path_of("approved"))
        assert_unchanged(
            "approved", fingerprints.stored()["approved"], await fingerprints.taken(history, [GatedUpload])
        )
        assert await replay(history, GatedUpload) is None

    async def test_the_other_queue_is_noticed_by_the_fingerprint_alone(self) -> None:
        assert await replay(corpus.load(corpus.path_of("sweep")), SweepOnAnotherQueue) is None
