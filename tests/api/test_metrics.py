"""What an API process tells Prometheus, where, and what of it does not depend on others."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from starlette.types import Receive, Scope, Send
from temporalio.client import Client

from api.app import create_app
from api.deps import Gate
from api.internal import Internal, serving
from api.metrics_census import PATIENCE, Part, Sample
from api.metrics_patrol import Patrol
from db.repositories.audit import Actor
from db.session import Database, Transaction
from db.tables import AuditRecord, Notification, now
from mediagate import metrics
from mediagate.measuring import Gauge, Home
from mediagate.media.values import Status
from mediagate.settings import VendorKind, VendorSettings
from mediagate.temporal import DATA_CONVERTER
from mediagate.vendors.breaker import Breaker, BreakerState
from tests.api.serving import PREFIX, client_of, gate_of
from tests.scraping import Scrape, free_address, scrape, scrape_api
from tests.unit.observability.names import PROCESS, checked
from tests.workflows.runs import until
from tests.world import GateWith, World, picture
from workflows.client import Flows

CLOSED = "127.0.0.1:1"


@dataclass
class Watched:
    """One API process: its public port with the world's key, and its internal one."""

    world: World
    internal: httpx.AsyncClient

    async def scrape(self) -> Scrape:
        answer = await self.internal.get("/metrics")
        assert answer.status_code == 200
        return Scrape(answer.text)


@pytest.fixture
async def watched(quiet_world: World) -> AsyncIterator[Watched]:
    """A process that has just started, without workers."""
    app = create_app(quiet_world.settings)
    app.state.gate = gate_of(quiet_world)
    internal = httpx.ASGITransport(Internal(app, app.state.exposition))
    async with (
        client_of(app, {"Authorization": quiet_world.http.headers["authorization"]}) as public,
        httpx.AsyncClient(transport=internal, base_url="http://internal.test") as inside,
    ):
        yield Watched(replace(quiet_world, http=public), inside)


async def away(gate: Gate) -> Scrape:
    """Of a process whose parts are those of this gate."""
    app = create_app(gate.settings)
    app.state.gate = gate
    transport = httpx.ASGITransport(Internal(app, app.state.exposition))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal.test") as client:
        return Scrape((await client.get("/metrics")).text)


