"""Traces (https://opentelemetry.io): from the HTTP request through the workflow to each activity.

Spans go to `MEDIAGATE_OTLP_ENDPOINT` by OTLP over HTTP; without it none are made. Headers, certificates and the like of
the exporter are read from `OTEL_EXPORTER_OTLP_*` by itself. What people wrote and what URLs carry behind their path is
in no span: signatures stand there.
"""

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from temporalio.client import Interceptor

from mediagate import __version__
from mediagate.settings import Settings


def open_tracing(settings: Settings, *, process: str, exporter: SpanExporter | None = None) -> TracerProvider | None:
    """What makes and sends this process's spans; None without an endpoint. `exporter`: in place of OTLP's.

    Of the traces that begin here, the share `MEDIAGATE_TRACE_SHARE` is kept; one that a caller began is as it says.
    """
    if exporter is None:
        if not settings.otlp_endpoint:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    about = {SERVICE_NAME: "mediagate", SERVICE_VERSION: __version__, "mediagate.process": process}
    provider = TracerProvider(
        resource=Resource.create(about), sampler=ParentBased(TraceIdRatioBased(settings.trace_share))
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def interceptors(provider: TracerProvider | None) -> Sequence[Interceptor]:
    """What hands traces on between clients, workflows and activities."""
    if provider is None:
        return ()
    from temporalio.contrib.opentelemetry import TracingInterceptor

    # Runs that no request began, as those of schedules, have a trace of their own.
    return (TracingInterceptor(provider.get_tracer("mediagate"), always_create_workflow_spans=False),)


def ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the present span, for a log line; empty outside of one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
