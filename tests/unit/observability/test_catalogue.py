"""The catalogue of metrics, and how values find their recorder."""

import asyncio
import re
from collections.abc import Mapping

import pytest

from mediagate import metrics
from mediagate.evidence.chain import Chain
from mediagate.measuring import Counter, Gauge, Histogram, Home, Metric, recorded_by
from mediagate.temporal import HISTOGRAMS

EXPECTED = {
    "moderation_requests_total": Counter,
    "moderation_request_duration_seconds": Histogram,
    "moderation_confidence_score": Histogram,
    "moderation_queue_size": Gauge,
    "vendor_api_errors_total": Counter,
    "human_review_decisions_total": Counter,
    "appeals_submitted_total": Counter,
    "appeals_overturned_total": Counter,
    "reputation_changes_total": Counter,
    "content_reports_total": Counter,
}
"""The names that users look for."""
WITHOUT_BOUND = re.compile(r"media|library|tracking|path|user|person|workflow_id|run_id|key|filename")


class Notes:
    """A recorder that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, dict[str, str]]] = []

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        self.told.append((metric.name, amount, dict(labels)))

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        self.told.append((metric.name, value, dict(labels)))

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        self.told.append((metric.name, value, dict(labels)))


class TestCatalogue:
    def test_the_names_that_users_look_for(self) -> None:
        kinds = {metric.name: type(metric) for metric in metrics.CATALOGUE}
        assert {name: kinds[name] for name in EXPECTED} == EXPECTED

    def test_every_name_is_there_once(self) -> None:
        names = [metric.name for metric in metrics.CATALOGUE]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("metric", metrics.CATALOGUE, ids=lambda metric: metric.name)
    def test_names_labels_and_buckets_are_as_prometheus_wants_them(self, metric: Metric) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
        assert metric.name.endswith("_total") is isinstance(metric, Counter)
        assert metric.help
        assert not any(WITHOUT_BOUND.search(label) for label in metric.labels)
        if isinstance(metric, Histogram):
            assert list(metric.buckets) == sorted(set(metric.buckets))
            assert metric.name.endswith(("_seconds", "_score"))

    def test_workers_get_every_histogram_with_its_buckets(self) -> None:
        assert set(HISTOGRAMS) == {metric.name for metric in metrics.CATALOGUE if isinstance(metric, Histogram)}

    def test_the_chains_are_those_that_there_are(self) -> None:
        assert set(metrics.CHAIN_BREAKS.labels["chain"]) == {chain.value for chain in Chain}

    def test_gauges_of_the_api_alone_are_told_by_its_census(self) -> None:
        told = {metric.name for metric in metrics.CATALOGUE if isinstance(metric, Gauge) and metric.home is Home.API}
        assert "moderation_queue_size" in told
        assert "mediagate_database_pool_size" not in told


class TestSeries:
    def test_all_combinations_of_closed_labels(self) -> None:
        assert list(metrics.REPUTATION_CHANGES.series({})) == [{"direction": "up"}, {"direction": "down"}]

    def test_one_without_labels(self) -> None:
        assert list(metrics.APPEALS_SUBMITTED.series({})) == [{}]

    def test_none_where_a_label_is_open(self) -> None:
        assert list(metrics.VENDOR_COST.series({})) == []

    def test_open_ones_that_a_deployment_knows(self) -> None:
        assert list(metrics.VENDOR_COST.series({"vendor": ("hive", "own")})) == [{"vendor": "hive"}, {"vendor": "own"}]


class TestRecording:
    def test_nobody_records_outside(self) -> None:
        notes = Notes()
        with recorded_by(notes):
            pass
        metrics.APPEALS_SUBMITTED.add()
        assert notes.told == []

    def test_each_kind(self) -> None:
        notes = Notes()
        with recorded_by(notes):
            metrics.MAILS.add(outcome="sent")
            metrics.DISK_FREE.set(7)
            metrics.UPLOAD_SECONDS.observe(0.5, outcome="approved")
        assert notes.told == [
            ("mediagate_mails_total", 1, {"outcome": "sent"}),
            ("mediagate_disk_free_bytes", 7, {}),
            ("mediagate_upload_seconds", 0.5, {"outcome": "approved"}),
        ]

    async def test_tasks_and_threads_inherit_the_recorder_and_do_not_mix(self) -> None:
        async def working(notes: Notes) -> None:
            with recorded_by(notes):
                await asyncio.gather(asyncio.to_thread(metrics.EVIDENCE_SEALED.add), asyncio.sleep(0))
                metrics.EVIDENCE_SEALED.add()

        one, other = Notes(), Notes()
        await asyncio.gather(working(one), working(other))
        assert [len(one.told), len(other.told)] == [2, 2]

    @pytest.mark.parametrize("labels", [{}, {"result": "sent"}, {"outcome": "sent", "server": "a"}], ids=str)
    def test_other_labels_than_the_catalogue_has_are_refused(self, labels: dict[str, str]) -> None:
        with pytest.raises(TypeError, match="mediagate_mails_total has the labels"):
            metrics.MAILS.add(**labels)  # type: ignore[arg-type]
