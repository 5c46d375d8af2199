"""The Temporal connection, payload converter and metrics: the same for client, worker and replayer.

`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS and API keys come from the SDK's own environment configuration.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.common import MetricCounter, MetricGaugeFloat, MetricHistogramFloat, MetricMeter, SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from mediagate import __version__
from mediagate.measuring import Counter, Gauge, Histogram, Home, Labels, Metric
from mediagate.metrics import BUILD_INFO, CATALOGUE

DATA_CONVERTER = pydantic_data_converter

HISTOGRAMS = {metric.name: metric.buckets for metric in CATALOGUE if isinstance(metric, Histogram)}
"""Upper bounds of buckets of the gate's own metrics."""


async def connect(
    *, lazy: bool = False, metrics_address: str | None = None, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """A client of the Temporal service that the environment names.

    Args:
        lazy: connect at the first call, so that an API can start, and answer 503, while the service is away.
        interceptors: of the client, and of the workers made with it (`mediagate.tracing`).
        metrics_address: `host:port` on which SDK and worker metrics are served for Prometheus.

    Raises:
        RuntimeError: the service cannot be reached (not with `lazy`).
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    runtime = (
        Runtime(
            telemetry=TelemetryConfig(
                metrics=PrometheusConfig(
                    bind_address=metrics_address, durations_as_seconds=True, histogram_bucket_overrides=HISTOGRAMS
                )
            )
        )
        if metrics_address
        else None
    )
    return await Client.connect(
        **config, data_converter=DATA_CONVERTER, lazy=lazy, runtime=runtime, interceptors=interceptors
    )


async def register_search_attributes(client: Client, keys: Iterable[SearchAttributeKey]) -> None:  # type: ignore[type-arg]
    """Register the search attributes that the namespace lacks; idempotent."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
        for key in keys
        if key.name not in listed.custom_attributes
    }
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


Instrument = TypeVar("Instrument", MetricCounter, MetricGaugeFloat, MetricHistogramFloat)


class SdkRecorder:
    """Records metrics of the gate's own where a worker serves the SDK's."""

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter
        self._counters: dict[tuple[str, ...], MetricCounter] = {}
        self._gauges: dict[tuple[str, ...], MetricGaugeFloat] = {}
        self._histograms: dict[tuple[str, ...], MetricHistogramFloat] = {}

    @classmethod
    def of(cls, client: Client) -> "SdkRecorder":
        """One that serves at the `metrics_address` of the client's connection; without one it records nothing."""
        runtime = client.service_client.config.runtime or Runtime.default()
        return cls(runtime.metric_meter)

    def seed(self, known: Labels) -> None:
        """Let the series of a worker's counters begin at 0; `known`: values of open labels."""
        self.set(BUILD_INFO, 1, {"version": __version__, "process": "worker"})
        for metric in CATALOGUE:
            if isinstance(metric, Counter) and metric.home is not Home.API:
                for labels in metric.series(known):
                    self.add(metric, 0, labels)

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        """See `mediagate.measuring.Recorder`."""
        _series(self._counters, self._meter.create_counter, metric, labels).add(amount)

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """As above."""
        _series(self._gauges, self._meter.create_gauge_float, metric, labels).set(value)

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        """As above."""
        _series(self._histograms, self._meter.create_histogram_float, metric, labels).record(value)


def _series(
    known: dict[tuple[str, ...], Instrument],
    create: Callable[[str, str], Instrument],
    metric: Metric,
    labels: Mapping[str, str],
) -> Instrument:
    key = (metric.name, *(labels[name] for name in metric.labels))
    found = known.get(key)
    if found is None:
        found = known[key] = create(metric.name, metric.help).with_additional_attributes(labels)
    return found
