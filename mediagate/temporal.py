"""The Temporal connection, payload converter and metrics: the same for client, worker and replayer.

`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS and API keys come from the SDK's own environment configuration.
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

DATA_CONVERTER = pydantic_data_converter

HISTOGRAMS = {"moderation_request_duration_seconds": (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)}
"""Upper bounds of buckets; those of the SDK are made for milliseconds."""


async def connect(*, lazy: bool = False, metrics_address: str | None = None) -> Client:
    """A client of the Temporal service that the environment names.

    Args:
        lazy: connect at the first call, so that an API can start, and answer 503, while the service is away.
        metrics_address: `host:port` on which SDK and worker metrics are served for Prometheus.

    Raises:
        RuntimeError: the service cannot be reached (not with `lazy`).
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    runtime = (
        Runtime(
            telemetry=TelemetryConfig(
                metrics=PrometheusConfig(bind_address=metrics_address, histogram_bucket_overrides=HISTOGRAMS)
            )
        )
        if metrics_address
        else None
    )
    return await Client.connect(**config, data_converter=DATA_CONVERTER, lazy=lazy, runtime=runtime)


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