class TestWhere:
    async def test_not_on_the_public_port(self, watched: Watched) -> None:
        assert (await watched.world.http.get("/metrics")).status_code == 404

    async def test_there_if_the_operator_says_so(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(), metrics_public=True) as world:
            answer = await world.http.get("/metrics", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert "moderation_queue_size" in Scrape(answer.text).names

    async def test_the_internal_port_has_nothing_but_metrics_and_health(self, watched: Watched) -> None:
        for path in ("/", "/api/v1/vendors", "/metrics/", "/openapi.json", "/healthy"):
            assert (await watched.internal.get(path)).status_code == 404
        assert (await watched.internal.get("/health/live")).json() == {"status": "ok"}
        assert (await watched.internal.get("/health/ready")).status_code == 200
        assert (await watched.internal.post("/metrics")).status_code == 405

    async def test_health_there_is_that_of_whatever_stands_before_the_application(self, quiet_world: World) -> None:
        app = create_app(quiet_world.settings)
        app.state.front = create_app(quiet_world.settings.model_copy(update={"metrics_public": True}))
        app.state.front.state.gate = replace(gate_of(quiet_world), db=Database(f"postgresql://x@{CLOSED}/none"))
        transport = httpx.ASGITransport(Internal(app, app.state.exposition))
        async with httpx.AsyncClient(transport=transport, base_url="http://internal.test") as client:
            assert (await client.get("/health/ready")).status_code == 503

    async def test_over_a_real_port_while_the_application_lives(self, quiet_world: World) -> None:
        address = free_address()
        app = create_app(quiet_world.settings)
        app.state.gate = gate_of(quiet_world)
        async with serving(Internal(app, app.state.exposition), address):
            found = await scrape(address)
        assert found.value("mediagate_build_info", process="api") == 1
        with pytest.raises(httpx.ConnectError):
            await scrape(address)

    @pytest.mark.parametrize("address", ["9463", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
    async def test_an_address_that_is_none_is_refused(self, address: str) -> None:
        with pytest.raises(ValueError, match="set it to host:port"):
            async with serving(nothing, address):
                raise AssertionError

    async def test_one_that_is_taken_is_refused(self, watched: Watched) -> None:
        address = free_address()
        app = create_app(watched.world.settings)
        internal = Internal(app, app.state.exposition)
        async with serving(internal, address):
            with pytest.raises(OSError, match=re.escape("Address already in use")):
                async with serving(internal, address):
                    raise AssertionError


class TestFormat:
    async def test_promtool_finds_no_fault(self, watched: Watched) -> None:
        await watched.world.http.get(f"{PREFIX}/media/{uuid4()}")
        answer = await watched.internal.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert await asyncio.to_thread(checked, "check", "metrics", given=answer.text) == ""

    async def test_everything_that_the_api_has_is_there_from_the_start(self, watched: Watched) -> None:
        names = (await watched.scrape()).names
        at_home = {metric.name for metric in metrics.CATALOGUE if metric.home is not Home.WORKER}
        missing = {name for name in at_home if not {name, f"{name}_count"} & names}
        begin_later = {
            metric.name for metric in metrics.CATALOGUE if metric.name in missing and not [*metric.series({})]
        }
        assert missing == begin_later
        assert not missing & {metric.name for metric in metrics.CATALOGUE if isinstance(metric, Gauge)}
        assert names >= PROCESS

    async def test_features_that_are_to_come_stand_at_zero(self, watched: Watched) -> None:
        found = await watched.scrape()
        assert found.value("appeals_submitted_total") == 0
        assert found.value("content_reports_total") == 0


class TestRequests:
    async def test_are_counted_by_route_and_class_of_status(self, watched: Watched) -> None:
        missing = str(uuid4())
        for path in (f"{PREFIX}/media/{missing}", f"{PREFIX}/media/{uuid4()}", f"/nowhere/{missing}"):
            assert (await watched.world.http.get(path)).status_code == 404
        await watched.world.http.request("BREW", "/health/live")
        await watched.world.http.get("/health/live")
        found = await watched.scrape()
        route = f"{PREFIX}/media/{{media_id}}"
        assert found.value("mediagate_http_requests_total", method="GET", route=route, status="4xx") == 2
        assert found.value("mediagate_http_request_seconds_count", method="GET", route=route) == 2
        assert found.value("mediagate_http_requests_total", method="GET", route="none", status="4xx") == 1
        assert found.value("mediagate_http_requests_total", method="other", status="4xx") == 1
        assert found.value("mediagate_http_requests_total", route="/health/live", status="2xx") == 1
        assert missing not in found.text

    async def test_an_accepted_upload_counts_once(self, watched: Watched) -> None:
        media_id = await watched.world.upload(picture())
        found = await watched.scrape()
        assert found.value("mediagate_uploads_accepted_total") == 1
        assert media_id not in found.text
        assert watched.world.library.slug not in found.text

    async def test_what_they_ask_of_database_and_store_is_measured(self, watched: Watched) -> None:
        await watched.world.upload(data := picture())
        found = await watched.scrape()
        assert found.value("mediagate_store_requests_total", outcome="ok") == found.value(
            "mediagate_store_seconds_count"
        )
        read = found.value("mediagate_store_bytes_total", direction="read")
        assert read is not None
        assert read >= len(data)
        assert (found.value("mediagate_database_transaction_seconds_count") or 0) >= 4
        assert found.value("mediagate_database_open_transactions") == 0
        assert found.value("mediagate_database_pool_size") == 15

    async def test_a_database_that_is_away_is_counted(self, watched: Watched) -> None:
        app = create_app(watched.world.settings)
        app.state.gate = replace(gate_of(watched.world), db=Database(f"postgresql://x@{CLOSED}/none"))
        async with client_of(app) as public:
            assert (await public.get("/health/ready")).status_code == 503
        found = Scrape((await app.state.exposition.answer()).body.decode())
        assert found.value("mediagate_database_failures_total") == 1
        assert found.value("mediagate_http_requests_total", status="5xx", route="/health/ready") == 1


class TestWhatWaits:
    """The database is shared with other tests of this process: what counts is the difference."""

    async def test_owed_starts(self, quiet_world: World) -> None:
        before = await scrape_api(quiet_world)
        await quiet_world.seal(picture(), started=False, age=timedelta(days=40))
        after = await scrape_api(quiet_world)
        assert difference(before, after, "mediagate_owed", what="start") == 1
        assert (after.value("mediagate_owed_oldest_seconds", what="start") or 0) >= 40 * 86_400

    @pytest.mark.parametrize(
        ("status", "name", "labels"),
        [
            (Status.IN_REVIEW, "moderation_queue_size", {"queue": "review"}),
            (Status.AWAITING_MODERATION, "moderation_queue_size", {"queue": "vendor"}),
            (Status.FAILED, "mediagate_uploads_failed", {}),
        ],
        ids=str,
    )
    async def test_items_by_status(self, quiet_world: World, status: Status, name: str, labels: dict[str, str]) -> None:
        before = await scrape_api(quiet_world)
        await quiet_world.seal(picture(), status=status)
        assert difference(before, await scrape_api(quiet_world), name, **labels) == 1

    async def test_the_oldest_review(self, quiet_world: World) -> None:
        await quiet_world.seal(picture(), status=Status.IN_REVIEW, updated_at=now() - timedelta(days=50))
        found = await scrape_api(quiet_world)
        assert (found.value("moderation_queue_oldest_seconds", queue="review") or 0) >= 50 * 86_400
        assert found.value("mediagate_review_deadline_seconds") == quiet_world.settings.review_deadline

    async def test_dead_letters(self, quiet_world: World) -> None:
        before = await scrape_api(quiet_world)
        assert (await quiet_world.webhook(quiet_world.event(str(uuid4())))).status_code == 202
        assert difference(before, await scrape_api(quiet_world), "mediagate_dead_letters") == 1

    async def test_mails(self, quiet_world: World) -> None:
        before = await scrape_api(quiet_world)
        note = Notification(
            library_id=quiet_world.library.id, key=uuid4().hex, kind="system_alert", subject="s", body="b"
        )
        async with quiet_world.db.transaction() as tx:
            await tx.notifications.put(note)
        assert difference(before, await scrape_api(quiet_world), "mediagate_owed", what="mail") == 1

    async def test_a_breaker_is_told_as_the_database_has_it(self, gate_with: GateWith) -> None:
        vendor = f"v{uuid4().hex[:8]}"
        own = {vendor: VendorSettings(kind=VendorKind.GENERIC)}
        async with gate_with(roles=(), vendors=own) as world:
            assert (await scrape_api(world)).value("vendor_breaker_state", vendor=vendor) == 0
            async with world.db.transaction() as tx:
                health = await tx.vendors.health(vendor, lock=True)
                health.keep(Breaker(state=BreakerState.OPEN, failures=5, until=now()), at=now())
                (await tx.checks.of(vendor, lock=True)).failures = 4
            found = await scrape_api(world)
            assert found.value("vendor_breaker_state", vendor=vendor) == 2
            assert found.value("vendor_failed_checks", vendor=vendor) == 4

    async def test_task_queues_that_nobody_serves(self, quiet_world: World) -> None:
        await quiet_world.upload(picture())

        async def waiting() -> bool:
            found = await scrape_api(quiet_world)
            assert {found.value("mediagate_task_queue_pollers", queue=queue) for queue in ("flow", "io")} == {0}
            return found.value("mediagate_task_queue_backlog", queue="flow") == 1

        await until(waiting)

    async def test_task_queues_with_workers_and_of_a_vendor(self, gate_with: GateWith) -> None:
        own = {"slow": VendorSettings(kind=VendorKind.GENERIC, calls_per_second=1)}
        async with gate_with(vendors=own) as world:

            async def served() -> bool:
                found = await scrape_api(world)
                queues = ("flow", "io", "cpu", "vendor", "vendor-slow")
                return {found.value("mediagate_task_queue_pollers", queue=queue) for queue in queues} == {1}

            await until(served)


class TestAnswers:
    async def test_two_scrapes_look_once(self, watched: Watched) -> None:
        before = await watched.scrape()
        await watched.world.seal(picture(), started=False)
        assert difference(before, await watched.scrape(), "mediagate_owed", what="start") == 0
        assert difference(before, await scrape_api(watched.world), "mediagate_owed", what="start") == 1

    async def test_without_the_database_the_rest_is_told(self, quiet_world: World) -> None:
        found = await away(replace(gate_of(quiet_world), db=Database(f"postgresql://x@{CLOSED}/none")))
        assert found.value("mediagate_collected", part="database") == 0
        assert found.value("mediagate_collected", part="temporal") == 1
        assert found.value("mediagate_owed") is None
        assert found.value("mediagate_task_queue_pollers", queue="io") == 0

    async def test_without_temporal_the_rest_is_told(self, quiet_world: World) -> None:
        client = await Client.connect(CLOSED, data_converter=DATA_CONVERTER, lazy=True)
        found = await away(replace(gate_of(quiet_world), flows=Flows(client)))
        assert found.value("mediagate_collected", part="temporal") == 0
        assert found.value("mediagate_task_queue_pollers") is None
        assert found.value("mediagate_owed", what="start") is not None

    async def test_a_part_that_says_nothing_holds_nobody_up(self) -> None:
        never = asyncio.Event()

        async def silent() -> list[Sample]:
            await never.wait()
            return []

        part = Part("database", silent)
        began = time.monotonic()
        asking = part.ask()
        assert asking is not None
        await asyncio.wait([asking], timeout=0.01)
        assert part.ask() is asking  # it is asked once
        assert part.samples is None
        assert time.monotonic() - began < PATIENCE
        asking.cancel()

    async def test_a_defect_of_one_look_hides_nothing_else(self) -> None:
        async def broken() -> list[Sample]:
            raise ZeroDivisionError

        part = Part("database", broken)
        asking = part.ask()
        assert asking is not None
        await asking
        assert part.samples is None

    async def test_every_gauge_that_only_an_api_has_is_told(self, world: World) -> None:
        told = (await scrape_api(world)).names
        gauges = {metric.name for metric in metrics.CATALOGUE if isinstance(metric, Gauge) and metric.home is Home.API}
        assert gauges <= told


class TestPatrol:
    @staticmethod
    async def chain(tx: Transaction, records: int) -> list[AuditRecord]:
        actor = Actor("tester", "cli:tester")
        return [await tx.audit.note("test.done", f"test:{number}", actor) for number in range(records)]

    async def test_finds_no_fault_with_a_chain_that_is_whole(self, db: Database) -> None:
        async with db.transaction() as tx:
            records = await self.chain(tx, 3)
            patrol = Patrol(AuditRecord)
            await patrol.step(tx)
            await tx.session.rollback()
        assert (patrol.records, patrol.breaks) == (records[-1].seq, 0)
        assert patrol.ended_at is not None

    @pytest.mark.parametrize(
        "tampering",
        [
            "UPDATE audit SET reason = 'otherwise' WHERE seq = :seq",
            "UPDATE audit SET hash = repeat('0', 64) WHERE seq = :seq",
            "DELETE FROM audit WHERE seq = :seq",
        ],
        ids=["changed", "rehashed", "deleted"],
    )
    async def test_finds_a_record_that_was_tampered_with(self, db: Database, tampering: str) -> None:
        async with db.transaction() as tx:
            records = await self.chain(tx, 3)
            await tx.session.execute(text("SET LOCAL session_replication_role = replica"))
            await tx.session.execute(text(tampering), {"seq": records[1].seq})
            tx.session.expire_all()
            patrol = Patrol(AuditRecord)
            await patrol.step(tx)
            await tx.session.rollback()
        assert patrol.breaks >= 1

    async def test_finds_that_the_end_is_gone(self, db: Database) -> None:
        async with db.transaction() as tx:
            records = await self.chain(tx, 3)
            patrol = Patrol(AuditRecord)
            await patrol.step(tx)
            await tx.session.execute(text("SET LOCAL session_replication_role = replica"))
            await tx.session.execute(text("DELETE FROM audit WHERE seq >= :seq"), {"seq": records[1].seq})
            tx.session.expunge_all()
            await patrol.step(tx)
            await tx.session.rollback()
        assert patrol.breaks == 1


def difference(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    """How much a value grew."""
    old, new = before.value(name, **labels), after.value(name, **labels)
    assert old is not None
    assert new is not None
    return new - old


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that serves nothing."""
