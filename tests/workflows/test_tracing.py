"""One trace from the request that accepts a file through its run to the last activity."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client

from api.app import create_app
from mediagate import tracing
from mediagate.media.values import Status
from tests.api.serving import gate_of
from tests.workflows import runs
from tests.world import VENDOR, GateWith, World, picture
from worker import build_workers
from workflows.client import Flows
from workflows.names import Role


class Spans:
    """What was exported, by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> ReadableSpan:
        """The only span of that name."""
        (found,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return found


@pytest.fixture
async def traced(gate_with: GateWith) -> AsyncIterator[tuple[World, Spans]]:
    """A gate whose API and workers make spans."""
    spans = Spans()
    async with gate_with(roles=()) as world, AsyncExitStack() as stack:
        config = world.client.config() | {"interceptors": list(tracing.interceptors(spans.provider))}
        client = Client(**config)
        flows = Flows(client, prefix=world.flows.prefix)
        app = create_app(world.settings, spans.provider)
        app.state.gate = replace(gate_of(world), flows=flows)
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url=world.settings.public_url,
                headers=world.http.headers,
            )
        )
        for worker in build_workers(client, replace(world.deps, flows=flows), tuple(Role), prefix=flows.prefix):
            await stack.enter_async_context(worker)
        yield replace(world, http=http, flows=flows, client=client), spans


async def test_the_trace_of_a_caller_reaches_the_last_activity(traced: tuple[World, Spans]) -> None:
    world, spans = traced
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    world.http.headers["traceparent"] = f"00-{trace_id}-{parent}-01"
    data = picture()
    announced = await world.announce(data)
    await world.put(announced, data)
    await world.complete(announced, data)
    del world.http.headers["traceparent"]
    await runs.stage(world, announced["media_id"], Status.AWAITING_MODERATION)
    await world.webhook(world.event(announced["media_id"]))
    await world.ended(announced["media_id"])

    request = spans.named("POST /api/v1/uploads/{id}/complete")
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == parent
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 202
    for name in (
        "StartWorkflow:UploadWorkflow",
        "RunWorkflow:UploadWorkflow",
        "RunActivity:verify_and_render",
        "RunActivity:file_media",
    ):
        assert f"{spans.named(name).context.trace_id:032x}" == trace_id, name
    webhook = spans.named(f"POST /api/v1/webhooks/moderation/{VENDOR}")
    signal = spans.named("SignalWorkflow:moderation_event")
    assert signal.context.trace_id == webhook.context.trace_id


async def test_no_span_carries_what_urls_and_people_say(traced: tuple[World, Spans]) -> None:
    world, spans = traced
    await world.http.get("/api/v1/media/no-id/files/thumb?sig=secret-signature")
    await world.http.get("/health/live")
    (only,) = spans.exporter.get_finished_spans()
    assert "secret-signature" not in only.to_json()


async def test_without_an_endpoint_nothing_is_made(world: World) -> None:
    assert tracing.open_tracing(world.settings, process="test") is None
    assert tracing.interceptors(None) == ()
