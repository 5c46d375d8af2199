"""What only database and Temporal know: how much waits for whom, told to whoever scrapes this process.

Every API process tells it, so `max` over them is right and `sum` is not. A part is asked at most every `EVERY` seconds
however often somebody scrapes, and one that does not answer delays no scrape: what it tells is left out, and
`mediagate_collected` says so.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.deps import Gate
from api.metrics_patrol import Patrol
from db.tables import AuditRecord, EvidenceAccess, EvidenceRecord
from mediagate import metrics
from mediagate.errors import MediagateError
from mediagate.measuring import Gauge, Metric
from mediagate.media.values import Status
from mediagate.vendors.breaker import BreakerState
from workflows import task_queues

log = structlog.get_logger()

EVERY = 15.0
"""Seconds between two looks."""
LIMIT = 5.0
"""Seconds that a look may take."""
PATIENCE = 2.0
"""Seconds that a scrape waits for one."""
TOO_OLD = 60.0
"""Seconds after which an answer is told no more."""

SHOWN = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Sample(NamedTuple):
    """A value of a gauge, and its labels in the order of the catalogue."""

    gauge: Gauge
    value: float
    labels: tuple[str, ...] = ()


@dataclass
class Part:
    """Something that is asked now and then. `look`: what it tells."""

    name: str
    look: Callable[[], Awaitable[list[Sample]]]
    _samples: list[Sample] = field(default_factory=list)
    _told_at: float = float("-inf")
    _asked_at: float = float("-inf")
    _asking: asyncio.Task[None] | None = None

    def ask(self) -> asyncio.Task[None] | None:
        """The look that is under way, which begins now if the last one is long ago; None if that one still holds."""
        if self._asking is None and time.monotonic() - self._asked_at >= EVERY:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                self._samples = await self.look()
            self._told_at = time.monotonic()
        except (MediagateError, TimeoutError) as error:
            log.warning("metrics.not_collected", part=self.name, error=getattr(error, "code", "timeout"))
            self._told_at = float("-inf")
        except Exception:  # a defect of one look is no reason to hide everything else
            log.exception("metrics.broken", part=self.name)
            self._told_at = float("-inf")
        finally:
            self._asking = None

    @property
    def samples(self) -> list[Sample] | None:
        """What it told last; None if it did not, or too long ago."""
        return self._samples if time.monotonic() - self._told_at < TOO_OLD else None


class Census(Collector):
    """The gauges of the catalogue that only an API has."""

    def __init__(self, gate: Callable[[], Gate]) -> None:
        """`gate`: where to look, from the first scrape on."""
        self._gate = gate
        self._patrols = (Patrol(EvidenceRecord), Patrol(EvidenceAccess), Patrol(AuditRecord))
        self._parts = (Part("database", self._database), Part("temporal", self._temporal))

    async def refresh(self) -> None:
        """Have all parts asked again whose turn it is; returns after `PATIENCE` seconds at the latest."""
        asking = [task for part in self._parts if (task := part.ask())]
        if asking:
            await asyncio.wait(asking, timeout=PATIENCE)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is known."""
        samples = [Sample(metrics.REVIEW_DEADLINE, self._gate().settings.review_deadline)]
        for part in self._parts:
            told = part.samples
            samples += told or []
            samples.append(Sample(metrics.COLLECTED, told is not None, (part.name,)))
        families: dict[Metric, GaugeMetricFamily] = {}
        for gauge, value, labels in samples:
            if gauge not in families:
                families[gauge] = GaugeMetricFamily(gauge.name, gauge.help, labels=list(gauge.labels))
            families[gauge].add_metric(labels, value)
        yield from families.values()

    async def _database(self) -> list[Sample]:
        gate = self._gate()
        async with gate.db.transaction() as tx:
            census = tx.census
            owed = {
                "start": await census.owed_starts(),
                "event": await census.undelivered_events(),
                "mail": await census.unmailed(),
            }
            queues = {
                "vendor": await census.standing(Status.AWAITING_MODERATION),
                "review": await census.standing(Status.IN_REVIEW),
            }
            failed, letters = await census.standing(Status.FAILED), await census.dead_letters()
            breakers = {row.vendor: SHOWN[row.breaker.state] for row in await census.breakers()}
            checks = {vendor: check.failures for vendor, check in (await tx.checks.all()).items()}
            for patrol in self._patrols:
                await patrol.step(tx)
        samples = [Sample(metrics.UPLOADS_FAILED, failed.size), Sample(metrics.DEAD_LETTERS, letters)]
        for what, waiting in owed.items():
            samples.append(Sample(metrics.OWED_SIZE, waiting.size, (what,)))
            samples.append(Sample(metrics.OWED_OLDEST, waiting.oldest, (what,)))
        for queue, waiting in queues.items():
            samples.append(Sample(metrics.MODERATION_QUEUE, waiting.size, (queue,)))
            samples.append(Sample(metrics.MODERATION_QUEUE_OLDEST, waiting.oldest, (queue,)))
        names = gate.settings.vendor_names
        samples += [Sample(metrics.VENDOR_BREAKER, breakers.get(vendor, 0), (vendor,)) for vendor in names]
        samples += [Sample(metrics.VENDOR_CHECKS, checks.get(vendor, 0), (vendor,)) for vendor in names]
        for patrol in self._patrols:
            chain = (patrol.chain.value,)
            samples.append(Sample(metrics.CHAIN_RECORDS, patrol.records, chain))
            samples.append(Sample(metrics.CHAIN_BREAKS, patrol.breaks, chain))
            if patrol.ended_at:
                samples.append(Sample(metrics.CHAIN_PATROLLED, patrol.ended_at, chain))
        return samples

    async def _temporal(self) -> list[Sample]:
        gate = self._gate()
        limited = [name for name, vendor in gate.settings.vendors.items() if vendor.calls_per_second]
        samples = []
        for state in await task_queues.describe(gate.flows, vendors=limited):
            samples += [
                Sample(metrics.QUEUE_BACKLOG, waiting, (state.queue, str(priority)))
                for priority, waiting in state.backlog.items()
            ]
            samples.append(Sample(metrics.QUEUE_OLDEST, state.oldest, (state.queue,)))
            samples.append(Sample(metrics.QUEUE_POLLERS, state.pollers, (state.queue,)))
        return samples
